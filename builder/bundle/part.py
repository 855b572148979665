"""The file under way, ``NAME.part``: one process at a time, space taken beforehand."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from builder.bundle.region import open_region
from builder.errors import StorageError

if TYPE_CHECKING:
    import io
    from pathlib import Path

_HINTS = {
    errno.ENOSPC: "free some space and run the same command again: it goes on where it stopped",
    errno.EDQUOT: "your quota is used up; raise it or free some space, then run the same again",
    errno.EFBIG: "the file system or `ulimit -f` does not allow files of this size",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.ENOENT: "make the folder first",
    errno.EIO: "the disk or its cable may be failing; see `dmesg`",
}
_NO_FALLOCATE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


def storage_error(error: OSError, path: Path) -> StorageError:
    """Explain what the system said about a file."""
    what = (error.strerror or str(error)).lower()
    return StorageError(what, where=str(path), hint=_HINTS.get(error.errno or 0))


class Part:
    """Hold the open file; see ``download.Place``.

    Raise StorageError, also when another airseed is at it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = _open_alone(path)

    @property
    def size(self) -> int:
        """Give its length."""
        return os.fstat(self.descriptor).st_size

    @property
    def allocated(self) -> int:
        """Give the bytes that it takes on the disk."""
        return os.fstat(self.descriptor).st_blocks * 512

    def reserve(self, size: int) -> None:
        """Give it its length and, where the file system can, its space."""
        try:
            if self.size > size:
                os.ftruncate(self.descriptor, size)
            try:
                os.posix_fallocate(self.descriptor, 0, size)
            except OSError as error:
                if error.errno not in _NO_FALLOCATE:
                    raise
                os.ftruncate(self.descriptor, size)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def write(self, view: memoryview | bytes, offset: int) -> None:
        """Write all of it at an offset."""
        rest = memoryview(view)
        try:
            while rest:
                count = os.pwrite(self.descriptor, rest, offset)
                rest = rest[count:]
                offset += count
        except OSError as error:
            raise storage_error(error, self.path) from error

    def readinto(self, view: memoryview, offset: int) -> int:
        """Read back from an offset."""
        try:
            return os.preadv(self.descriptor, [view], offset)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def region(self, offset: int, size: int) -> io.BufferedReader:
        """Open a part of it for reading."""
        return open_region(self.descriptor, offset, size)

    def sync(self) -> None:
        """Wait until all bytes are on the disk."""
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def forget(self) -> None:
        """Take its name away; the open file lives on until it is closed."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self.descriptor)


def _open_alone(path: Path) -> int:
    """Open a file and lock it; nobody else may have it, and it must still have its name then."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageError(
                "another airseed is writing this bundle",
                where=str(path),
                hint="wait for it, or choose another name with -o",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some network file systems have none
                os.close(descriptor)
                raise storage_error(error, path) from error
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # its owner finished in between and renamed it


def _is_still(path: Path, descriptor: int) -> bool:
    """Tell whether the name still means the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
