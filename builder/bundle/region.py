"""A part of one or several files as a file of its own, and as a source of bytes."""

from __future__ import annotations

import bisect
import io
import os
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from builder.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUFFER = 1 << 16
State = Literal["cached", "copied", "reused"]
"""What the outcome of an artifact says that came from the disk; see ``download.Outcome``."""


@runtime_checkable
class Near(Protocol):
    """Be a source on the local disk that airseed wrote itself."""

    @property
    def state(self) -> State:
        """Give what the outcome of an artifact says that comes from here."""
        ...


class Files:
    """Read open files that stand one after the other as one; whoever opened them closes them.

    ``sizes`` has as many bytes of each as count; without it there is one file, read to its end.
    """

    def __init__(self, descriptors: Sequence[int], sizes: Sequence[int] = ()) -> None:
        self._descriptors = tuple(descriptors)
        self._starts = [0, *accumulate(sizes)][: len(self._descriptors)]
        self._ends = [*accumulate(sizes)] or [1 << 63]

    def readinto(self, view: memoryview, offset: int) -> int:
        """Fill (a part of) the buffer; give the count, 0 at the end. Raise OSError."""
        place = bisect.bisect_right(self._starts, offset) - 1
        while place < len(self._starts) - 1 and self._ends[place] <= offset:
            place += 1  # behind an empty file
        room = max(0, min(len(view), self._ends[place] - offset))
        return os.preadv(self._descriptors[place], [view[:room]], offset - self._starts[place])

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes; fewer at the end. Raise OSError."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        have = 0
        while have < size and (count := self.readinto(view[have:], offset + have)):
            have += count
        view.release()
        return bytes(buffer[:have]) if have < size else bytes(buffer)


class _Region(io.RawIOBase):
    """Read ``size`` bytes from ``offset`` on; the files' own positions stay as they are."""

    def __init__(self, files: Files, offset: int, size: int) -> None:
        self._files = files
        self._offset = offset
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # Buffer is of 3.12
        view = memoryview(buffer).cast("B")
        room = max(0, min(len(view), self._size - self._place))
        count = self._files.readinto(view[:room], self._offset + self._place)
        self._place += count
        return count


def open_region(files: Files, offset: int, size: int) -> io.BufferedReader:
    """Open a part of open files for reading; closing it leaves the files open."""
    return io.BufferedReader(_Region(files, offset, size), _BUFFER)


class RegionStream:
    """Stream a part of open files; see ``download.Stream``."""

    def __init__(self, source: RegionSource, offset: int) -> None:
        self.offset = offset
        self._source = source
        self._place = offset

    def readinto(self, view: memoryview, /) -> int:
        """Fill the buffer; give the count, 0 at the end."""
        source = self._source
        room = max(0, min(len(view), source.size - self._place))
        try:
            count = source.files.readinto(view[:room], source.start + self._place)
        except OSError as error:
            raise FetchError(error.strerror or str(error), where=source.name) from error
        self._place += count
        return count

    def close(self) -> None:
        """Leave the files open: they are the source's owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSource:
    """Give an artifact out of another bundle or an interrupted run; see ``download.Source``."""

    name: str
    files: Files
    start: int
    size: int
    state: State
    origin: str = ""
    """Who gave the bytes that stand there, if it is known."""

    @property
    def host(self) -> str:
        """Give no host: a disk asks for no patience."""
        return ""

    def open(self, offset: int) -> RegionStream:
        """Begin to read at an offset."""
        return RegionStream(self, offset)
