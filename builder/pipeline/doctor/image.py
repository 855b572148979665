"""Whether machines of an image may take the seeds of a cluster: image.json beside the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats.text import json_value, read_text
from builder.pipeline import fit, image_plan
from builder.render.packer import folder

if TYPE_CHECKING:
    from pathlib import Path

    from builder.pipeline.workspace import Workspace

_LIMIT = 4 << 20
_FORMAT = 1
_WORDS = ("cluster", "kubernetes", "os", "runtime", "cni", "bundle")
_LISTS = ("packages", "images")


def compare(workspace: Workspace, path: Path) -> tuple[str, list[Fault]]:
    """Return the image's name, and in what it is not of the cluster's lock.

    Raise DocumentError for a file that is not an image.json, and for a cluster.yaml or lock that is
    wrong.
    """
    found = _read(path)
    wanted = folder.contents(image_plan.plan(workspace, fit.require(workspace)))
    faults = [
        Fault(where=key, what=f"the image has {found[key]}", expected=f"{wanted[key]}, by the lock")
        for key in _WORDS
        if found[key] != wanted[key]
    ]
    for key in _LISTS:
        faults += [
            Fault(where=f"{key}: {name}", what="the image lacks it")
            for name in sorted({*wanted[key]} - {*found[key]})
        ]
        faults += [
            Fault(where=f"{key}: {name}", what="the image has it, but the lock no longer names it")
            for name in sorted({*found[key]} - {*wanted[key]})
        ]
    return found["image"], faults


def _read(path: Path) -> dict[str, Any]:
    name = str(path)
    document = json_value(read_text(path, largest=_LIMIT), name, integers=False)
    texts = ("image", *_WORDS)
    if not (
        isinstance(document, dict)
        and document.get("format") == _FORMAT
        and all(_is_line(document.get(key)) for key in texts)
        and all(
            isinstance(document.get(key), list) and all(map(_is_line, document[key]))
            for key in _LISTS
        )
    ):
        what = "this is not the image.json of an image that airseed baked"
        hint = "scp MACHINE:/etc/airseed/image.json ."
        raise DocumentError(name, [Fault(where="", what=what, hint=hint)])
    return document


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()
