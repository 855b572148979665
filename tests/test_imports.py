"""The import table: which room may look into which, and who owns which library."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
BASE = {
    "assets", "backoff", "closing", "disk", "errors", "host_port", "openpgp", "ordered", "owners",
    "redact", "report", "strict_json", "threads",
}  # fmt: skip
LIBRARIES = BASE | {"model"}
DOCUMENTS = LIBRARIES | {"formats"}
NETWORK = LIBRARIES | {"http"}
BELOW_PIPELINE = DOCUMENTS | NETWORK | {"oci", "rpm", "bundle", "image_signatures", "sources"}
ROOMS: dict[str, set[str]] = {
    "backoff": set(),
    "closing": set(),
    "errors": {"ordered", "redact"},
    "host_port": set(),
    "openpgp": set(),
    "ordered": set(),
    "redact": set(),
    "report": set(),
    "strict_json": set(),
    "threads": set(),
    "assets": {"errors"},
    "disk": {"errors"},
    "owners": {"disk", "errors"},
    "model": {"errors", "host_port", "ordered"},
    "formats": LIBRARIES,
    "http": LIBRARIES,
    "oci": NETWORK,
    "rpm": LIBRARIES,
    "bundle": LIBRARIES,
    "render": LIBRARIES,
    "secrets": LIBRARIES,
    "image_signatures": LIBRARIES,
    "destinations": NETWORK | {"bundle", "oci"},
    "sources": DOCUMENTS | NETWORK | {"oci", "rpm", "bundle", "image_signatures"},
    "server": {"host_port"},
    "serve": LIBRARIES | {"server", "bundle", "oci"},
    "lab": BELOW_PIPELINE | {"secrets", "server"},
    "pipeline": BELOW_PIPELINE | {"destinations", "render", "secrets", "serve", "server"},
    "cli": DOCUMENTS | {"pipeline"},
    "__main__": {"cli"},
}
"""Which rooms each room may import; itself is always allowed."""
EXCEPTIONS = {("builder/pipeline/demo.py", "lab")}
OWNERS: dict[str, set[str]] = {
    "boto3": {"destinations"},
    "botocore": {"destinations"},
    "click": {"cli"},
    "rich": {"cli"},
    "requests": {"http"},
    "urllib3": {"http"},
    "certifi": {"http"},
    "yaml": {"formats", "render"},
    "hcl2": {"render"},
    "jinja2": {"render"},
    "pycdlib": {"render"},
    "solv": {"rpm"},
    "createrepo_c": {"rpm", "lab"},
    "rpm_rs": {"rpm", "lab"},
    "pysequoia": {"rpm", "lab"},
    "bcrypt": {"serve"},
    "cryptography": {"lab", "secrets", "image_signatures"},
}
"""Which rooms may import each third-party library; any other library is refused."""
STAND_INS = {"backports", "compression"}
"""The standard library of a newer Python, and its stand-ins; open to everybody."""


def room_of(path: str) -> str:
    """Return the room of a file: builder/rpm/closure.py is in rpm, builder/errors.py in errors."""
    return Path(path).parts[1].removesuffix(".py")


def nodes_at_runtime(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from nodes_at_runtime(child)


def imports_of(source: str, *, annotations: bool = True) -> list[tuple[int, str]]:
    """Return line and full name of every import, wherever it stands."""
    found: list[tuple[int, str]] = []
    tree = ast.parse(source)
    for node in ast.walk(tree) if annotations else nodes_at_runtime(tree):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, name.name) for name in names]
            case ast.ImportFrom(module=module, level=0, names=names) if module:
                found += [(node.lineno, f"{module}.{name.name}") for name in names]
            case ast.ImportFrom():
                found.append((node.lineno, "." * node.level))
    return found


def faults(path: str, source: str) -> list[str]:
    """Return what one file imports against the table."""
    room = room_of(path)
    if room not in ROOMS:
        return [f"{path}: the room {room!r} is not in the import table"]
    found = []
    for line, name in imports_of(source):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if name.startswith("."):
            reason = "a relative import"
        elif top == "builder":
            if target in ROOMS[room] | {room} or (path, target) in EXCEPTIONS:
                continue
            if target not in ROOMS:  # `from builder import __version__` and the like
                continue
            reason = f"{room} may not look into {target}"
        elif top in sys.stdlib_module_names or top in STAND_INS or room in OWNERS.get(top, ()):
            continue
        else:
            owners = ", ".join(sorted(OWNERS.get(top, set()))) or "nobody yet"
            reason = f"{top} belongs to {owners}"
        found.append(f"{path}:{line}: imports {name}: {reason}")
    return found


def circle(sources: Mapping[str, str]) -> str:
    """Return modules that import each other in a circle, or "" where none do."""
    graph = {}
    for module, source in sources.items():
        names = [name for _, name in imports_of(source, annotations=False)]
        targets = (name if name in sources else name.rpartition(".")[0] for name in names)
        graph[module] = {target for target in targets if target in sources}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def test_no_modules_import_each_other_in_a_circle() -> None:
    sources = {}
    for file in (ROOT / "builder").rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        sources[module] = file.read_text("utf-8")
    assert circle(sources) == ""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import c", ""),
        ("from a import x", "a <- b <- a"),
        ("def f():\n    import a.d\n    from a import x\n", "a <- b <- a"),
        ("if TYPE_CHECKING:\n    from a import x\n", ""),
    ],
)
def test_a_circle_is_told_by_its_modules(source: str, found: str) -> None:
    assert circle({"a": "import b\n", "b": source, "c": ""}) == found


def test_every_import_is_allowed() -> None:
    found = [
        fault
        for file in sorted((ROOT / "builder").rglob("*.py"))
        if file.name != "__init__.py" or file.parent != ROOT / "builder"
        for fault in faults(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        (
            "builder/rpm/closure.py",
            "import os\nfrom builder.oci import pull\n",
            "builder/rpm/closure.py:2: imports builder.oci.pull: rpm may not look into oci",
        ),
        (
            "builder/model/digest.py",
            "def f():\n    import yaml\n",
            "builder/model/digest.py:2: imports yaml: yaml belongs to formats, render",
        ),
        (
            "builder/oci/pull.py",
            "from requests import get\n",
            "builder/oci/pull.py:1: imports requests.get: requests belongs to http",
        ),
        (
            "builder/pipeline/lock.py",
            "from builder import lab\n",
            "builder/pipeline/lock.py:1: imports builder.lab: pipeline may not look into lab",
        ),
        (
            "builder/cli/lock.py",
            "import pydantic\n",
            "builder/cli/lock.py:1: imports pydantic: pydantic belongs to nobody yet",
        ),
        (
            "builder/cli/lock.py",
            "from . import verb\n",
            "builder/cli/lock.py:1: imports .: a relative import",
        ),
        (
            "builder/utils/x.py",
            "",
            "builder/utils/x.py: the room 'utils' is not in the import table",
        ),
    ],
)
def test_the_table_names_file_and_import(path: str, source: str, fault: str) -> None:
    assert faults(path, source) == [fault]


def test_only_the_demo_may_look_into_the_lab() -> None:
    assert faults("builder/pipeline/demo.py", "from builder.lab import upstream\n") == []


def test_no_verb_looks_into_another() -> None:
    """What several need is in a module of its own, such as ``workspace``; the demo runs them."""
    verbs = {verb.replace("-", "_") for verb in VERBS} - {"demo"}
    others = [
        f"{file.relative_to(ROOT)}:{line}: imports {name}"
        for file in sorted((ROOT / "builder/pipeline").rglob("*.py"))
        for verb in verbs.intersection(file.relative_to(ROOT / "builder/pipeline").parts[:1])
        | verbs.intersection({file.stem})
        for line, name in imports_of(file.read_text("utf-8"))
        if name.startswith("builder.pipeline.") and name.split(".")[2] in verbs - {verb}
    ]
    assert not others, "\n" + "\n".join(others)


@pytest.mark.parametrize("arguments", [["--help"], ["bundle", "--help"], ["completion", "bash"]])
def test_start_up_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from builder.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "finally:\n"
        "    tops = {name.partition('.')[0] for name in sys.modules}\n"
        "    print(*sorted(tops - sys.stdlib_module_names - {'__main__'}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.split() == ["builder", "click"]
