"""``find-images``: the images that Kubernetes manifests start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault
from builder.formats.manifests import find_images
from builder.formats.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def find(files: Iterable[Path]) -> tuple[str, ...]:
    """Return each image once, sorted, as its manifest has it.

    Raise DocumentError with the faults of all files.
    """
    names: set[str] = set()
    faults: list[Fault] = []
    for path in files:
        try:
            names.update(image.text for image in find_images(read_text(path), str(path)))
        except DocumentError as error:
            faults += (
                Fault(where=f"{path}: {fault.where}".rstrip(": "), what=fault.what, hint=fault.hint)
                for fault in error.faults
            )
    if faults:
        raise DocumentError("manifests", faults)
    return tuple(sorted(names))
