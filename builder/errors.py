"""One tree of errors: every fault that a user or the world can make, and nothing else.

::

    AirseedError                 exit code 1
    ├── UsageError               2   the command line asks for something that cannot be
    ├── DocumentError            3   cluster.yaml, a catalog or a lock is wrong; has all faults
    ├── FetchError               1   one source did not give what it should (temporary or not)
    ├── UnavailableError         1   every source of an artifact failed
    ├── ClosureError             1   packages cannot be satisfied; carries the solver's problems
    ├── IncompleteError          1   something a node will ask for is missing
    ├── VerificationError        1   bytes are not what a digest or signature says; has all faults
    └── StorageError             1   the disk is full or cannot be written

Exit codes everywhere: 0 success, 1 failed or faults found, 2 usage, 3 a document is wrong,
4 a delta that is not shown to be whole (verify), 5 something to do (changes), 70 unexpected (a bug
in airseed). Library code raises; only ``cli`` prints and exits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from builder.ordered import Ordered
from builder.redact import hide

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Ordered):
    """Hold one thing that is wrong; a password in its words is hidden from the start."""

    where: str
    """A path in a document (``nodes[2].address``), a file, a URL or a digest."""
    what: str
    expected: str | None = None
    hint: str | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if text := getattr(self, name):
                object.__setattr__(self, name, hide(text))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} (expected {self.expected})" if self.expected else text

    def inside(self, whole: str) -> Fault:
        """Return it as a fault of a larger whole, whose name stands before its place."""
        return replace(self, where=f"{whole}: {self.where}" if self.where else whole)


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Return ``did you mean ...?`` for what :func:`nearest` finds."""
    near = nearest(word, known)
    return None if near is None else f"did you mean {near!r}?"


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that was probably meant, or a path that ends so: images are long."""
    from difflib import get_close_matches  # noqa: PLC0415 -- slow to load; for faults only

    names, asked = list(known), str(word)[:80]
    ending = [name for name in names if "/" in name and asked in ends(name)]
    same = [name for name in names if name.casefold() == asked.casefold()]
    near = ending or same or get_close_matches(asked, names, n=1, cutoff=cutoff)
    return near[0] if near else None


def reason(error: OSError) -> str:
    """Return the system's word for a failure, written as messages are."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def few(said: Sequence[object], most: int) -> str:
    """Say at most so many of several, and how many more there are."""
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(map(str, said[:most])) + more


def ends(path: str) -> set[str]:
    """Return what a path or an image is called for short: its last parts, without tag or digest."""
    parts = path.split("/")
    last = ["/".join(parts[first:]) for first in range(len(parts))]
    return {name for each in last for name in (each, re.sub(r"[:@][^/]*$", "", each))}


class AirseedError(Exception):
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: str | None = None,
        hint: str | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        self.fault = Fault(where=where, what=what, expected=expected, hint=hint)
        self.faults: tuple[Fault, ...] = tuple(faults)
        """The single faults behind this error, where there are several."""
        super().__init__(str(self.fault))

    @property
    def hint(self) -> str | None:
        return self.fault.hint


class UsageError(AirseedError):
    exit_code = 2


class DocumentError(AirseedError):
    exit_code = 3

    def __init__(
        self,
        document: str,
        faults: Iterable[Fault],
        *,
        hint: str | None = None,
        remarks: Iterable[Fault] = (),
    ) -> None:
        faults = tuple(faults)
        self.remarks: tuple[Fault, ...] = tuple(remarks)
        """What is allowed there but deserves a warning."""
        count = "1 mistake" if len(faults) == 1 else f"{len(faults)} mistakes"
        super().__init__(count, where=document, hint=hint, faults=faults)


class FetchError(AirseedError):
    """Say that one source did not give what it should.

    ``temporary`` tells whether the same request may succeed later; ``retry_after`` is the number
    of seconds the server asked us to wait, if it did; ``lacks`` is what of this machine's way out
    may be missing, where no server was reached.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        expected: str | None = None,
        hint: str | None = None,
        temporary: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        lacks: Literal["", "DNS", "route", "proxy"] = "",
    ) -> None:
        super().__init__(what, where=where, expected=expected, hint=hint)
        self.temporary = temporary
        self.lacks = lacks
        self.retry_after = retry_after
        self.status = status


class UnavailableError(AirseedError):
    """Say that every source of one artifact failed; ``faults`` has one entry a source."""


class ClosureError(AirseedError):
    """Explain why a set of packages cannot be installed; ``faults`` has one entry a problem."""


class IncompleteError(AirseedError):
    """Name what a node will ask for and would not find."""


class VerificationError(AirseedError):
    """Say that bytes are not what their digest, size, structure or signature promised."""


class StorageError(AirseedError):
    """Say that the local disk cannot take or give what it should."""
