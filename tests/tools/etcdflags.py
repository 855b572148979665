"""Read which arguments each release of etcd has, out of its modules.

``python tests/tools/etcdflags.py`` writes ``mirrors/arguments/etcd.yaml`` anew; the interop test
makes it again and compares. It is read as the programs of Kubernetes are (:mod:`goflags`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import goflags
from gotypes import ROOT, download

if TYPE_CHECKING:
    from pathlib import Path

FILE = ROOT / "mirrors" / "arguments" / "etcd.yaml"
_ETCD = "go.etcd.io/etcd"
_BEFORE_MODULES = {
    "3.4.3": "v0.5.0-alpha.5.0.20191023171146-3cf2f69b5738",
    "3.4.9": "v0.5.0-alpha.5.0.20200520232829-54ba9589114f",
    "3.4.13": "v0.5.0-alpha.5.0.20200819165624-17cef6e3e9d5",
}
"""Releases that the module proxy knows by their commits only."""
_PATCHES = {"3.5": 25, "3.6": 9}
"""How many patches of a series are looked at."""
_MODULES = ("server/v3", "pkg/v3", "client/pkg/v3")
RELEASES = (
    *_BEFORE_MODULES,
    *(f"{series}.{patch}" for series, count in _PATCHES.items() for patch in range(count)),
)
_NAMES = {one: one.removesuffix(".0") for one in RELEASES}
"""What a release is called where a name came with it: the first of a series by that."""


def flags(release: str) -> dict[str, str]:
    """Return the flags of a release, with what they hold."""
    places: dict[str, Path]
    if release in _BEFORE_MODULES:
        places = {_ETCD: download(f"{_ETCD}@{_BEFORE_MODULES[release]}")}
        main = f"{_ETCD}/etcdmain"
    else:
        places = {
            f"{_ETCD}/{module}": download(f"{_ETCD}/{module}@v{release}") for module in _MODULES
        }
        main = f"{_ETCD}/server/v3/etcdmain"
    return {**goflags.registered(places, f"{main}.newConfig"), goflags.HELP: "flag"}


def written() -> str:
    """Write the table as the catalog has it."""
    tables = {release: flags(release) for release in RELEASES}
    seen = ", ".join(_BEFORE_MODULES)
    seen += "".join(f", {series}.0 to {series}.{last - 1}" for series, last in _PATCHES.items())
    about = (
        "The arguments of etcd, by its own releases, read from the sources of "
        f"{seen} (tests/tools/etcdflags.py does it)."
    )
    names = {release: dict.fromkeys(table, "") for release, table in tables.items()}
    return goflags.table(about, names, _NAMES, goflags.alike(tables.values()))


def main() -> None:
    """Write the table."""
    FILE.write_text(written(), "utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
