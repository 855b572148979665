"""Put a file in place whole, and read a small one: what has its final name is never half written.

Everyone who leaves a document for a user goes through here. The bundle and the content-addressed
store have ways of their own, since they write large files piece by piece.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, cast

from builder.errors import StorageError, UsageError, reason

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

PUBLIC = 0o644
PRIVATE = 0o600
OTHERS = 0o077
"""What anybody but the owner may do."""
_LONGEST = 200
_HANDED_OVER = re.compile(r"/dev/(stdin|fd/[0-9]+)|/proc/self/fd/[0-9]+")
_HINTS = {
    0: "check free space and that the folder can be written",  # a library that gives no number
    errno.ENOSPC: "free some space and run the command again; whatever was fetched is kept",
    errno.EDQUOT: "your quota is used up; raise it or free some space, then run the command again",
    errno.EFBIG: "the file system or `ulimit -f` does not allow files of this size",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "check the permissions of the file and of its folder",
    errno.EPERM: "check the permissions of the file and of its folder",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "a file is in the place of a folder: remove it, or choose another place",
    errno.EEXIST: "something else has that name: remove it, or choose another place",
    errno.ELOOP: "this is a symbolic link, which is not followed here: remove it",
    errno.EIO: "the disk or its cable may be failing; see `dmesg`",
}
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


class TooLargeError(OSError):
    def __init__(self, limit: int) -> None:
        super().__init__(errno.EFBIG, f"the file is larger than {limit:,} bytes")


class NotAFileError(OSError):
    def __init__(self, kind: str, path: Path) -> None:
        super().__init__(errno.EINVAL, f"is a {kind}, not a file", str(path))


def opened(path: Path, *, follow: bool = True, buffering: int = -1) -> io.BufferedReader:
    """Open a file for reading without ever waiting for it: pipes, sockets and devices are refused.

    Only what the shell hands over (/dev/stdin, <(...)) may be a pipe. Raise OSError, which may be
    NotAFileError, and without ``follow`` for a symbolic link.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotAFileError("socket", path) from error
        raise
    try:
        _check_kind(os.fstat(handle).st_mode, path)
        os.set_blocking(handle, True)
        return cast("io.BufferedReader", os.fdopen(handle, "rb", buffering))
    except BaseException:
        os.close(handle)
        raise


def _check_kind(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(mode) or _HANDED_OVER.fullmatch(str(path))):
        raise NotAFileError("pipe" if stat.S_ISFIFO(mode) else "device", path)


def read(path: Path, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes; raise OSError as :func:`opened`, or TooLargeError."""
    with opened(path) as file:
        return read_open(file, limit)


def read_open(file: BinaryIO, limit: int) -> bytes:
    """Read what is left of an open file, like :func:`read`."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise TooLargeError(limit)
    return content


def put(path: Path, content: bytes, *, mode: int = PUBLIC, sync: bool = True) -> None:
    """Write a file under another name beside it, then rename it; its folder is made when missing.

    ``mode`` holds from the first byte on, whatever the umask adds or takes. Without ``sync`` a
    power cut may leave an older or empty file. Raise StorageError when the disk does not take it,
    and what :func:`replaceable` raises.
    """
    replaceable(path)
    fresh = path.with_name(unfinished(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(content)
            if sync:
                file.flush()
                os.fsync(handle)
        fresh.replace(path)
    except OSError as error:
        _forget(fresh)
        raise failure(error, path) from error
    except BaseException:
        _forget(fresh)
        raise


def writable(folder: Path) -> None:
    """Raise StorageError where nothing can be put into a folder, made or still to be made."""
    there = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), folder)
    if not there.is_dir():
        raise failure(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), there)
    # by what this process may do: capabilities that it was given count
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        what, hint = "cannot be written", _HINTS[errno.EROFS]
        raise StorageError(what, where=str(there), hint=hint)


def replaceable(path: Path, *, magic: bytes = b"", what: str = "") -> None:
    """Raise UsageError where a file must not take a place: there is a link, a device or a folder.

    With ``magic`` also for a file that is neither empty nor begins with it, so is not ``what``.
    Raise StorageError as :func:`writable`.
    """
    writable(path.parent)
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UsageError(
                "is not a regular file, so it can't be replaced",
                where=str(path),
                hint="choose another name",
            )
        if magic and path.exists():
            with opened(path) as file:
                if file.read(len(magic)) not in {b"", magic}:
                    raise UsageError(
                        "there is another file already",
                        where=str(path),
                        expected=f"a name that is free, or that of {what}",
                        hint="choose another name with -o, or remove this file",
                    )
    except OSError as error:
        raise failure(error, path) from error


def claim(
    path: Path,
    *,
    force: bool,
    magic: bytes = b"",
    what: str = "",
    hint: str = "--force replaces it",
) -> None:
    """Raise UsageError where something is there; with ``force`` where it isn't :func:`replaceable`.

    An empty file holds nothing that could be lost.
    """
    replaceable(path, magic=magic, what=what)
    if not force and path.exists() and path.stat().st_size:
        raise UsageError("the file exists", where=str(path), hint=hint)


def failure(error: OSError, path: Path) -> StorageError:
    """Say that the disk did not take or give something, and what helps."""
    named = str(error.filename or path)
    if _UNFINISHED.fullmatch(os.path.split(named)[1]):  # a name that nobody gave it
        named = str(path)
    hint = _HINTS.get(error.errno or 0)
    if isinstance(error, TooLargeError):
        hint = "this is not what airseed writes there: is it the right file?"
    return StorageError(reason(error), where=named, hint=hint)


@contextlib.contextmanager
def stored(path: Path) -> Iterator[None]:
    """Raise StorageError for every OSError of the block."""
    try:
        yield
    except OSError as error:
        raise failure(error, path) from error


def publish(handle: int) -> None:
    """Let everybody read an open file and its owner alone write it, whatever the umask.

    A file system without permissions (FAT) and another owner's file keep what they have.
    """
    with contextlib.suppress(OSError):
        os.fchmod(handle, PUBLIC)


def tighten(path: Path) -> bool:
    """Take from others what they may do with a file or folder; tell whether they might anything.

    What is missing and links are left alone. Raise StorageError when it stays open.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or not status.st_mode & OTHERS:
            return False
        path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"others may read it: {reason(error)}", where=str(path)) from error
    return True


def unfinished(name: str) -> str:
    """Return the name under which a file or folder is written; :func:`sweep` knows it."""
    return f".{name[:_LONGEST]}.{os.urandom(4).hex()}.part"


@contextlib.contextmanager
def fresh(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Make a file beside a target, to be renamed, or a folder; what is left of it at the end goes.

    It is locked meanwhile, so that no other run takes it for a leftover. Leftovers of this target
    go first. Raise OSError and StorageError.
    """
    if folder:
        target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, [target.name], unlocked=True)
    with contextlib.ExitStack() as held:
        while True:
            path = target.with_name(unfinished(target.name))
            path.mkdir() if folder else path.touch(PRIVATE, exist_ok=False)
            held.callback(_remove, path)
            with contextlib.suppress(OSError):  # where no file can be locked, nothing is swept
                held.enter_context(_locked(path, wait=True))
            if path.exists():  # else another run swept it before it was locked
                break
        yield path


def sweep(
    folder: Path,
    names: Iterable[str] | None = None,
    *,
    unlocked: bool = False,
    handle: int | None = None,
) -> None:
    """Remove what killed runs left of these files, or of all, under :func:`unfinished` names.

    With ``unlocked`` only what no run holds locked; without, the caller must know that none
    writes here. ``handle`` is the open folder, where its path can't be relied on.
    """
    starts = None if names is None else {name[:_LONGEST] for name in names}
    try:
        for name in os.listdir(folder if handle is None else handle):  # noqa: PTH208 -- takes both
            match = _UNFINISHED.fullmatch(name)
            if match is None or not (starts is None or match[1] in starts):
                continue
            if not unlocked:
                _remove(folder / name if handle is None else Path(name), handle)
                continue
            with contextlib.suppress(OSError), _locked(folder / name):  # else that run is alive
                _remove(folder / name)
    except OSError as error:
        raise failure(error, folder) from error


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file or folder; raise OSError where it has another holder, or none can.

    With ``wait`` another holder is waited for.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove(path: Path, handle: int | None = None) -> None:
    try:
        os.unlink(path, dir_fd=handle)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        import shutil  # noqa: PLC0415 -- slow to load, for what is hardly ever there

        shutil.rmtree(path, ignore_errors=True, dir_fd=handle)


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def folder(path: Path, *, mode: int = 0o700) -> None:
    """Make a folder with these permissions, whatever the umask; one that is there is left as it is.

    Raise StorageError when the disk does not take it.
    """
    try:
        if not path.is_dir():
            _make(path, mode)
    except OSError as error:
        raise failure(error, path) from error


def _make(path: Path, mode: int) -> None:
    try:
        try:
            path.mkdir(mode=mode)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=mode)
        path.chmod(mode)
    except FileExistsError:
        if not path.is_dir():  # else another run was faster
            raise
