"""What a made-up server is asked and what it answers, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Hold one request: where it goes and what it carries."""

    scheme: str
    host: str
    """The virtual host, lower case, without a port."""
    method: str
    path: str
    """As it was sent, without the query."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names are lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Hold one answer; a body from a file is streamed, never read whole."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    offset: int = 0
    length: int | None = None
    """Bytes of the body from ``offset`` on; None for all of them."""

    @property
    def total(self) -> int:
        """Give the size of the whole body in bytes, whatever part of it is sent."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size

    @property
    def size(self) -> int:
        """Give the number of bytes that are to be sent."""
        return self.total - self.offset if self.length is None else self.length


class Site(Protocol):
    """Answer for one virtual host; called from many threads."""

    def answer(self, request: Request) -> Reply:
        """Give the answer to a request; ranges and HEAD are the server's work."""
        ...


def text(status: int, words: str, kind: str = "text/plain; charset=utf-8") -> Reply:
    """Make a small answer of words."""
    return Reply(status=status, headers={"Content-Type": kind}, body=words.encode())


def redirect(to: str, status: int = HTTPStatus.TEMPORARY_REDIRECT) -> Reply:
    """Send the client elsewhere."""
    return Reply(status=status, headers={"Location": to, "Content-Type": "text/html"})


def cut_to_range(request: Request, reply: Reply) -> Reply:
    """Answer a Range header (RFC 9110 section 14): 206, 416, or the whole body when it is stale.

    Several ranges at once get the whole body, which the RFC allows.
    """
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if reply.status != HTTPStatus.OK or wanted is None or not any(wanted.groups()):
        return reply
    if_range = request.headers.get("if-range")
    if if_range and if_range not in {reply.headers.get("ETag"), reply.headers.get("Last-Modified")}:
        return reply
    first, last = wanted.groups()
    total = reply.total
    if first:
        start = int(first)
        end = min(int(last) + 1 if last else total, total)
    else:
        start, end = max(total - int(last), 0), total
    if start >= end:
        return Reply(
            status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Content-Range": f"bytes */{total}"},
        )
    headers = {**reply.headers, "Content-Range": f"bytes {start}-{end - 1}/{total}"}
    return replace(
        reply,
        status=HTTPStatus.PARTIAL_CONTENT,
        headers=headers,
        offset=start,
        length=end - start,
    )
