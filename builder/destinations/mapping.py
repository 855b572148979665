"""The mapping of names as a document, for whoever configures what pulls from a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.model.image_names import ImageNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.destinations.registry import Pushed
    from builder.model.registry import Registry


def mapping(registry: Registry, pushed: Iterable[Pushed]) -> bytes:
    """Return each source's names in the registry, and what they mean there."""
    pushed = list(pushed)
    sources: dict[str, dict[str, Any]] = {}
    for one in pushed:
        entry = sources.setdefault(
            one.image.name,
            {
                "source": one.image.name,
                "names": [],
                "digest": str(one.digest),
                "index": str(one.image.digest),
                "platforms": {},
            },
        )
        if one.name not in entry["names"]:  # a second bundle may have more platforms of it
            entry["names"].append(one.name)
        for part in one.image.manifests:
            entry["platforms"].setdefault(str(part.platform), str(part.digest))
    references = [one.image.reference for one in pushed]
    document = {
        "mapping": 1,
        "registry": str(registry),
        "imageRepository": ImageNames(registry).kubeadm_folder(references),
        "images": [sources[name] for name in sorted(sources)],
    }
    return json.dumps(document, indent=2).encode() + b"\n"
