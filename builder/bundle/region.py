"""A part of a file as a file of its own, and as a source of bytes."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Literal

from builder.errors import FetchError

_BUFFER = 1 << 16


class _Region(io.RawIOBase):
    """Read ``size`` bytes of a descriptor from ``offset`` on, leaving its own position alone."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
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
        count = os.preadv(self._descriptor, [view[:room]], self._offset + self._place)
        self._place += count
        return count


def open_region(descriptor: int, offset: int, size: int) -> io.BufferedReader:
    """Open a part of an open file for reading; closing it leaves the file open."""
    return io.BufferedReader(_Region(descriptor, offset, size), _BUFFER)


class RegionStream:
    """Stream a part of an open file; see ``transfer.Stream``."""

    def __init__(self, source: RegionSource, offset: int) -> None:
        self.offset = offset
        self._source = source
        self._place = offset

    def readinto(self, view: memoryview, /) -> int:
        """Fill the buffer; give the count, 0 at the end."""
        source = self._source
        room = max(0, min(len(view), source.size - self._place))
        try:
            count = os.preadv(source.descriptor, [view[:room]], source.start + self._place)
        except OSError as error:
            raise FetchError(error.strerror or str(error), where=source.name) from error
        self._place += count
        return count

    def close(self) -> None:
        """Leave the file open: it is the source's owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSource:
    """Give an artifact out of another bundle or an interrupted run; see ``transfer.Source``."""

    name: str
    descriptor: int
    start: int
    size: int
    state: Literal["cached", "copied"]
    """What the outcome of an artifact says that comes from here."""

    @property
    def host(self) -> str:
        """Give no host: a disk asks for no patience."""
        return ""

    def open(self, offset: int) -> RegionStream:
        """Begin to read at an offset."""
        return RegionStream(self, offset)
