"""``find-images``: the images that Kubernetes manifests start, and what else may start some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.bundle.layout import README_PATH
from builder.errors import DocumentError, Fault
from builder.formats import manifests
from builder.formats.reading import refusal
from builder.formats.text import decode, read_content

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
            found.append(manifests.read(decode(_content(path), str(path)), str(path)))
        except DocumentError as error:
            faults += (
                Fault(where=f"{path}: {fault.where}".rstrip(": "), what=fault.what, hint=fault.hint)
                for fault in error.faults
            )
    if faults:
        raise DocumentError("manifests", faults)
    return tuple(found)


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
        else:
            yield path


def _content(path: Path) -> bytes:
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(len(README_PATH))
        if head == README_PATH.encode():
            raise refusal(
                str(path),
                "a bundle, not a manifest",
                hint=f"airseed inspect {path} lists its images",
            )
    return read_content(path)
