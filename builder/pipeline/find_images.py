"""``find-images``: the images that Kubernetes manifests start, and what else may start some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault, reason
from builder.formats import manifests
from builder.formats.reading import refusal
from builder.formats.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.formats.manifests import Manifest

_SUFFIXES = {".yaml", ".yml", ".json"}


def find(files: Iterable[Path]) -> tuple[Manifest, ...]:
    """Read manifests, and those in folders, as kubectl does.

    Raise DocumentError with the faults of all files.
    """
    found: list[Manifest] = []
    faults: list[Fault] = []
    for path in _files(files):
        try:
            found.append(manifests.read(read_text(path), str(path), applied=True))
        except DocumentError as error:
            faults += [fault.inside(str(path)) for fault in error.faults]
    if faults:
        raise DocumentError("manifests", faults)
    return tuple(found)


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            inside = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
        except OSError as error:
            raise refusal(str(path), reason(error)) from error
        if not inside:
            expected = "files that end in .yaml, .yml or .json"
            raise refusal(str(path), "there is no manifest in this folder", expected=expected)
        yield from inside
