"""One tar of images: a docker archive and an OCI layout over the same blobs.

``docker load``, ``ctr images import`` and skopeo take it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import tar
from builder.destinations.destination import Destination, copy
from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from builder.destinations.destination import Entry, VerifiedStream

_FIRST = b"oci-layout\0"
"""The first bytes of an archive of images: the name of its first file."""


@contextmanager
def image_archive(target: Path, *, force: bool) -> Iterator[Destination]:
    """Open a new archive; with ``force`` it takes the place of an earlier one when committed.

    Raise UsageError where something is there, OSError.
    """
    if target.is_dir():
        raise UsageError("there is a folder already", where=str(target))
    disk.claim(target, force=force, magic=_FIRST, what="an earlier archive of images")
    with disk.fresh(target) as path, path.open("wb") as file:
        disk.publish(file.fileno())
        yield _ImageArchive(target, path, file)


class _ImageArchive(Destination):
    def __init__(self, target: Path, path: Path, file: BinaryIO) -> None:
        self._target = target
        self._path = path
        self._file = file

    def put(self, entry: Entry, stream: VerifiedStream) -> None:
        self._file.write(tar.header(entry.path, entry.size))
        copy(stream, self._file)
        self._file.write(bytes(tar.padding(entry.size)))

    def commit(self) -> None:
        end = self._file.tell() + 2 * tar.BLOCK
        self._file.write(bytes(2 * tar.BLOCK + -end % tar.RECORD))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.replace(self._target)
