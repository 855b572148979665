"""A file on this disk before it goes far away: for bytes that are read before they may count."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.bundle.part import stored

if TYPE_CHECKING:
    import io
    from typing import IO

    from builder.bundle.place import Place

_BUFFER = 1 << 20


class SpooledPlace:
    """Keep the bytes in a file without a name, and hand them on when they are found right."""

    def __init__(self, inner: Place, size: int) -> None:
        self.host = inner.host
        self.saved = 0
        self._inner = inner
        self._size = size
        self._spool: IO[bytes] | None = None

    def write(self, view: memoryview, at: int) -> None:
        with stored(self._folder):
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
        with stored(self._folder):
            handle = os.dup(self._opened().fileno())
            file = os.fdopen(handle, "rb")
            file.seek(0)
        return file

    def finish(self) -> None:
        view = memoryview(bytearray(min(_BUFFER, self._size)))
        at = 0
        while at < self._size:
            with stored(self._folder):
                count = os.preadv(self._opened().fileno(), [view], at)
            self._inner.write(view[: min(count, self._size - at)], at)
            at += count
        self._inner.finish()
        self._close()

    def drop(self) -> None:
        self._close()
        drop = getattr(self._inner, "drop", None)
        if drop is not None:
            drop()

    def interrupt(self) -> None:
        interrupt = getattr(self._inner, "interrupt", None)
        if interrupt is not None:
            interrupt()

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
