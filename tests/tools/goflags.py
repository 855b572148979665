"""Read which arguments, gates and API versions each release of Kubernetes has, out of its modules.

``python tests/tools/goflags.py`` writes the tables in ``mirrors/arguments/`` anew; the interop test
holds them against real programs. Modules come through the ``go`` command. Sources are read, and
nothing of Kubernetes is compiled: ``goflags/main.go`` follows sets of flags through them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gotypes import RELEASES, ROOT, download, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_KUBERNETES = "k8s.io/kubernetes"
_PROGRAMS = {
    "kube-apiserver": "NewAPIServerCommand",
    "kube-controller-manager": "NewControllerManagerCommand",
    "kube-scheduler": "NewSchedulerCommand",
    "kubelet": "NewKubeletCommand",
}
"""The function of each program's package ``app`` that makes its command."""
_STAGING = (
    "apiextensions-apiserver", "apiserver", "client-go", "cloud-provider", "component-base",
    "controller-manager", "kube-aggregator", "legacy-cloud-providers", "pod-security-admission",
)  # fmt: skip
_K = TypeVar("_K")
_FOLDER = "arguments"
_WIDTH = 120
HELP = "help"
"""Which cobra adds to every command."""
_KLOG_LEFT = 26
"""From this minor on, programs have of klog's flags these alone."""
_KLOG = {"v": "integer", "vmodule": ""}
_KNOWN_LOSS = re.compile(
    # klog's own, in one form or another, which are added here; and what the width of a terminal is
    r"component-base@[^:]*/(cli/globalflag|logs|logs/api/v1|cli/flag)/\w+\.go|kubelet/app/options/globalflags.go"
)
_HOLDS = {
    "flag": r"^Bool",
    "count": r"^Uint[0-9]*(?:Var)?P?$|/flags\.uint32Value$",
    "integer": r"^Int[0-9]*(?:Var)?P?$",
    "number": r"^Float",
    "duration": r"^Duration",
    "address": r"(?:^|/flag\.)IPVar$",
}
"""By what a flag holds: the method, or the type, by which it is registered."""
_KUBEADM = "kubeadm"
_KUBEADM_GATES = f"{_KUBERNETES}/cmd/kubeadm/app/features"
_EVERY_GATE = ("AllAlpha", "AllBeta")
_NAMED = re.compile(r"^\s*(?:const\s+)?(\w+)\s+(?:\w+\.)?Feature\s*=\s*\"(\w+)\"", re.MULTILINE)
_PLAIN = re.compile(r"^\s*(?:const\s+)?(\w+)\s*=\s*\"(\w+)\"", re.MULTILINE)
_TABLE = re.compile(
    r"(?:map\[(?:\w+\.)?Feature\](?:\w+\.)?(?:FeatureSpec|VersionedSpecs)|FeatureList)\s*\{"
)
_ROW = re.compile(r"(?:(\w+)\.)?(\w+):\s*\{")
_LOCKED = re.compile(r"Default:\s*(true|false)[^}]*LockToDefault:\s*true")


@cache
def modules(minor: int) -> dict[str, Path]:
    """Return the folders of the modules of one release that have to do with flags."""
    found = {_KUBERNETES: folder_of(_KUBERNETES, minor)}
    text = (found[_KUBERNETES] / "go.mod").read_text("utf-8")
    for name in (f"k8s.io/{name}" for name in _STAGING):
        if re.search(rf"\s{name} v0\.0\.0$", text, re.MULTILINE):
            found[name] = _nearest(name, minor)
    for name in ("k8s.io/klog", "k8s.io/klog/v2", "github.com/spf13/pflag"):
        if version := re.search(rf"\s{name} (v[0-9.]+)$", text, re.MULTILINE):
            found[name] = download(f"{name}@{version[1]}")
    return found


@cache
def _nearest(module: str, minor: int) -> Path:
    """Return a module of a release; of the nearest one where the module proxy lacks that."""
    patch = RELEASES[minor]
    try:
        return folder_of(module, minor)
    except LookupError:
        listed = subprocess.run(
            ["go", "list", "-m", "-versions", module], capture_output=True, text=True, check=True
        )
    known = [tuple(map(int, one)) for one in re.findall(r" v0\.(\d+)\.(\d+)(?= |$)", listed.stdout)]
    for near in sorted(known, key=lambda one: (abs(one[0] - minor), abs(one[1] - patch))):
        try:
            folder = download(f"{module}@v0.{near[0]}.{near[1]}")
        except LookupError:
            continue
        sys.stderr.write(
            f"{module} of 1.{near[0]}.{near[1]} stands for that of 1.{minor}.{patch}\n"
        )
        return folder
    raise LookupError(module)


@cache
def reader() -> Path:
    """Build the program that reads flags."""
    built = Path(tempfile.mkdtemp(prefix="goflags-")) / "goflags"
    source = Path(__file__).parent / "goflags" / "main.go"
    subprocess.run(["go", "build", "-o", built, source], check=True)
    return built


@cache
def flags(program: str, minor: int) -> dict[str, str]:
    """Return the flags of a program, as they are written in a command line, with what they hold."""
    places = modules(minor)
    command = f"{_KUBERNETES}/cmd/{program}/app"
    roots = [f"{command}.{_PROGRAMS[program]}", f"?{command}/options:Options.initFlags"]
    if minor < _KLOG_LEFT:
        roots += [f"{name}.InitFlags" for name in places if name.startswith("k8s.io/klog")]
    names = {name.replace("_", "-"): kind for name, kind in registered(places, *roots).items()}
    return {**names, **_KLOG, HELP: "flag"}


def registered(places: Mapping[str, Path], *roots: str) -> dict[str, str]:
    """Return the flags that functions register, with what they hold."""
    go = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True)
    places = {**places, "flag": Path(go.stdout.strip()) / "src" / "flag"}
    words = " ".join(f"{name}={place}" for name, place in places.items())
    done = subprocess.run([reader(), words, *roots], capture_output=True, text=True, check=True)
    lost = [line for line in done.stderr.splitlines() if not _KNOWN_LOSS.search(line)]
    if lost:
        raise LookupError(f"{roots[0]}: flags that can't be followed: {lost}")
    found = [line.partition(" ") for line in done.stdout.splitlines()]
    return {name: holds(how) for name, _, how in found}


def holds(how: str) -> str:
    """Say what a flag holds that was registered so; "" where that is text, or has a form."""
    return next((kind for kind, form in _HOLDS.items() if re.search(form, how)), "")


def gates(minor: int) -> dict[str, str]:
    """Return the feature gates that programs know, each with the value that it is locked to."""
    found = dict.fromkeys(_EVERY_GATE, "")
    for module, folder in modules(minor).items():
        if module.startswith("k8s.io/") and "klog" not in module:
            for file in sorted(folder.rglob("*.go")):
                path = file.relative_to(folder).as_posix()
                if (
                    re.search(r"(^|/)(features|featuregate|logs|feature)/", path)
                    and "kubeadm" not in path
                ):
                    found |= _gates(file)
    return found


def kubeadm_gates(minor: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(folder_of(_KUBEADM_GATES, minor).glob("*.go")):
        found |= _gates(file)
    return found


@cache
def _names(folder: Path) -> dict[str, str]:
    """Return the text of each constant of a package that names a gate."""
    found: dict[str, str] = {}
    for file in folder.glob("*.go"):
        text = file.read_text("utf-8")
        found |= dict(_NAMED.findall(text))
        if "kubeadm" in folder.as_posix():
            found |= dict(_PLAIN.findall(text))
    return found


def _gates(file: Path) -> dict[str, str]:
    """Return what the tables of a file register."""
    if file.name.endswith("_test.go"):
        return {}
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)
    names = _names(file.parent)
    found = {}
    for start in _TABLE.finditer(text):
        table = _braced(text, start.end())
        place = 0
        while row := _ROW.search(table, place):
            package, name = row.groups()
            specs = _braced(table, row.end())
            place = row.end() + len(specs)
            last = re.findall(r"Default:[^}]*", specs)[-1:]
            locked = _LOCKED.search(last[0]) if last else None
            found[name if package else names.get(name, name)] = locked[1] if locked else ""
    return found


def _braced(text: str, start: int) -> str:
    """Return what stands between an opening brace, just before ``start``, and its closing one."""
    depth, end = 1, start
    while depth and end < len(text):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[start : end - 1]


def plugins(minor: int) -> frozenset[str]:
    """Return the admission plugins that the API server has."""
    file = folder_of(f"{_KUBERNETES}/pkg/kubeapiserver/options", minor) / "plugins.go"
    listed = file.read_text("utf-8").partition("AllOrderedPlugins = ")[2].partition("\n}")[0]
    return frozenset(re.findall(r"^\s*\w+\.\w+,\s*//\s*(\w+)", listed, re.MULTILINE))


Apis = dict[str, dict[str, tuple[str, str]]]


def apis() -> Apis:
    """Return by API version and kind in which releases it is served, and what is served instead.

    Alpha versions are left out: nobody has them who does not ask for them.
    """
    found: Apis = {}
    last = max(RELEASES)
    for minor in RELEASES:
        for module in ("api", "apiextensions-apiserver", "kube-aggregator"):
            folder = _nearest(f"k8s.io/{module}", minor)
            for file in folder.rglob("zz_generated.prerelease-lifecycle.go"):
                version, group = file.parent.name, _group(file.parent)
                if group and "alpha" not in version:
                    for kind, (since, before, instead) in _served(file.read_text("utf-8")).items():
                        words = [f"since 1.{since}"] if _is_new(module, file, kind, since) else []
                        words += [f"before 1.{before}"] if 0 < before <= last else []
                        found.setdefault(f"{group}/{version}", {})[kind] = " ".join(words), instead
    return {api: {k: v for k, v in kinds.items() if v[0]} for api, kinds in sorted(found.items())}


def _is_new(module: str, file: Path, kind: str, since: int) -> bool:
    """Tell whether a type was not there before; upstream counts some that were from a later one."""
    if since - 1 not in RELEASES:
        return False
    before = _nearest(f"k8s.io/{module}", since - 1)
    place = before / file.parent.relative_to(_root(file.parent))
    return not any(
        re.search(rf"^type {kind} struct", one.read_text("utf-8"), re.MULTILINE)
        for one in place.glob("types*.go")
    )


def _root(folder: Path) -> Path:
    """Return the folder of the module that a folder is in."""
    return next(place for place in folder.parents if "@" in place.name)


def _group(folder: Path) -> str:
    for place in (folder, folder.parent):
        for file in (place / "register.go", place / "types.go"):
            text = file.read_text("utf-8") if file.exists() else ""
            if match := re.search(r"GroupName = \"([^\"]+)\"", text):
                return match[1]
    return ""


def _served(text: str) -> dict[str, tuple[int, int, str]]:
    """Return by kind the minors in which it came and went, and its successor."""
    minors = {
        (kind, what): int(minor)
        for kind, what, minor in re.findall(
            r"func \(in \*(\w+)\) APILifecycle(Introduced|Removed)\(\)[^{]*\{\s*return 1, (\d+)",
            text,
        )
    }
    instead = {
        kind: f"{group}/{version}"
        for kind, group, version in re.findall(
            r"func \(in \*(\w+)\) APILifecycleReplacement\(\)[^{]*\{\s*"
            r"return schema.GroupVersionKind\{Group: \"([^\"]*)\", Version: \"(\w+)\"",
            text,
        )
    }
    return {
        kind: (
            minors.get((kind, "Introduced"), 0),
            minors.get((kind, "Removed"), 0),
            instead.get(kind, ""),
        )
        for kind in sorted({kind for kind, _ in minors})
        if not kind.endswith("List")
    }


def apis_written() -> str:
    """Write the table of API versions."""
    seen = ", ".join(f"1.{minor}.{patch}" for minor, patch in RELEASES.items())
    about = (
        "The API versions that releases do not all serve, and what to write instead, read from "
        "the sources of "
        f"{seen} (tests/tools/goflags.py does it). Alpha versions, which nobody has who does not "
        "ask for them, are left out."
    )
    lines = textwrap.wrap(about, 120, initial_indent="# ", subsequent_indent="# ")
    for api, kinds in apis().items():
        lines += [f"{api}:"] if kinds else []
        for kind, (served, instead) in kinds.items():
            more = f", instead: {instead}" if instead else ""
            lines.append(f"  {kind}: {{served: {served}{more}}}")
    return "\n".join(lines) + "\n"


def lives(tables: Mapping[_K, Mapping[str, str]]) -> dict[str, dict[_K, str]]:
    """Turn names by release into releases by name."""
    found: dict[str, dict[_K, str]] = {}
    for release, table in tables.items():
        for name, value in table.items():
            found.setdefault(name, {})[release] = value
    return found


def life(of: Mapping[_K, str], releases: Mapping[_K, str]) -> str:
    """Say in which releases a name is known, and from when on it has one value only."""
    order = [*releases]
    known = [place for place, release in enumerate(order) if release in of]
    first, last = known[0], known[-1]
    words = []
    if first:
        words.append(f"since {releases[order[first]]}")
    if last + 1 < len(order):
        words.append(f"before {releases[order[last + 1]]}")
    if len(known) != last + 1 - first:
        raise ValueError(f"it went and came back: {[*of]}")
    locked = [release for release in order if of.get(release)]
    if locked:
        words.append(f"only {of[locked[-1]]} from {releases[locked[0]]}")
    return " ".join(words) or "always"


MINORS = {minor: f"1.{minor}" for minor in RELEASES}


def written(
    head: str,
    tables: Mapping[int, Mapping[str, str]],
    held: Mapping[str, list[str]] | None = None,
) -> str:
    """Write a table of Kubernetes as the catalog has it."""
    seen = ", ".join(f"1.{minor}.{RELEASES[minor]}" for minor in tables)
    about = f"{head}, read from the sources of {seen} (tests/tools/goflags.py does it)."
    return table(about, tables, MINORS, held)


def table(
    about: str,
    tables: Mapping[_K, Mapping[str, str]],
    releases: Mapping[_K, str],
    held: Mapping[str, list[str]] | None = None,
) -> str:
    """Write names by their lives, and by what they hold."""
    by_life: dict[str, list[str]] = {}
    for name, of in sorted(lives(tables).items()):
        try:
            by_life.setdefault(life(of, releases), []).append(name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    series = [".".join(releases[one].split(".")[:2]) for one in tables]
    lines = [
        *textwrap.wrap(about, 118, initial_indent="# ", subsequent_indent="# "),
        f"first: {series[0]}",
        f"last: {series[-1]}",
        "names:",
    ]
    rows = sorted(by_life.items(), key=lambda row: (_numbers(row[0]), row[0]))
    if held:
        rows += [("", []), *held.items()]
    for key, those in rows:
        if not key:
            lines.append("holds:")
            continue
        start, names = f"  {key}: [", ", ".join(those)
        if len(start) + len(names) > _WIDTH:
            wrapped = textwrap.wrap(names, _WIDTH - 4, break_on_hyphens=False)
            lines += [start, *(f"    {row}" for row in wrapped), "  ]"]
        else:
            lines.append(f"{start}{names}]")
    return "\n".join(lines) + "\n"


def _numbers(life: str) -> list[list[int]]:
    """Return the releases that a life names, for their order."""
    return [[*map(int, one.split("."))] for one in re.findall(r"[0-9.]+", life)]


def held(program: str) -> dict[str, list[str]]:
    """Return by kind the flags that hold it in every release."""
    return alike(flags(program, minor) for minor in RELEASES)


def alike(tables: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return by kind the flags that hold it in every table that has them."""
    kinds: dict[str, set[str]] = {}
    for table in tables:
        for name, kind in table.items():
            kinds.setdefault(name, set()).add(kind)
    return {
        kind: sorted(name for name, those in kinds.items() if those == {kind})
        for kind in _HOLDS
        if {kind} in kinds.values()
    }


def tables() -> Iterator[tuple[str, str]]:
    """Yield every table: the file's name, and its text."""
    for program in _PROGRAMS:
        found = {minor: dict.fromkeys(flags(program, minor), "") for minor in RELEASES}
        head = f"The arguments of {program}"
        yield f"{_FOLDER}/{program}", written(head, found, held(program))
    found = {minor: gates(minor) for minor in RELEASES}
    yield (
        f"{_FOLDER}/feature-gates",
        written("The feature gates of all programs but kubeadm", found),
    )
    found = {minor: kubeadm_gates(minor) for minor in RELEASES}
    yield (
        f"{_FOLDER}/kubeadm-feature-gates",
        written("The feature gates of kubeadm", found),
    )
    found = {minor: dict.fromkeys(plugins(minor), "") for minor in RELEASES}
    yield (
        f"{_FOLDER}/admission-plugins",
        written("The API server's admission plugins", found),
    )
    yield "apis", apis_written()


def main() -> None:
    """Write every table."""
    for name, text in tables():
        file = ROOT / "mirrors" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
