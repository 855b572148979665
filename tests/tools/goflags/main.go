// Command goflags prints which command-line flags functions register, by reading their Go sources.
//
//	go run main.go 'MODULE=FOLDER ...' [?]PACKAGE[:TYPE].FUNCTION...
//
// It follows what is given a set of flags, or gives one, through constants and parameters, and prints a
// name a line, with what the flag holds: the method that registers it, or its Go type. A function with a question mark
// need not be there. Nothing is compiled or run: packages that have nothing to do with flags are not even read, so
// that types which come from there stay unknown. What it cannot follow stands on standard error.
package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// what ends the path of a module, and is not in the name of its package
var major = regexp.MustCompile(`^v[0-9]+$`)

type unit struct {
	types *types.Package
	files []*ast.File
	info  *types.Info
}

type reader struct {
	modules  map[string]string
	fileset  *token.FileSet
	packages map[string]*unit
	seen     map[string]bool
	flags    map[string]string
	lost     map[string]bool
}

// folder returns where the sources of a package are, or "".
func (r *reader) folder(name string) string {
	best := ""
	for module := range r.modules {
		if (name == module || strings.HasPrefix(name, module+"/")) && len(module) > len(best) {
			best = module
		}
	}
	if best == "" {
		return ""
	}
	return filepath.Join(r.modules[best], strings.TrimPrefix(name, best))
}

var excluded = []string{"_test.go", "_windows.go", "_darwin.go", "_others.go", "_unsupported.go", "_other.go"}

func (r *reader) parse(name string) []*ast.File {
	folder := r.folder(name)
	paths, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	var files []*ast.File
	concerned := false
	for _, file := range paths {
		skip := false
		for _, suffix := range excluded {
			skip = skip || strings.HasSuffix(file, suffix)
		}
		text, err := os.ReadFile(file)
		if skip || err != nil || strings.Contains(string(text), "//go:build !linux") ||
			strings.Contains(string(text), "//go:build providerless") || strings.Contains(string(text), "// +build providerless") {
			continue
		}
		concerned = concerned || strings.Contains(string(text), "FlagSet") || strings.Contains(string(text), "FeatureGate")
		parsed, err := parser.ParseFile(r.fileset, file, text, parser.SkipObjectResolution)
		if err == nil {
			files = append(files, parsed)
		}
	}
	if !concerned {
		return nil
	}
	return files
}

// Import gives the types of a package without its functions' bodies, or an empty one.
func (r *reader) Import(name string) (*types.Package, error) {
	if known := r.packages[name]; known != nil {
		return known.types, nil
	}
	empty := types.NewPackage(name, path.Base(name))
	if major.MatchString(path.Base(name)) {
		empty = types.NewPackage(name, path.Base(path.Dir(name)))
	}
	empty.MarkComplete()
	r.packages[name] = &unit{types: empty}
	files := r.parse(name)
	if len(files) == 0 {
		return empty, nil
	}
	config := types.Config{Importer: r, Error: func(error) {}, IgnoreFuncBodies: true, FakeImportC: true}
	checked, _ := config.Check(name, r.fileset, files, nil)
	r.packages[name] = &unit{types: checked, files: files}
	return checked, nil
}

// whole returns a package with the types of all its expressions.
func (r *reader) whole(name string) *unit {
	if _, err := r.Import(name); err != nil {
		return nil
	}
	found := r.packages[name]
	if found.info == nil && found.files != nil {
		found.info = &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
			Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		}
		config := types.Config{Importer: r, Error: func(error) {}, FakeImportC: true}
		_, _ = config.Check(name, r.fileset, found.files, found.info)
	}
	return found
}

func named(kind types.Type) string {
	for {
		switch inner := types.Unalias(kind).(type) {
		case *types.Pointer:
			kind = inner.Elem()
		case *types.Named:
			if inner.Obj().Pkg() == nil {
				return inner.Obj().Name()
			}
			return inner.Obj().Pkg().Path() + "." + inner.Obj().Name()
		default:
			return ""
		}
	}
}

func isSet(kind types.Type) bool {
	name := named(kind)
	return strings.HasSuffix(name, "pflag.FlagSet") || strings.HasSuffix(name, ".NamedFlagSets") ||
		strings.HasSuffix(name, ".flagSet") || name == "flag.FlagSet"
}

func touchesSets(signature *types.Signature) bool {
	for _, tuple := range []*types.Tuple{signature.Params(), signature.Results()} {
		for i := 0; i < tuple.Len(); i++ {
			if isSet(tuple.At(i).Type()) {
				return true
			}
		}
	}
	return false
}

// declaration finds a function by package, receiver and name.
func (r *reader) declaration(name, receiver, function string) (*unit, *ast.FuncDecl) {
	found := r.whole(name)
	if found == nil || found.info == nil {
		return nil, nil
	}
	for _, file := range found.files {
		for _, declared := range file.Decls {
			one, ok := declared.(*ast.FuncDecl)
			if !ok || one.Name.Name != function || one.Body == nil {
				continue
			}
			own := ""
			if one.Recv != nil {
				kind := one.Recv.List[0].Type
				if star, ok := kind.(*ast.StarExpr); ok {
					kind = star.X
				}
				if ident, ok := kind.(*ast.Ident); ok {
					own = ident.Name
				}
			}
			if own == receiver {
				return found, one
			}
		}
	}
	return nil, nil
}

// written finds the text of a constant in a package whose types are not read.
func (r *reader) written(name, constant string) (string, bool) {
	paths, _ := filepath.Glob(filepath.Join(r.folder(name), "*.go"))
	for _, file := range paths {
		parsed, err := parser.ParseFile(r.fileset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		for _, declared := range parsed.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, one := range group.Specs {
				values, ok := one.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, ident := range values.Names {
					if ident.Name == constant && i < len(values.Values) {
						if literal, ok := values.Values[i].(*ast.BasicLit); ok {
							text, err := strconv.Unquote(literal.Value)
							return text, err == nil
						}
					}
				}
			}
		}
	}
	return "", false
}

// implementations visits the methods that a package has for one of its interfaces.
func (r *reader) implementations(method *types.Func) bool {
	found := r.whole(method.Pkg().Path())
	there := false
	for _, file := range found.files {
		for _, declared := range file.Decls {
			one, ok := declared.(*ast.FuncDecl)
			if ok && one.Recv != nil && one.Body != nil && one.Name.Name == method.Name() {
				there = true
				r.visit(found, one, known{})
			}
		}
	}
	return there
}

type known map[types.Object]string

func (r *reader) text(in *unit, arg ast.Expr, values known) (string, bool) {
	if value := in.info.Types[arg].Value; value != nil && value.Kind() == constant.String {
		return constant.StringVal(value), true
	}
	switch arg := arg.(type) {
	case *ast.Ident:
		if value, ok := values[in.info.Uses[arg]]; ok {
			return value, true
		}
	case *ast.SelectorExpr:
		if ident, ok := arg.X.(*ast.Ident); ok {
			if imported, ok := in.info.Uses[ident].(*types.PkgName); ok {
				return r.written(imported.Imported().Path(), arg.Sel.Name)
			}
		}
	case *ast.BinaryExpr:
		left, ok := r.text(in, arg.X, values)
		right, both := r.text(in, arg.Y, values)
		return left + right, ok && both
	case *ast.CallExpr:
		callee, ok := arg.Fun.(*ast.SelectorExpr)
		if !ok || callee.Sel.Name != "Sprintf" {
			return "", false
		}
		var texts []any
		for _, part := range arg.Args {
			value, ok := r.text(in, part, values)
			if !ok {
				return "", false
			}
			texts = append(texts, value)
		}
		return fmt.Sprintf(texts[0].(string), texts[1:]...), true
	}
	return "", false
}

func (r *reader) visit(in *unit, function *ast.FuncDecl, values known) {
	key := fmt.Sprint(r.fileset.Position(function.Pos()), values)
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	r.walk(in, function.Body, values)
}

// walk follows the calls in a piece of code; a loop over texts is gone through for each of them.
func (r *reader) walk(in *unit, code ast.Node, values known) {
	ast.Inspect(code, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr:
			r.call(in, node, values)
		case *ast.RangeStmt:
			ident, ok := node.Value.(*ast.Ident)
			texts := r.texts(in, node.X)
			if !ok || len(texts) == 0 {
				return true
			}
			for _, text := range texts {
				with := known{in.info.Defs[ident]: text}
				for object, value := range values {
					with[object] = value
				}
				r.walk(in, node.Body, with)
			}
			return false
		}
		return true
	})
}

// texts returns the elements of a list of texts, written here or as a variable of the package; a field that such a
// variable fills is thought to have its name.
func (r *reader) texts(in *unit, list ast.Expr) []string {
	ident, ok := list.(*ast.Ident)
	if field, is := list.(*ast.SelectorExpr); is {
		ident, ok = field.Sel, true
	}
	if ok {
		for _, file := range in.files {
			for _, declared := range file.Decls {
				if group, ok := declared.(*ast.GenDecl); ok {
					for _, one := range group.Specs {
						values, ok := one.(*ast.ValueSpec)
						if ok && len(values.Values) == 1 && values.Names[0].Name == ident.Name {
							list = values.Values[0]
						}
					}
				}
			}
		}
	}
	literal, ok := list.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var texts []string
	for _, element := range literal.Elts {
		if text, ok := r.text(in, element, nil); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func (r *reader) call(in *unit, call *ast.CallExpr, values known) {
	var object types.Object
	var selection *types.Selection
	switch callee := call.Fun.(type) {
	case *ast.Ident:
		object = in.info.Uses[callee]
	case *ast.SelectorExpr:
		selection = in.info.Selections[callee]
		object = in.info.Uses[callee.Sel]
	}
	function, ok := object.(*types.Func)
	if !ok || function.Pkg() == nil {
		return
	}
	signature := function.Type().(*types.Signature)
	if receiver := signature.Recv(); receiver != nil && strings.HasSuffix(strings.ToLower(named(receiver.Type())), "flagset") {
		r.registered(in, call, function.Name(), values)
		return
	}
	given := false
	for _, arg := range call.Args {
		given = given || isSet(in.info.TypeOf(arg))
	}
	if !given && !touchesSets(signature) {
		return
	}
	receiver := ""
	if signature.Recv() != nil {
		if strings.HasSuffix(named(signature.Recv().Type()), "FeatureGate") {
			r.note("feature-gates", "")
			return
		}
		if types.IsInterface(signature.Recv().Type()) {
			if !r.implementations(function) {
				r.lost[fmt.Sprintf("%s: %s is an interface's", r.fileset.Position(call.Pos()), function.FullName())] = true
			}
			return
		}
		name := named(signature.Recv().Type())
		receiver = name[strings.LastIndex(name, ".")+1:]
	}
	_ = selection
	other, declared := r.declaration(function.Pkg().Path(), receiver, function.Name())
	if declared == nil {
		r.lost[fmt.Sprintf("%s: %s is not at hand", r.fileset.Position(call.Pos()), function.FullName())] = true
		return
	}
	passed := known{}
	position := 0
	for _, field := range declared.Type.Params.List {
		for _, name := range field.Names {
			if position < len(call.Args) {
				if value, ok := r.text(in, call.Args[position], values); ok {
					passed[other.info.Defs[name]] = value
				}
			}
			position++
		}
	}
	r.visit(other, declared, passed)
}

// note keeps what a flag holds; of two that differ, nothing is known.
func (r *reader) note(name, holds string) {
	if before, ok := r.flags[name]; ok && before != holds {
		holds = ""
	}
	r.flags[name] = holds
}

// registered notes the name that a call on a set of flags gives it.
func (r *reader) registered(in *unit, call *ast.CallExpr, method string, values known) {
	place := 0
	switch {
	case method == "AddFlag":
		// one that another set has: by its name, or by a text that the function was given
		if found, ok := call.Args[0].(*ast.CallExpr); ok && len(found.Args) == 1 {
			if name, ok := r.text(in, found.Args[0], values); ok {
				r.note(name, "")
				return
			}
		}
		for _, value := range values {
			r.note(value, "")
		}
		if len(values) == 0 {
			r.lost[fmt.Sprintf("%s: AddFlag", r.fileset.Position(call.Pos()))] = true
		}
		return
	case method == "AddGoFlagSet":
		r.lost[fmt.Sprintf("%s: AddGoFlagSet", r.fileset.Position(call.Pos()))] = true
		return
	case strings.HasPrefix(method, "Mark"), strings.HasPrefix(method, "Set"), strings.HasPrefix(method, "Get"),
		strings.HasPrefix(method, "Visit"), strings.HasPrefix(method, "Has"), strings.HasPrefix(method, "Short"):
		return
	case method == "Lookup", method == "Parse", method == "Changed", method == "FlagSet", method == "AddFlagSet",
		method == "Args", method == "Arg", method == "NArg", method == "NFlag", method == "Init", method == "FlagUsages",
		method == "FlagUsagesWrapped", method == "PrintDefaults", method == "Parsed", method == "Output", method == "ParseAll":
		return
	case strings.HasSuffix(method, "Var"), strings.HasSuffix(method, "VarP"), strings.HasSuffix(method, "VarPF"):
		place = 1
	}
	if place < len(call.Args) {
		if name, ok := r.text(in, call.Args[place], values); ok {
			if strings.HasPrefix(method, "Var") {
				method = named(in.info.TypeOf(call.Args[0]))
			}
			r.note(name, method)
			return
		}
	}
	r.lost[fmt.Sprintf("%s: %s", r.fileset.Position(call.Pos()), method)] = true
}

func main() {
	r := &reader{
		modules: map[string]string{}, fileset: token.NewFileSet(), packages: map[string]*unit{},
		seen: map[string]bool{}, flags: map[string]string{}, lost: map[string]bool{},
	}
	for _, pair := range strings.Fields(os.Args[1]) {
		module, folder, _ := strings.Cut(pair, "=")
		r.modules[module] = folder
	}
	for _, root := range os.Args[2:] {
		root, optional := strings.CutPrefix(root, "?")
		dot := strings.LastIndex(root, ".")
		pkg, function := root[:dot], root[dot+1:]
		receiver := ""
		if inner := strings.LastIndex(pkg, ":"); inner > 0 {
			pkg, receiver = pkg[:inner], pkg[inner+1:]
		}
		in, declared := r.declaration(pkg, receiver, function)
		switch {
		case declared != nil:
			r.visit(in, declared, known{})
		case !optional:
			fmt.Fprintf(os.Stderr, "there is no %s\n", root)
			os.Exit(1)
		}
	}
	for name, holds := range r.flags {
		fmt.Println(name, holds)
	}
	for place := range r.lost {
		fmt.Fprintln(os.Stderr, place)
	}
}
