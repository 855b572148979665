"""An end to whatever a bucket answers: botocore reads errors whole, and counts silence only.

Its own session stays below, with its proxies, certificates and retries; connections and bodies are
watched as those of :mod:`builder.http` are. Imported when there is a client of boto3's.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSResponse,
)

from builder.closing import Closing
from builder.errors import FetchError
from builder.http.attempt import Attempt, Watchdog, Watched
from builder.http.stream import HttpStream
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 300.0
"""Seconds until an answer has begun: a service may work long to put pieces together."""
_SILENCE = 60.0
_MOST = 1 << 20
"""Bytes of an answer that is no object."""
_ERRORS = 300


class BoundedSession(Closing):
    """Send botocore's requests, from many threads."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._watchdog = Watchdog()
        self._own = threading.local()
        pools = {"http": _Pool, "https": _TlsPool}
        # botocore takes no others in a public way; a proxy's manager is made when it is needed
        inner._pool_classes_by_scheme = pools  # noqa: SLF001
        inner._manager.pool_classes_by_scheme = pools  # noqa: SLF001

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Close the object that was sent last where botocore, or its reader, could not go on.

        botocore gives nobody a body whose head it can't read.
        """
        self._own.body = None
        try:
            yield
        except BaseException:
            if self._own.body is not None:
                self._own.body.close()
            raise

    def send(self, request: Any) -> AWSResponse:
        """Return an answer whose body has been read, unless it is an object; raise FetchError."""
        is_object, request.stream_output = request.stream_output, True
        attempt = Attempt(self._watchdog, _SILENCE)
        attempt.arm(_LONGEST)
        try:
            with attempt.current():
                answer = self._inner.send(request)
        except Exception:
            attempt.close()
            attempt.check(request.url)
            raise
        finally:
            request.stream_output = is_object
        if attempt.over:  # its end counts as the head's
            answer.raw.close()
            attempt.close()
            attempt.check(request.url)
        raw = answer.raw
        length = 0 if request.method == "HEAD" else raw.length_remaining
        stream = HttpStream(raw, request.url, attempt, length=length)
        if is_object and answer.status_code < _ERRORS:
            answer.raw = self._own.body = io.BufferedReader(_Body(stream))
        else:
            answer._content = _whole(stream)  # noqa: SLF001 -- where botocore keeps it
        return answer

    def close(self) -> None:
        self._watchdog.close()
        self._inner.close()


def _whole(stream: HttpStream) -> bytes:
    content = bytearray()
    piece = memoryview(bytearray(1 << 16))
    with stream:
        while count := stream.readinto(piece):
            content += piece[:count]
            if len(content) > _MOST:
                raise FetchError(
                    "the answer does not end",
                    where=redact(stream.url),
                    expected=f"at most {_MOST:,} bytes",
                )
    return bytes(content)


class _Body(io.RawIOBase):
    """An object's bytes, as botocore reads them."""

    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.readinto(memoryview(buffer))

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Connection(Watched, AWSHTTPConnection):  # type: ignore[misc] # botocore has no types
    pass


class _TlsConnection(Watched, AWSHTTPSConnection):  # type: ignore[misc] # the same
    pass


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc] # the same
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc] # the same
    ConnectionCls = _TlsConnection
