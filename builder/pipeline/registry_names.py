"""The names that images have in the internal registry, where no two may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.model.artifact import Image
    from builder.model.cluster import Registry
    from builder.model.digest import Digest


def refuse_clashes(images: Iterable[Image], registry: Registry | None) -> None:
    """Raise DocumentError for images that would have one name in the internal registry."""
    if registry is None:
        return
    found: dict[str, dict[Digest, str]] = {}
    for image in images:
        found.setdefault(image.reference.mapped(str(registry)), {})[image.digest] = image.name
    faults = [
        Fault(
            where="registry",
            what=f"{' and '.join(names.values())} would both be {there}",
            hint="only one of them can be had from there",
        )
        for there, names in found.items()
        if len(names) > 1
    ]
    if faults:
        raise DocumentError("cluster.yaml", faults)
