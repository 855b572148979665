"""cluster.yaml: the reader, and the JSON Schema for editors.

Reading goes in three steps over one report: the shapes of the key table
(:mod:`~builder.formats.cluster.keys`), the rules between keys
(:mod:`~builder.formats.cluster.rules`), and what the catalog supports
(:mod:`~builder.formats.cluster.support`). A fault in one key hides no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from builder.errors import DocumentError, Fault
from builder.formats.cluster import rules, support
from builder.formats.cluster.keys import CLUSTER, FORMAT
from builder.formats.reading import WRONG, Reading, refusal
from builder.formats.text import read_text, yaml_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.model.catalog import Catalog
    from builder.model.choice import Choice
    from builder.model.cluster import Cluster
    from builder.model.hops import Hop

_LOCK = re.compile(r'\{\n"format": [0-9]+,\n"cluster": .*\n"artifacts": \[')
_WRITTEN = re.compile(r'\{\s*"(format|_type|\$schema)": ')
LARGEST = 8 << 20
"""Bytes of a cluster.yaml; ten thousand nodes with labels take two million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCluster:
    cluster: Cluster
    remarks: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCluster(ReadCluster):
    hops: tuple[Hop, ...]
    """The releases that it is led through, its own last."""

    @property
    def choice(self) -> Choice:
        """The releases it is made of."""
        return self.hops[-1].choice


@overload
def read(
    text: str, name: str, *, catalog: None = None, exists: Callable[[str], bool] | None = None
) -> ReadCluster: ...


@overload
def read(
    text: str, name: str, *, catalog: Catalog, exists: Callable[[str], bool] | None = None
) -> ChosenCluster: ...


def read(
    text: str,
    name: str,
    *,
    catalog: Catalog | None = None,
    exists: Callable[[str], bool] | None = None,
) -> ReadCluster:
    """Read a document; raise DocumentError with every fault in it.

    With a catalog, what it does not know or support is a fault too. ``exists`` tells whether a
    local path of the document leads to a file.
    """
    if _LOCK.match(text):
        raise refusal(
            name, "this is a lock, not a cluster.yaml", hint="give the cluster.yaml it was made for"
        )
    if _WRITTEN.match(text):
        what = "this is something that airseed wrote, not a cluster.yaml"
        raise refusal(name, what, hint="`airseed init` writes a cluster.yaml to start from")
    document = yaml_document(text, name)
    reading = Reading(name, document.lines, elsewhere=_place)
    hops = None
    cluster = CLUSTER.read(document.value, "", reading)
    if cluster is not WRONG:
        rules.check(cluster, reading)
        if exists is not None:
            rules.check_files(cluster, exists, reading)
        if catalog is not None:
            hops = support.check(cluster, catalog, reading)
    remarks = tuple(reading.remarks)
    if catalog is None and not reading.faults:
        return ReadCluster(cluster=cluster, remarks=remarks)
    if hops is None or reading.faults:
        raise DocumentError(name, reading.faults, remarks=remarks)
    return ChosenCluster(cluster=cluster, hops=hops, remarks=remarks)


def _place(key: str) -> str | None:
    """Say where a key belongs that stands in another place."""
    from builder.formats.cluster import explain, foreign  # noqa: PLC0415 -- few are wrong

    places = explain.named(key)
    return f"its place is {' or '.join(places)}" if places else foreign.place(key)


def exists_in(folder: Path) -> Callable[[str], bool]:
    """Make what tells whether a local path of a document leads to a file in its folder."""

    def exists(local: str) -> bool:
        try:
            return (folder / local).is_file()
        except OSError:  # too long a name, or a folder that may not be looked into
            return False

    return exists


def load(path: Path, *, catalog: Catalog) -> ChosenCluster:
    """Read a file as :func:`read` does; its local paths are looked up beside it."""
    text = read_text(path, largest=LARGEST)
    return read(text, str(path), catalog=catalog, exists=exists_in(path.parent))


def schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:airseed:cluster:{FORMAT}",
        "title": "airseed cluster.yaml",
        **CLUSTER.schema(),
    }
