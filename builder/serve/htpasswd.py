"""Users and their passwords from the file that ``htpasswd -B`` writes."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import DocumentError, Fault, StorageError, reason

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = 1 << 20
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS = range(4, 16)
"""A cost above takes seconds for each wrong password."""
_LONGEST = 72
"""Bytes of a password that bcrypt looks at, here and in other servers."""


class Htpasswd:
    """Tell whether names and passwords fit; an unknown name takes as long as a wrong password."""

    def __init__(self, hashes: dict[str, bytes]) -> None:
        self._hashes = hashes
        self._any = next(iter(hashes.values()))
        self._busy = threading.Semaphore(os.cpu_count() or 1)

    @classmethod
    def read(cls, path: Path) -> Htpasswd:
        """Raise StorageError, or DocumentError with everything that is wrong in it."""
        try:
            text = disk.read(path, _LIMIT).decode()
        except OSError as error:
            raise StorageError(
                reason(error),
                where=str(path),
                expected="a file that `htpasswd -B` wrote",
            ) from error
        except UnicodeDecodeError as error:
            raise DocumentError(str(path), [Fault(where="", what="is not UTF-8")]) from error
        hashes: dict[str, bytes] = {}
        faults = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                name, _, known = line.strip().partition(":")
                what = f"{name!r} is there twice" if name in hashes else _fault(name, known)
                if what:
                    faults.append(Fault(where=f"line {number}", what=what))
                hashes[name] = known.encode()
        if not hashes:
            faults.append(Fault(where="", what="has no user"))
        elif len(faults) > 1 and not any(known[:1] in {b"$", b"{"} for known in hashes.values()):
            expected = "lines of NAME:HASH, as `htpasswd -B` writes them"
            what = "this is not a file of users"
            raise DocumentError(str(path), [Fault(where="", what=what, expected=expected)])
        if faults:
            hint = f"htpasswd -B {path} NAME makes a line"
            raise DocumentError(str(path), faults, hint=hint)
        return cls(hashes)

    def knows(self, user: str, password: str) -> bool:
        import bcrypt  # noqa: PLC0415 -- only who asks for logins needs it

        known = self._hashes.get(user, self._any)
        try:
            with self._busy:  # many wrong passwords must not take every core
                fits = bcrypt.checkpw(password.encode()[:_LONGEST], known)
        except ValueError:  # a zero byte
            return False
        return fits and user in self._hashes


def _fault(name: str, known: str) -> str | None:
    """Say what is wrong with a line, and never what its hash is."""
    match = _HASH.fullmatch(known)
    if not name or not known:
        return "is not NAME:HASH"
    if match is None:
        return f"the password of {name!r} is not hashed by bcrypt"
    if int(match[1]) not in _COSTS:
        return f"the hash of {name!r} has the cost {match[1]}, not {_COSTS[0]} to {_COSTS[-1]}"
    return None
