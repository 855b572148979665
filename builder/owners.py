"""Whose a file is: what others may change is not relied on, as ssh has it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from builder import disk
from builder.errors import Fault, StorageError


def stranger(status: os.stat_result) -> str | None:
    """Tell whose a file or folder is that is neither this user's nor root's; None where it is.

    As ssh has it: who owns a file can change it at any time, whatever its mode says. Under sudo,
    the user who called it counts, too.
    """
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    if status.st_uid in {0, os.geteuid()} or str(status.st_uid) == caller:
        return None
    try:
        name = f"{pwd.getpwuid(status.st_uid).pw_name} (uid {status.st_uid})"
    except KeyError:
        name = f"uid {status.st_uid}"
    return f"belongs to {name}, who can change it at any time"


def refusal(path: Path, status: os.stat_result, *, folder: bool = False) -> Fault | None:
    """Say why something is not relied on: a link, of another kind than wanted, a stranger's."""
    if stat.S_ISLNK(status.st_mode):
        what, hint = (
            "is a symbolic link, which is not followed here",
            "replace the link by its target",
        )
    elif stat.S_ISDIR(status.st_mode) != folder or not (folder or stat.S_ISREG(status.st_mode)):
        what, hint = f"is not a {'folder' if folder else 'regular file'}", "remove it"
    elif whose := stranger(status):
        what, hint = whose, f"remove it; if you know where it is from: chown $(id -un) {path}"
    else:
        return None
    return Fault(where=str(path), what=what, hint=hint)


def untrusted(path: Path, *, folder: bool = False) -> Fault | None:
    """Say why what lies at a path is not relied on; nothing where it is, or nothing lies there."""
    try:
        return refusal(path, path.lstat(), folder=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return disk.failure(error, path).fault


def untrusted_folder(path: Path) -> Fault | None:
    """Say the same of a folder, to which a link of one's own may lead."""
    if path.is_symlink() and (whose := stranger(path.lstat())):
        return Fault(where=str(path), what=f"the link {whose}", hint="replace it by a folder")
    return untrusted(Path(os.path.realpath(path)), folder=True)


def read_own(path: Path, limit: int) -> bytes | None:
    """Read a file that is this user's or root's, and no link; None where there is none.

    Raise StorageError.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            fault = refusal(path, os.fstat(handle))
            if fault is None:
                return disk.read_open(file, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        fault = untrusted(path) or disk.failure(error, path).fault
    raise StorageError(fault.what, where=fault.where, hint=fault.hint)


def put_changed(path: Path, content: bytes, *, largest: int, sync: bool = True) -> None:
    """Write a private file where it differs from what is there, of at most ``largest`` bytes.

    Raise StorageError.
    """
    if read_own(path, largest) != content:
        disk.put(path, content, mode=disk.PRIVATE, sync=sync)
