"""What a WebDAV server and a bucket have in common: nothing that went up is read back from there.

What is read before it may count (an RPM, for its signature) is therefore spooled on this disk.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.closing import Closing
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Collection
    from typing import IO, BinaryIO

    from builder.bundle.download import Wanted

_BUFFER = 1 << 20


class RemoteTree(Closing):
    """The part of :class:`builder.destinations.tree.Tree` that is the same for all servers."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}
        """The ETag of what was put or found right, by path."""

    def mark(self, path: str) -> str:
        return self.marks.get(path, "")

    def place(self, wanted: Wanted, *, readable: bool) -> RemotePlace | SpooledPlace:
        place = self.upload(wanted)
        return SpooledPlace(place, wanted.size) if readable else place

    def upload(self, wanted: Wanted) -> RemotePlace:
        raise NotImplementedError

    def ready(self, paths: Collection[str], size: int, source: Path | None = None) -> None:
        """Do nothing: leftovers are used again, and room is the server's affair."""

    def adopt(self, wanted: Wanted, file: Path) -> bool:  # noqa: ARG002 -- it is far away
        return False

    def settle(self) -> None:
        """Do nothing: what a server has answered lasts."""


def digest_of(file: BinaryIO, most: int) -> Digest | None:
    """Return the digest of what a server sends; None where it is more than ``most`` bytes."""
    hasher, left = hashlib.sha256(), most
    while piece := file.read(min(_BUFFER, left + 1)):
        left -= len(piece)
        if left < 0:
            return None
        hasher.update(piece)
    return Digest(hasher.hexdigest())


class RemotePlace:
    """A file on its way up; see :class:`builder.bundle.place.Place`."""

    saved = 0

    def __init__(self, host: str) -> None:
        self.host = host

    def write(self, view: memoryview, at: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        raise NotImplementedError

    def recover(self) -> int:
        self.drop()
        return 0

    def readinto(self, view: memoryview, at: int) -> int:  # noqa: ARG002 -- nothing is kept
        return 0

    def open(self) -> io.BufferedReader:
        raise NotImplementedError("what is read before it counts is spooled")

    def interrupt(self) -> None:
        """Break off a request that is under way."""


class SpooledPlace:
    """Keep the bytes in a file without a name, and hand them on when they are found right."""

    def __init__(self, inner: RemotePlace, size: int) -> None:
        self.host = inner.host
        self.saved = 0
        self._inner = inner
        self._size = size
        self._spool: IO[bytes] | None = None

    def write(self, view: memoryview, at: int) -> None:
        with disk.stored(self._folder):
            descriptor = self._opened().fileno()
            while view:
                count = os.pwrite(descriptor, view, at)
                view, at = view[count:], at + count
        self.saved = at

    def recover(self) -> int:
        self._inner.recover()
        return self.saved

    def readinto(self, view: memoryview, at: int) -> int:  # noqa: ARG002 -- nothing is kept
        return 0

    def open(self) -> io.BufferedReader:
        with disk.stored(self._folder):
            handle = os.dup(self._opened().fileno())
            file = os.fdopen(handle, "rb")
            file.seek(0)
        return file

    def finish(self) -> None:
        view = memoryview(bytearray(min(_BUFFER, self._size)))
        at = 0
        while at < self._size:
            with disk.stored(self._folder):
                count = os.preadv(self._opened().fileno(), [view], at)
            self._inner.write(view[: min(count, self._size - at)], at)
            at += count
        self._inner.finish()
        self._close()

    def drop(self) -> None:
        self._close()
        self._inner.drop()

    def interrupt(self) -> None:
        self._inner.interrupt()

    @property
    def _folder(self) -> Path:
        return Path(tempfile.gettempdir())

    def _opened(self) -> IO[bytes]:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(prefix="airseed-")  # noqa: SIM115 -- lives on
        return self._spool

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
