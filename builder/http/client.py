"""The client: small documents with retries, large bodies as streams."""

from __future__ import annotations

import functools
import re
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from builder.backoff import Backoff
from builder.closing import Closing
from builder.errors import FetchError
from builder.http.reply import StatusError
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from builder.http.environment import ClientCertificate
    from builder.http.reply import Reply
    from builder.http.stream import HttpStream
    from builder.http.upload import HttpUpload, UploadBody

_LONGEST_CONNECT = 10.0
_REFUSE_HEAD = {400, 403, 404, 405, 501}
"""What servers say to HEAD that don't know it; a GET says whether it is there."""
_PARTIAL = 206
_COUNT = re.compile(r"[0-9]{1,18}")


class Client(Closing):
    """Fetch over HTTP and HTTPS; one for a whole run, shared by all its threads.

    All times are seconds. ``read_timeout`` is the silence after which a connection is dropped:
    AIRSEED_TIMEOUT, or else 30. One document may take ``deadline`` in all, and is asked for again
    within its first ``patience`` seconds only: who is told to come back later than that, gives
    up at once. A host that used up all attempts gets one at a time until it answers.
    Raises UsageError for a CA bundle that cannot be read and for an AIRSEED_TIMEOUT that is no
    time.
    """

    def __init__(
        self,
        *,
        ca_bundle: Path | None = None,
        certificate: ClientCertificate | None = None,
        read_timeout: float | None = None,
        backoff: Backoff | None = None,
        deadline: float = 300.0,
        patience: float = 100.0,
        pool: int = 16,
    ) -> None:
        from builder.http.environment import timeout  # noqa: PLC0415 -- loads requests: 0.2 s
        from builder.http.transport import Transport  # noqa: PLC0415 -- the same

        silence = timeout() if read_timeout is None else read_timeout
        self._transport = Transport(
            ca_bundle=ca_bundle,
            certificate=certificate,
            connect_timeout=min(silence, _LONGEST_CONNECT),
            read_timeout=silence,
            pool=pool,
        )
        self.backoff = backoff or Backoff()
        self._deadline = deadline
        self._patience = patience
        self._exhausted: set[str] = set()
        self._cancelled = threading.Event()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int) -> Reply:
        """Fetch a document of at most ``limit`` bytes, again and again while that may help.

        Raise FetchError, or its StatusError when the server answered, but with no success.
        """
        return self._document("GET", url, headers or {}, limit=limit)

    def beginning(self, url: str, count: int) -> bytes:
        """Fetch so many bytes of something longer, with or without ranges; else like ``get``."""
        asked = {"Range": f"bytes=0-{count - 1}"}
        return self._document("GET", url, asked, limit=count, cut=True).content

    def head(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Fetch what is said about a document, but not its content; otherwise like ``get``."""
        return self._document("HEAD", url, headers or {}, limit=0)

    def size(self, url: str, *, headers: Mapping[str, str] | None = None) -> int | None:
        """Return how many bytes lie at a URL, None where the server does not say.

        Who refuses HEAD, as some registries and gateways do, is asked for the first byte. Raise
        as ``get`` does.
        """
        try:
            said = self.head(url, headers=headers).headers.get("Content-Length", "")
            return int(said) if _COUNT.fullmatch(said) else None
        except StatusError as error:
            if error.status not in _REFUSE_HEAD:
                raise
        self.go_on(url)
        ranged = {**(headers or {}), "Range": "bytes=0-0"}
        with self._transport.open(url, ranged, offset=0, size=None) as stream:
            if stream.status == _PARTIAL:
                total = stream.headers.get("Content-Range", "").rpartition("/")[2]
                return int(total) if _COUNT.fullmatch(total) else None
            return stream.length

    def post(self, url: str, form: Mapping[str, str], *, limit: int) -> Reply:
        """Send a form, never to where a redirect points; otherwise like ``get``."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._document("POST", url, headers, urlencode(form).encode(), limit=limit)

    def open(
        self,
        url: str,
        *,
        offset: int = 0,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpStream:
        """Begin to read a body, from ``offset`` on if the server can; ONE attempt.

        ``size`` is the whole file's, where known; a server that announces another is refused
        before its body is read. The stream may begin at 0 instead (see ``HttpStream.offset``) and
        may end before the file does, when a server sends a shorter range than it was asked for. An
        ``offset`` equal to ``size`` gives an empty stream. Raise FetchError or its StatusError.
        """
        self.go_on(url)
        return self._transport.open(url, headers or {}, offset=offset, size=size)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | UploadBody = b"",
        limit: int = 1 << 20,
        patience: float = 0.0,
    ) -> Reply:
        """Send a body, never to where a redirect points; ONE attempt.

        ``patience`` are the seconds that the answer may take, where it is work to give it.

        Raise FetchError or its StatusError, which has the beginning of the answer's text.
        """
        self.go_on(url)
        return self._transport.send(
            method, url, headers or {}, body, limit=limit, patience=patience
        )

    def submit(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        """Send a small document again and again while that may help; otherwise like ``send``."""

        def once(_: float) -> Reply:
            return self._transport.send(method, url, headers, body, limit=1 << 20)

        return self._again(url, once)

    def upload(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, size: int
    ) -> HttpUpload:
        """Begin to send a body of ``size`` bytes (not 0), which the caller hands over; as send."""
        from builder.http.upload import LONGEST_ANSWER, HttpUpload  # noqa: PLC0415 -- few send

        send = functools.partial(self.send, method, url, headers=headers, patience=LONGEST_ANSWER)
        return HttpUpload(lambda body: send(body=body), size, redact(url))

    def wait(self, seconds: float, url: str) -> None:
        """Pause before ``url`` is asked again; raise FetchError when it won't be."""
        self.backoff.wait(seconds, self._cancelled)
        self.go_on(url)

    def go_on(self, url: str) -> None:
        """Raise FetchError when nothing more is wanted."""
        if self._cancelled.is_set():
            raise FetchError("cancelled", where=redact(url))

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End all pauses and attempts, in whatever thread, and begin no more."""
        self._cancelled.set()
        self._transport.cancel()

    def close(self) -> None:
        self._transport.close()

    def _document(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        limit: int,
        cut: bool = False,
    ) -> Reply:
        def once(end: float) -> Reply:
            return self._transport.document(
                method, url, headers, body, limit=limit, end=end, cut=cut
            )

        return self._again(url, once)

    def _again(self, url: str, once: Callable[[float], Reply]) -> Reply:
        """Ask until there is an answer, or no hope of one."""
        start, host = time.monotonic(), redact(url).partition("://")[2].partition("/")[0]
        end = start + self._deadline
        last_start = start + min(self._patience, self._deadline)
        most = 1 if host in self._exhausted else self.backoff.attempts
        attempt = 1
        self.go_on(url)
        while True:
            try:
                reply = once(end)
            except FetchError as error:
                pause = self.backoff.pause(attempt, error.retry_after)
                if not error.temporary:
                    raise
                if attempt >= most or time.monotonic() + pause > last_start:
                    self._exhausted.add(host)
                    raise _after_attempts(error, attempt) from error
            else:
                self._exhausted.discard(host)
                return reply
            self.wait(pause, url)
            attempt += 1


def _after_attempts(error: FetchError, attempts: int) -> FetchError:
    fault = error.fault
    return FetchError(
        f"{fault.what} (tried {attempts} times)" if attempts > 1 else fault.what,
        where=fault.where,
        expected=fault.expected,
        hint=fault.hint,
        temporary=True,
        retry_after=error.retry_after,
        status=error.status,
        lacks=error.lacks,
    )
