"""The file under way, ``NAME.part``, or its parts: one process at a time, space taken first."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle.region import Files, open_region
from builder.errors import StorageError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.bundle.split import PartFile

_NO_FALLOCATE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class Part:
    """Hold the open file, or several after :meth:`spread`; offsets count from its beginning.

    Raise StorageError, also when another airseed is at it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = _open_alone(path)
        self._closed = False
        self._opened: list[int] = []
        self._pieces: tuple[PartFile, ...] = ()
        self.files = Files([self._own])
        """The bytes, for reading."""

    def spread(self, pieces: Sequence[PartFile], *, renamed: bool = False) -> None:
        """Keep the bytes in these files from now on; the own one stays as the lock, empty.

        ``renamed`` says that an earlier run had begun to give them their names.
        """
        self._pieces = tuple(pieces)
        for piece in pieces:
            with disk.stored(piece.under_way):
                if renamed and not piece.under_way.exists() and piece.path.is_file():
                    piece.path.replace(piece.under_way)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._opened.append(os.open(piece.under_way, flags, disk.PRIVATE))
                disk.publish(self._opened[-1])
        self.files = Files(self._opened, [piece.size for piece in pieces])

    @property
    def size(self) -> int:
        return sum(os.fstat(descriptor).st_size for descriptor in self._descriptors)

    @property
    def allocated(self) -> int:
        """The bytes that it takes on the disk."""
        return sum(os.fstat(descriptor).st_blocks * 512 for descriptor in self._descriptors)

    def reserve(self, size: int) -> None:
        """Give it its length and, where the file system can, its space."""
        if not self._pieces:
            _reserve(self._own, size, self.path)
        for piece, descriptor in zip(self._pieces, self._opened, strict=True):
            _reserve(descriptor, piece.size, piece.under_way)

    def write(self, view: memoryview | bytes, offset: int) -> None:
        rest = memoryview(view)
        try:
            for descriptor, room, start in self._places(offset, len(rest)):
                piece, position = rest[:room], start
                while piece:
                    count = os.pwrite(descriptor, piece, position)
                    piece = piece[count:]
                    position += count
                rest = rest[room:]
        except OSError as error:
            raise disk.failure(error, self.path) from error

    def readinto(self, view: memoryview, offset: int) -> int:
        try:
            return self.files.readinto(view, offset)
        except OSError as error:
            raise disk.failure(error, self.path) from error

    def region(self, offset: int, size: int) -> io.BufferedReader:
        return open_region(self.files, offset, size)

    def sync(self, *, metadata: bool = False) -> None:
        """Wait until all bytes are on the disk, with ``metadata`` the lengths and times, too."""
        with disk.stored(self.path):
            for descriptor in self._descriptors:
                (os.fsync if metadata else os.fdatasync)(descriptor)

    def forget(self) -> None:
        """Take its names away; the open files live on until they are closed."""
        for piece in self._pieces:
            piece.under_way.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for descriptor in (*self._opened, self._own):
                os.close(descriptor)

    @property
    def _descriptors(self) -> list[int]:
        return self._opened if self._pieces else [self._own]

    def _places(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Say where bytes go: a descriptor, how many of them, and its own offset."""
        if not self._pieces:
            yield self._own, size, offset
            return
        for piece, descriptor in zip(self._pieces, self._opened, strict=True):
            if not size:
                return
            if offset < piece.size:
                room = min(size, piece.size - offset)
                yield descriptor, room, offset
                offset, size = offset + room, size - room
            offset -= piece.size


def _reserve(descriptor: int, size: int, path: Path) -> None:
    with disk.stored(path):
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
            os.ftruncate(descriptor, size)


def _open_alone(path: Path) -> int:
    """Open a file and lock it; nobody else may have it, and it must still have its name then."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        with disk.stored(path):
            descriptor = os.open(path, flags, disk.PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageError(
                "another airseed process is writing this bundle",
                where=str(path),
                hint="wait for it, or choose another name with -o",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some network file systems have none
                os.close(descriptor)
                raise disk.failure(error, path) from error
        if _is_still(path, descriptor):
            disk.publish(descriptor)
            return descriptor
        os.close(descriptor)  # its owner finished in between and renamed it


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
