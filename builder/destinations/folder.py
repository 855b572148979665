"""A folder of files: manifests, keys, or packages with their repodata, as anybody can serve it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder import disk
from builder.destinations.destination import Destination, copy
from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.destinations.destination import Entry, VerifiedStream


@contextmanager
def new_folder(target: Path) -> Iterator[Destination]:
    """Open a folder that is there when all is committed.

    Raise UsageError where something is there already, OSError.
    """
    if os.path.lexists(target) and (target.is_symlink() or not _is_empty(target)):
        raise UsageError(
            "something is there already",
            where=str(target),
            hint="choose another folder with -o, or remove this one",
        )
    with disk.fresh(target, folder=True) as path:
        yield _NewFolder(target, path)


class _NewFolder(Destination):
    def __init__(self, target: Path, path: Path) -> None:
        self._target = target
        self._path = path

    def put(self, entry: Entry, stream: VerifiedStream) -> None:
        path = self._path / PurePosixPath(entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            disk.publish(file.fileno())
            copy(stream, file)
            file.flush()
            os.fsync(file.fileno())

    def commit(self) -> None:
        self._path.replace(self._target)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
