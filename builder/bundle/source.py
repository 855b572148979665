"""Places that may have an artifact's bytes: what the engine asks of each, and what files share."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from builder.errors import FetchError, reason

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    _File = io.RawIOBase | io.BufferedIOBase

State = Literal["fetched", "cached", "copied", "reused"]
"""``cached``: from an earlier run; ``copied``: from another member; ``reused``: from an earlier
bundle; ``fetched``: from anywhere else."""


class Stream(Protocol):
    @property
    def offset(self) -> int:
        """Where in the whole content the first byte stands; 0 if a range was ignored."""
        ...

    def readinto(self, view: memoryview, /) -> int:
        """Fill (a part of) the buffer; return the count, 0 at the end; raise FetchError."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Interruptible(Protocol):
    """A stream that another thread can wake up."""

    def interrupt(self) -> None:
        """End a ``readinto`` that waits; the stream is useless afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    name: str
    """What messages call it, without secrets."""
    open: Callable[[int], Stream] = field(compare=False)
    """Begin to read at an offset; raise FetchError (temporary or not, with retry_after)."""
    host: str = ""
    """Whose limits count; empty for the local disk, which asks for no patience."""
    state: State = "fetched"
    """What the outcome of an artifact says that comes from here."""
    origin: str = ""
    """Who gave the bytes to this place, if it is known and somebody else."""

    @property
    def is_ours(self) -> bool:
        """Whether it is a file that airseed wrote itself."""
        return self.state != "fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    sources: tuple[Source, ...]
    check: Callable[[io.BufferedReader], object] | None = None
    judge: Callable[[bytes], object] | None = None
    """See :class:`builder.bundle.download.Job`."""


class FileStream:
    def __init__(self, file: _File, offset: int, name: str) -> None:
        self.offset = offset
        self._file = file
        self._name = name

    def readinto(self, view: memoryview, /) -> int:
        try:
            return self._file.readinto(view) or 0
        except OSError as error:
            raise FetchError(reason(error), where=self._name) from error

    def close(self) -> None:
        self._file.close()


def from_file(
    name: str,
    opening: Callable[[], _File],
    *,
    state: State = "fetched",
    origin: str = "",
) -> Source:
    """Return a source that reads a file; ``opening`` opens that, and may raise OSError."""

    def open_at(offset: int) -> FileStream:
        try:
            with ExitStack() as opened:
                file = opening()
                opened.callback(file.close)
                file.seek(offset)
                opened.pop_all()
        except OSError as error:
            raise FetchError(reason(error), where=name) from error
        return FileStream(file, offset, name)

    return Source(name=name, open=open_at, state=state, origin=origin)
