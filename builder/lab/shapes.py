"""The shapes of real packages and images, read from the lab's data."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from builder.lab.packages import PackageRecipe
from builder.lab.profiles import read_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.lab.repositories import Groups

_KIB = 1024


def packages(repository: str, scale: float) -> tuple[tuple[PackageRecipe, ...], Groups | None]:
    """Return the packages and groups of a repository, with ``scale`` of the real sizes.

    Raise KeyError for a repository that the lab knows nothing about.
    """
    data = read_data("packages.yaml")["repositories"][repository]
    recipes = [
        recipe for name, entry in data["packages"].items() for recipe in _builds(name, entry, scale)
    ]
    return tuple(recipes), data.get("groups")


def _builds(name: str, entry: Mapping[str, Any], scale: float) -> list[PackageRecipe]:
    large = dict(entry.get("large", {}))
    recipes = []
    for build in entry["builds"]:
        evr, _, arch = build.partition(" ")
        size = int(large.pop(evr, 0) * _KIB * scale)
        recipe = PackageRecipe(
            nevra=f"{name}-{evr}.{arch or 'x86_64'}",
            size=max(size, 256),
            requires=tuple(entry.get("requires", ())),
            provides=tuple(entry.get("provides", ())),
            conflicts=tuple(entry.get("conflicts", ())),
            obsoletes=tuple(entry.get("obsoletes", ())),
            files=tuple(entry.get("files", ())),
        )
        recipes.append(recipe)
    if large:
        raise ValueError(f"packages.yaml: {name} has no build {', '.join(large)}")
    return recipes


def image(path: str, tag: str, scale: float) -> dict[str, Any]:
    """Return the shape of an image as arguments for ``Upstream.add_image``."""
    data = read_data("images.yaml")
    name = path.rpartition("/")[2]
    entry = data["images"].get(name) or data["images"]["other"]
    is_oci = any(fnmatchcase(f"{name}:{tag}", pattern) for pattern in data["oci"])

    def scaled(size: int) -> int:
        return max(int(size * _KIB * scale), 512)

    return {
        "platforms": data["platforms"][entry["platforms"]],
        "size": scaled(entry["size"]),
        "bases": [(base, scaled(data["bases"][base])) for base in entry.get("bases", [])],
        "index": entry.get("index", True),
        "era": "oci" if is_oci else "docker",
        "attestations": is_oci,
    }
