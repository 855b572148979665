"""The folder of secrets: 0700, its secrets 0600, each file whole or not there.

Everything is reached over the folder's own descriptor and no symbolic link is followed, so that
neither a planted link nor a folder that is swapped in between leads a secret astray. A file gets
its mode when it is created, whatever the umask, and its name when its bytes are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Self

from builder import disk, owners
from builder.closing import Closing
from builder.disk import PRIVATE
from builder.errors import Fault, StorageError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 256 << 10
"""Bytes of one file; a key with a chain of certificates has under ten thousand."""
OTHERS_MAY_ENTER = 0o077
OTHERS_MAY_WRITE = 0o022
_LOCK = ".lock"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not hold us up
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OURS = "don't use it unless you know who put it there; if you do, make it yours"
_NO_MODES = "if that changes nothing, the file system keeps no modes: choose another one"


class Folder(Closing):
    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a folder that only its owner may enter; ``create`` makes one that is missing.

        Raises:
            StorageError: it is missing, a link, no folder, another user's, or open to others.
        """
        try:
            if create:
                _make(path)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise StorageError(
                "there are no secrets yet",
                where=str(path),
                hint="`airseed secrets` makes them; those of a cluster that runs can only be put "
                "back",
            ) from error
        except OSError as error:
            if path.is_symlink():
                raise StorageError(
                    "is a symbolic link, which secrets are not written through",
                    where=str(path),
                    hint="move the folder here, or bind-mount it",
                ) from error
            raise _failed(path, error) from error
        status = os.fstat(handle)
        if whose := owners.stranger(status):
            os.close(handle)
            raise StorageError(
                f"this folder {whose}",
                where=str(path),
                hint=f"{_NOT_OURS}: chown -R $(id -un) {path}",
            )
        mode = stat.S_IMODE(status.st_mode)
        if mode & OTHERS_MAY_ENTER:
            os.close(handle)
            raise StorageError(
                f"others may enter this folder (mode {mode:04o})",
                where=str(path),
                expected="mode 0700",
                hint=f"chmod 0700 {path}; {_NO_MODES}",
            )
        return cls(path, handle)

    def close(self) -> None:
        os.close(self._handle)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from writing here; waits for one that does, and sweeps up after it."""
        try:
            handle = os.open(
                _LOCK,
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=self._handle,
            )
        except OSError as error:
            raise _failed(self.path / _LOCK, error) from error
        try:
            os.fchmod(handle, 0o600)
            # a file of its own: NFS locks no folder that is open for reading only
            fcntl.flock(handle, fcntl.LOCK_EX)
            disk.sweep(self.path, handle=self._handle)
            yield
        except OSError as error:
            raise _failed(self.path, error) from error
        finally:
            os.close(handle)

    def read(self, name: str, *, forbidden: int = OTHERS_MAY_ENTER) -> bytes | Fault | None:
        """Read a file whole; return None where it is missing, or what is wrong with it.

        ``forbidden`` are bits of its mode.
        """
        where = self.path / name
        try:
            handle = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=self._handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            link = error.errno == errno.ELOOP
            return Fault(
                where=str(where),
                what="is a symbolic link" if link else reason(error),
                expected="the file itself" if link else None,
            )
        return _content(handle, where, forbidden=forbidden)

    def write(self, name: str, content: bytes, *, mode: int = PRIVATE) -> None:
        try:
            _put(self._handle, name, content, mode)
        except OSError as error:
            raise _failed(self.path / name, error) from error


def read_file(path: Path, *, forbidden: int) -> bytes | Fault | None:
    """Read a file of the user's, wherever links lead; ``forbidden`` are bits of its mode."""
    try:
        handle = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Fault(where=str(path), what=reason(error))
    return _content(handle, path, forbidden=forbidden)


def _make(path: Path) -> None:
    """Make the folder; its parent learns of it before anything is put in."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    path.chmod(0o700)  # a umask may have taken the owner's rights
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _content(handle: int, where: Path, *, forbidden: int) -> bytes | Fault:
    try:
        wrong = _wrong(os.fstat(handle), where, forbidden=forbidden)
        if wrong is not None:
            return wrong
        with os.fdopen(handle, "rb", closefd=False) as file:
            return disk.read_open(file, LARGEST)
    except OSError as error:
        return Fault(where=str(where), what=reason(error))
    finally:
        os.close(handle)


def _wrong(status: os.stat_result, where: Path, *, forbidden: int) -> Fault | None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return Fault(where=str(where), what="is not a regular file")
    if whose := owners.stranger(status):
        return Fault(
            where=str(where),
            what=f"this file {whose}",
            hint=f"{_NOT_OURS}: chown $(id -un) {where}",
        )
    if not mode & forbidden:
        return None
    verb = "read" if forbidden == OTHERS_MAY_ENTER else "change"
    return Fault(
        where=str(where),
        what=f"others may {verb} this file (mode {mode:04o})",
        expected=f"mode {0o600 if verb == 'read' else mode & ~forbidden:04o}",
        hint=f"chmod {'0600' if verb == 'read' else 'go-w'} {where}; {_NO_MODES}",
    )


def _put(folder: int, name: str, content: bytes, mode: int) -> None:
    part = disk.unfinished(name)
    handle = os.open(part, _CREATE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)  # a umask may have taken the owner's rights
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    _sync(folder)


def _sync(folder: int) -> None:
    """Put a folder's names on the disk, where its file system can."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise


def _failed(path: Path, error: OSError) -> StorageError:
    hint = disk.failure(error, path).fault.hint
    return StorageError(reason(error), where=str(path), hint=hint)
