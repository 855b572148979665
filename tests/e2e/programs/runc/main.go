// Start runc without what a host that withholds CAP_SYS_RESOURCE forbids: to grant that capability,
// which every privileged container asks for, and to lower oom_score_adj, which kubelet asks for.
//
// It stands before /usr/bin/runc in the PATH of a machine's services, and only on such hosts.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const real, withheld = "/usr/bin/runc", "CAP_SYS_RESOURCE"

func main() {
	for i := 1; i+1 < len(os.Args); i++ {
		var err error
		switch os.Args[i] {
		case "--bundle", "-b":
			err = rewrite(filepath.Join(os.Args[i+1], "config.json"), func(document map[string]any) any {
				return document["process"]
			})
		case "--process", "-p":
			err = rewrite(os.Args[i+1], func(document map[string]any) any { return document })
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "runc without", withheld+":", err)
			os.Exit(1)
		}
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(real, append([]string{real}, os.Args[1:]...), os.Environ()))
	os.Exit(1)
}

func rewrite(path string, find func(map[string]any) any) error {
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	var document map[string]any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber() // limits have up to 64 bits
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	process, ok := find(document).(map[string]any)
	if !ok {
		return nil
	}
	if score, ok := process["oomScoreAdj"].(json.Number); ok && strings.HasPrefix(score.String(), "-") {
		process["oomScoreAdj"] = 0
	}
	if sets, ok := process["capabilities"].(map[string]any); ok {
		for name, set := range sets {
			sets[name] = without(set)
		}
	}
	if content, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

func without(set any) any {
	names, ok := set.([]any)
	if !ok {
		return set
	}
	kept := []any{}
	for _, name := range names {
		if name != withheld {
			kept = append(kept, name)
		}
	}
	return kept
}
