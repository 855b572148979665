"""A small document: one answer, read whole, with a limit for its size and for its time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from builder.errors import FetchError
from builder.http.redact import redact
from builder.http.reply import Reply, StatusError
from builder.http.stream import HttpStream, finish

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_SUCCESS = range(200, 300)
_PIECE = 1 << 16


def read(method: str, response: BaseHTTPResponse, url: str, limit: int, end: float) -> Reply:
    """Read one answer, until ``end`` on the monotonic clock; raise FetchError or StatusError."""
    if response.status not in _SUCCESS:
        finish(response)
        raise StatusError(url, response.status, response.headers)
    length = 0 if method == "HEAD" else response.length_remaining
    with HttpStream(response, url, length=length) as stream:
        content = _whole(stream, limit, end)
    return Reply(url=url, status=stream.status, headers=stream.headers, content=content)


def _whole(stream: HttpStream, limit: int, end: float) -> bytes:
    where = redact(stream.url)
    if stream.length is not None and stream.length > limit:
        raise FetchError(
            f"the document has {stream.length:,} bytes", where=where, expected=f"at most {limit:,}"
        )
    content = bytearray()
    piece = memoryview(bytearray(_PIECE))
    while count := stream.readinto(piece):
        content += piece[:count]
        if len(content) > limit:
            raise FetchError(
                "the document does not end", where=where, expected=f"at most {limit:,} bytes"
            )
        if time.monotonic() > end:
            raise FetchError("the document takes too long to arrive", where=where, temporary=True)
    return bytes(content)
