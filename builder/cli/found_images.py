"""What was looked into for images, and what of it a person has to judge."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from builder.cli.amounts import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.cli.console import Console
    from builder.errors import Fault
    from builder.formats.manifests import Manifest, MentionedImage, StartedImage

_MOST_LINES = 40


def value(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return all of it as plain values."""
    return {
        "files": [
            {"file": manifest.name, "documents": dict(_kinds([manifest]))} for manifest in manifests
        ],
        "images": [_image(manifest, image) for manifest in manifests for image in manifest.images],
        "mentioned": [
            _image(manifest, image) for manifest in manifests for image in manifest.mentioned
        ],
        "notUnderstood": [
            {"file": manifest.name, "where": fault.where, "what": fault.what, "hint": fault.hint}
            for manifest in manifests
            for fault in manifest.not_understood
        ],
        "extra": {"images": _pasteable(manifests)},
    }


def tell(manifests: Sequence[Manifest], console: Console) -> None:
    """Tell on standard error what was read, what only looks like an image, and what is unclear."""
    if not manifests:
        return
    kinds = ", ".join(f"{count} {kind or 'without a kind'}" for kind, count in _kinds(manifests))
    count = sum(len(manifest.resources) for manifest in manifests)
    console.info(
        f"looked into {quantity(count, 'documents')} of {quantity(len(manifests), 'files')}"
        f"{': ' if kinds else ''}{kinds}"
    )
    mentioned = [
        f"{manifest.name}:{image.place.line}: {image.place}: {image.text}"
        for manifest in manifests
        for image in manifest.mentioned
    ]
    if mentioned:
        console.warn(
            "these look like images, but are not in a pod spec; they are not bundled unless you "
            "ask for them:"
        )
        _lines(mentioned, console)
        console.note("  hint: those that the cluster will ask for go into cluster.yaml:")
        console.note("extra:\n  images:")
        for image in _pasteable(manifests):
            console.note(f"    - {image}")
    unclear = [
        _unclear(manifest.name, fault)
        for manifest in manifests
        for fault in manifest.not_understood
    ]
    if unclear:
        console.warn("more images may be started by what is not understood:")
        _lines(unclear, console)


def _lines(lines: Sequence[str], console: Console) -> None:
    for line in lines[:_MOST_LINES]:
        console.note(f"  {line}")
    if len(lines) > _MOST_LINES:
        console.note(f"  ... and {len(lines) - _MOST_LINES} more, which --json has")


def _kinds(manifests: Sequence[Manifest]) -> list[tuple[str, int]]:
    return sorted(
        Counter(resource.kind for manifest in manifests for resource in manifest.resources).items()
    )


def _unclear(name: str, fault: Fault) -> str:
    return f"{name}: {fault}{f'; {fault.hint}' if fault.hint else ''}"


def _pasteable(manifests: Sequence[Manifest]) -> list[str]:
    return sorted({str(image.text) for manifest in manifests for image in manifest.mentioned})


def _image(manifest: Manifest, image: StartedImage | MentionedImage) -> dict[str, Any]:
    place = image.place
    return {
        "image": image.text,
        "reference": str(image.reference),
        "file": manifest.name,
        "line": place.line,
        "resource": str(place.resource),
        "path": place.path,
    }
