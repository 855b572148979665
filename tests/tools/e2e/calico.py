"""Calico for the lab: its own manifests where they are there, and images that have its names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from builder.formats import catalog as catalog_format
from builder.lab.profiles import DATA, read_data

if TYPE_CHECKING:
    from builder.model.catalog.calico import CalicoRelease

VERSION = "3.18.6"
# beside the project, where it is; no part of it
_REAL = Path(__file__).resolve().parents[3].parent / f"shared/upstream/calico/v{VERSION}"


@cache
def release() -> CalicoRelease:
    """Return what the catalog knows of it."""
    return catalog_format.load([]).calico(VERSION)


def images() -> tuple[str, ...]:
    """Return the references of the operator and of all that it starts."""
    calico = release()
    return tuple(map(str, (calico.operator, *calico.started_by(calico.of.images))))


@cache
def manifests() -> dict[str, str]:
    """Return the manifests by name: the real ones, or those that the lab has made up."""
    if _REAL.is_dir():
        return {path.name: path.read_text("utf-8") for path in sorted(_REAL.glob("*.yaml"))}
    words = {
        "operator": str(release().operator),
        "registry": str(release().started_by(release().of.images)[0].repository).rpartition("/")[0],
        "version": f"v{VERSION}",
    }
    return {
        name: Template(
            "".join((DATA / "manifests" / part).read_text("utf-8") for part in parts)
        ).substitute(words)
        for name, parts in read_data("world.yaml")["manifests"].items()
    }
