"""Read the Go types of Kubernetes' configuration documents out of its published modules.

``python tests/tools/gotypes.py`` writes the tables in ``mirrors/configuration/`` anew; the interop
test reads the same modules and compares. Modules come through the ``go`` command. Types are read,
not compiled: struct fields with their JSON names, embedded structs flattened.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
RELEASES = {
    18: 5, 19: 5, 20: 15, 21: 14, 22: 17, 23: 17, 24: 17, 25: 16, 26: 15, 27: 16,
    28: 15, 29: 15, 30: 14, 31: 14, 32: 13, 33: 9, 34: 5, 35: 3, 36: 0,
}  # fmt: skip
"""The patch of each minor version that is looked at; the types do not change between patches."""
_KUBEADM = "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
_BASIC = {
    "string": "text",
    "[]byte": "text",
    "bool": "flag",
    "float32": "number",
    "float64": "number",
    "time.Duration": "integer",
    "interface{}": "anything",
}
_INTEGER = re.compile(r"u?int(?:8|16|32|64)?")
_SPECIAL = {
    "Duration": "duration",
    "Quantity": "quantity",
    "QuantityValue": "quantity",
    "IntOrString": "anything",
    "RawExtension": "anything",
    "TimeOrMetaDuration": "anything",
}
"""Types with a JSON form of their own; any other of that sort is text."""
_TYPE = re.compile(r"^type (\w+) (struct \{|[^\n{=]+$)", re.MULTILINE)
_GROUPED = re.compile(r"^\t(\w+) (struct \{)$", re.MULTILINE)
_FIELD = re.compile(r"^\s*(?:(\w+)\s+)?([\w.\[\]*{}]+)\s+`json:\"([^\"]*)\"[^`]*`")
_IMPORT = re.compile(r'^\s*(?:import\s+)?(\w+)?\s*"(k8s\.io/[^"]+)"', re.MULTILINE)
_OWN_FORM = re.compile(r"^func \(\w* ?\*?(\w+)\) UnmarshalJSON\(", re.MULTILINE)
Types = dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Say where one table comes from."""

    name: str
    """The table's file, without ``.yaml``."""
    group: str
    package: str
    kinds: tuple[str, ...]
    minors: tuple[int, ...]
    what: str
    """What stands on top of the file."""

    def tables(self) -> dict[int, Types]:
        """Read the types of every release that is looked at."""
        return {minor: read(self.package, self.kinds, minor) for minor in self.minors}


def _kubeadm(version: str, minors: tuple[int, ...], *more: str) -> Source:
    return Source(
        name=f"kubeadm-{version}",
        group="kubeadm.k8s.io",
        package=f"{_KUBEADM}/{version}",
        kinds=("InitConfiguration", "ClusterConfiguration", "JoinConfiguration", *more),
        minors=minors,
        what="kubeadm's own documents",
    )


SOURCES = (
    _kubeadm("v1beta2", (18, 19, 20, 21)),
    _kubeadm("v1beta3", (22, 23, 24, 26, 28, 30)),
    _kubeadm("v1beta4", (31, 32, 33, 34, 35, 36)),
    Source(
        name="kubelet-v1beta1",
        group="kubelet.config.k8s.io",
        package="k8s.io/kubelet/config/v1beta1",
        kinds=("KubeletConfiguration",),
        minors=tuple(RELEASES),
        what="kubelet's document",
    ),
    Source(
        name="kube-proxy-v1alpha1",
        group="kubeproxy.config.k8s.io",
        package="k8s.io/kube-proxy/config/v1alpha1",
        kinds=("KubeProxyConfiguration",),
        # the module proxy has no module of the four minors between
        minors=tuple(minor for minor in RELEASES if minor not in {25, 26, 31, 33}),
        what="kube-proxy's document",
    ),
)


@dataclass(kw_only=True)
class _Package:
    structs: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """Body and imports of each struct."""
    aliases: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """What each other named type is, and the imports of its file."""
    own_form: set[str] = field(default_factory=set)


@cache
def folder_of(path: str, minor: int) -> Path:
    """Return the folder of a package in the module cache, downloading its module first."""
    module = "/".join(path.split("/")[:2])
    major = 1 if module == "k8s.io/kubernetes" else 0
    folder = download(f"{module}@v{major}.{minor}.{RELEASES[minor]}")
    return folder / path.removeprefix(module).lstrip("/")


@cache
def download(module: str) -> Path:
    """Return the folder of ``MODULE@VERSION`` in the module cache."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            ["go", "mod", "download", "-json", module],
            cwd=empty,
            capture_output=True,
            text=True,
            check=False,
        )
    answer = json.loads(done.stdout)
    if "Dir" not in answer:
        raise LookupError(answer.get("Error", done.stderr))
    return Path(answer["Dir"])


@cache
def _package(path: str, minor: int) -> _Package:
    found = _Package()
    for file in sorted(folder_of(path, minor).glob("*.go")):
        if file.name.endswith("_test.go"):
            continue
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)
        imports = {
            alias or target.rpartition("/")[2]: target for alias, target in _IMPORT.findall(code)
        }
        found.own_form |= set(_OWN_FORM.findall(code))
        for match in (*_TYPE.finditer(code), *_GROUPED.finditer(code)):
            name, what = match.groups()
            if what == "struct {":
                body = code[match.end() : code.find("\n}", match.end())]
                found.structs.setdefault(name, (body, imports))
            else:
                found.aliases.setdefault(name, (what.strip(), imports))
    return found


@dataclass(kw_only=True)
class _Reader:
    minor: int
    types: Types = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def struct(self, name: str, path: str) -> None:
        """Read a struct and all that its fields lead to."""
        if self.origin.setdefault(name, path) != path:
            raise ValueError(f"two types are called {name}: in {path} and {self.origin[name]}")
        if name in self.types:
            return
        self.types[name] = {}
        for key, text in self.fields(name, path):
            self.types[name][key] = text

    def fields(self, name: str, path: str) -> Iterator[tuple[str, str]]:
        body, imports = _package(path, self.minor).structs[name]
        for line in body.splitlines():
            match = _FIELD.match(line)
            if not match:
                continue
            _, kind, tag = match.groups()
            key, *options = tag.split(",")
            if "inline" in options:
                package, _, base = kind.rpartition(".")
                if base != "TypeMeta":
                    yield from self.fields(base, imports[package] if package else path)
            elif key and key != "-":
                yield key, self.type(kind, path, imports)

    def type(self, text: str, path: str, imports: Mapping[str, str]) -> str:
        """Return a Go type in the tables' words."""
        text = text.lstrip("*")
        if text.startswith("[]") and text != "[]byte":
            return f"list of {self.type(text[2:], path, imports)}"
        if text.startswith("map["):
            return f"map of {self.type(text[text.index(']') + 1 :], path, imports)}"
        return _basic(text) or self.named(text, path, imports)

    def named(self, text: str, path: str, imports: Mapping[str, str]) -> str:
        """Return a type of a package in the tables' words."""
        package, _, name = text.rpartition(".")
        where = imports[package] if package else path
        found = _package(where, self.minor)
        if name in _SPECIAL:
            return _SPECIAL[name]
        if name in found.own_form:
            return "text"
        if name in found.aliases:
            other, its_imports = found.aliases[name]
            return self.type(other, where, its_imports)
        self.struct(name, where)
        return name


def _basic(text: str) -> str | None:
    return "integer" if _INTEGER.fullmatch(text) else _BASIC.get(text)


def read(package: str, kinds: tuple[str, ...], minor: int) -> Types:
    """Read the types of some documents in one release: type of each field by type and field."""
    reader = _Reader(minor=minor)
    for kind in kinds:
        reader.struct(kind, package)
    return reader.types


def merged(tables: Mapping[int, Types]) -> Types:
    """Make one table of several releases; what not all of them have says since when."""
    names = dict.fromkeys(name for table in tables.values() for name in table)
    found: Types = {}
    for name in names:
        keys = dict.fromkeys(key for table in tables.values() for key in table.get(name, ()))
        found[name] = {key: _life(tables, name, key) for key in keys}
    return found


def _life(tables: Mapping[int, Types], name: str, key: str) -> str:
    having = {
        minor: table[name][key] for minor, table in tables.items() if key in table.get(name, ())
    }
    minors, kinds = list(tables), set(having.values())
    first, last = min(having), max(having)
    if list(having) != [one for one in minors if first <= one <= last]:
        raise ValueError(f"{name}.{key} came back: {having}")
    # one field has changed its type in all these years, logging's flushFrequency
    text = kinds.pop() if len(kinds) == 1 else "anything"
    if first != minors[0]:
        text += f" since 1.{first}"
    if last != minors[-1]:
        text += f" before 1.{minors[minors.index(last) + 1]}"
    return text


def written(source: Source) -> str:
    """Write a table as the catalog has it."""
    tables = source.tables()
    seen = ", ".join(f"1.{minor}.{RELEASES[minor]}" for minor in tables)
    what = (
        f"The fields of {source.what}, read from the Go types in {source.package} of {seen} "
        "(tests/tools/gotypes.py does it)."
    )
    lines = [
        *textwrap.wrap(what, 100, initial_indent="# ", subsequent_indent="# "),
        f"group: {source.group}",
        f"kinds: [{', '.join(source.kinds)}]",
        "types:",
    ]
    for name, fields in merged(tables).items():
        lines.append(f"  {name}:" if fields else f"  {name}: {{}}")
        lines += [f"    {key}: {text}" for key, text in fields.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every table."""
    for source in SOURCES:
        file = ROOT / "mirrors" / "configuration" / f"{source.name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(written(source), "utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
