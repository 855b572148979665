"""Which manifest of an index containerd takes: it reads platforms its own way.

An empty system is its own, upper case and other names of processors are understood, and an entry
counts by its platform alone, be it a statement about an image or no manifest at all
(containerd's images/image.go and platforms/database.go).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.oci.manifest import runs, usual

if TYPE_CHECKING:
    from builder.oci.manifest import OciIndex

_PROCESSORS = {
    "i386": "386",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
}
_VARIANTS = {"armhf": "v7", "armel": "v6"}
_SYSTEMS = {"macos": "darwin"}


def taken(index: OciIndex, platform: Platform) -> Digest | None:
    """Return the digest of the first entry that fits a platform best; of sha256, as all here."""
    entries: list[tuple[Platform, Digest]] = []
    for entry in strict_json.load(index.content)["manifests"]:
        own = _platform(entry.get("platform"), platform.os) if isinstance(entry, dict) else None
        with contextlib.suppress(ValueError, TypeError):
            entries += [(own, Digest.parse(entry["digest"]))] if own else []
    for variant in runs(platform):
        wanted = replace(platform, variant=variant)
        for own, digest in entries:
            if own == wanted:
                return digest
    return None


def _platform(item: Any, system: str) -> Platform | None:
    """Read the platform of an entry on a machine of a system; None where it has none."""
    if not isinstance(item, dict):
        return None
    texts = [item.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(text, str) for text in texts):
        return None
    own, processor, variant = (text.lower() for text in texts)
    return usual(
        Platform(
            _SYSTEMS.get(own, own) or system,
            _PROCESSORS.get(processor, processor),
            _VARIANTS.get(processor, f"v{variant}" if variant.isdecimal() else variant),
        )
    )
