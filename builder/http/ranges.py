"""The head of an answer: is this the file, and which part of it? RFC 9110, section 14."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builder.errors import FetchError
from builder.http.reply import StatusError
from builder.http.stream import HttpStream, finish
from builder.redact import redact

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from builder.http.attempt import Attempt

_OK = 200
_PARTIAL = 206
_UNSATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")


def begin(
    response: BaseHTTPResponse, url: str, attempt: Attempt, offset: int, size: int | None
) -> HttpStream:
    """Check a response's head against what was asked for, and return its body as a stream.

    Raise FetchError, or StatusError for an answer other than success.
    """
    if response.status == _PARTIAL and offset:
        return _partial(response, url, attempt, offset, size)
    if response.status == _UNSATISFIABLE and offset:
        if offset == size:
            finish(response)
            return HttpStream(response, url, attempt, offset=offset, length=0)
        raise _beyond(response, url, offset, size)
    first = response.status == _PARTIAL and not offset and size is None  # of Client.size
    if response.status != _OK and not first:
        raise StatusError(url, response.status, response.headers)
    length = response.length_remaining
    if size is not None and length is not None and length != size:
        raise _other_size(response, url, length, size)
    return HttpStream(response, url, attempt, length=length, most=size)


def _partial(
    response: BaseHTTPResponse, url: str, attempt: Attempt, offset: int, size: int | None
) -> HttpStream:
    text = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match or match[1] is None or int(match[1]) != offset or int(match[2]) < offset:
        raise FetchError(
            f"the server sent the range {text[:80]!r}",
            where=redact(url),
            expected=f"bytes {offset}- and on",
        )
    if size is not None and match[3] not in {"*", str(size)}:
        raise _other_size(response, url, int(match[3]), size)
    length = int(match[2]) + 1 - offset
    announced = response.length_remaining
    if (announced is not None and announced != length) or (size and offset + length > size):
        raise FetchError(
            f"the server sent {announced} bytes for the range {text[:80]!r}", where=redact(url)
        )
    return HttpStream(response, url, attempt, offset=offset, length=length)


def _beyond(response: BaseHTTPResponse, url: str, offset: int, size: int | None) -> FetchError:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    has = f"{int(match[3]):,} bytes" if match and match[3] != "*" else "fewer bytes"
    return FetchError(
        f"the server has {has}, but byte {offset:,} was asked for",
        where=redact(url),
        expected=None if size is None else f"{size:,} bytes",
        status=_UNSATISFIABLE,
    )


def _other_size(response: BaseHTTPResponse, url: str, length: int, size: int) -> FetchError:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()[:80]
    page = kind == "text/html"
    return FetchError(
        f"sent {length:,} bytes{f' of {kind}' if kind else ''} where {size:,} bytes were expected",
        where=redact(url),
        hint="this looks like a login or error page of a proxy or portal; open the URL in a browser"
        if page
        else "the file has changed upstream, or this is another file",
        status=response.status,
    )
