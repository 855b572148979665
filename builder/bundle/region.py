"""A part of one or several files as a file of its own."""

from __future__ import annotations

import bisect
import io
import os
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_BUFFER = 1 << 16


class Files:
    """Read open files that stand one after the other as one; whoever opened them closes them.

    ``sizes`` has as many bytes of each as count; without it there is one file, read to its end.
    """

    def __init__(self, descriptors: Sequence[int], sizes: Sequence[int] = ()) -> None:
        self._descriptors = tuple(descriptors)
        self._starts = [0, *accumulate(sizes)][: len(self._descriptors)]
        self._ends = [*accumulate(sizes)] or [1 << 63]

    def readinto(self, view: memoryview, offset: int) -> int:
        """Fill (a part of) the buffer; return the count, 0 at the end. Raise OSError."""
        place = bisect.bisect_right(self._starts, offset) - 1
        while place < len(self._starts) - 1 and self._ends[place] <= offset:
            place += 1  # behind an empty file
        room = max(0, min(len(view), self._ends[place] - offset))
        return os.preadv(self._descriptors[place], [view[:room]], offset - self._starts[place])

    def segments(self, offset: int, size: int) -> Generator[tuple[int, int, int], None, None]:
        """Yield descriptor, offset and size of the files that hold some bytes, in order."""
        place = max(0, bisect.bisect_right(self._starts, offset) - 1)
        while size and place < len(self._starts):
            here = min(size, max(0, self._ends[place] - offset))
            if here:
                yield self._descriptors[place], offset - self._starts[place], here
            offset, size, place = offset + here, size - here, place + 1

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes; fewer at the end. Raise OSError."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        have = 0
        while have < size and (count := self.readinto(view[have:], offset + have)):
            have += count
        view.release()
        return bytes(buffer[:have]) if have < size else bytes(buffer)


class Region(io.RawIOBase):
    """Read ``size`` bytes from ``offset`` on; the files' own positions stay as they are.

    It has no buffer, for whoever brings a large one.
    """

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
    return io.BufferedReader(Region(files, offset, size), _BUFFER)
