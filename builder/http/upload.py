"""A body on its way out, handed over piece by piece by whoever has it.

requests takes a body from an iterator, and the engine hands pieces out; so the request runs in a
thread of its own, and ``write`` comes back when a piece has left.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from builder.closing import Closing
from builder.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.http.attempt import Attempt
    from builder.http.reply import Reply

_SOON = 0.001
LONGEST_ANSWER = 300.0
"""Seconds that a server may take to hash and store what was sent."""


class UploadBody:
    """The pieces of a body of known length, as requests wants them."""

    def __init__(self, upload: HttpUpload) -> None:
        self._upload = upload

    def watch(self, attempt: Attempt) -> None:
        """Let the time for a piece, and not for all of them, be that of one silence."""
        self._upload.attempt = attempt

    def __len__(self) -> int:
        return self._upload.size

    def __iter__(self) -> Iterator[memoryview]:
        return self._upload.pieces()


class HttpUpload(Closing):
    """Send one body of ``size`` bytes, from one thread at a time; ONE attempt.

    What goes wrong is raised by ``write`` or ``finish``, as FetchError or its StatusError.
    """

    def __init__(self, send: Callable[[UploadBody], Reply], size: int, where: str) -> None:
        self.size = size
        self.attempt: Attempt | None = None
        self._send = send
        self._where = where
        self._changed = threading.Condition()
        self._piece: memoryview | None = None
        self._given = 0
        self._aborted = False
        self._over = False
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def write(self, view: memoryview) -> None:
        """Send bytes and wait until they have left; fewer may be left than the buffers hold."""
        if not view:
            return
        with self._changed:
            self._piece = view
            self._given += len(view)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._piece is None or self._over)
            if self._over and (self._error is not None or self._piece is not None):
                raise self._error or self._early()

    def finish(self) -> Reply:
        """Wait for the answer after the last byte."""
        with self._changed:
            self._changed.wait_for(lambda: self._over)
            if self._error is not None:
                raise self._error
            if self._reply is None or self._given != self.size:
                raise self._early()
            return self._reply

    def interrupt(self) -> None:
        self.close()

    def close(self) -> None:
        """Break off what is not finished: its connection is closed."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()
            if not self._over:
                self._arm(_SOON)

    def pieces(self) -> Iterator[memoryview]:
        sent = 0
        while sent < self.size:
            self._arm(float("inf"))  # whoever has the bytes may take time
            with self._changed:
                self._changed.wait_for(lambda: self._piece is not None or self._aborted)
                piece = self._piece
            if piece is None or self._aborted:
                raise FetchError("the upload was broken off", where=self._where, temporary=True)
            self._arm()
            yield piece
            sent += len(piece)
            with self._changed:
                self._piece = None
                self._changed.notify_all()

        self._arm(LONGEST_ANSWER)

    def _arm(self, seconds: float = 0.0) -> None:
        if self.attempt is not None:
            self.attempt.arm(seconds or 2 * self.attempt.silence)

    def _run(self) -> None:
        reply, error = None, None
        try:
            reply = self._send(UploadBody(self))
        except BaseException as failure:  # noqa: BLE001 -- raised where somebody waits for it
            error = failure
        with self._changed:
            self._reply, self._error, self._over = reply, error, True
            self._changed.notify_all()

    def _early(self) -> FetchError:
        return FetchError(
            "the server answered before all bytes were sent", where=self._where, temporary=True
        )
