"""What a server is asked and what it answers, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    scheme: str
    host: str
    """Lower case, without a port."""
    method: str
    path: str
    """As it was sent, without the query; empty for CONNECT."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names are lower case."""
    body: bytes = b""


class Body(Protocol):
    """Bytes that are streamed from somewhere; read by one connection's thread."""

    @property
    def size(self) -> int: ...

    def open(self) -> IO[bytes]:
        """Open the bytes, seekable; reading may raise OSError, which ends the connection."""
        ...

    def segments(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Yield descriptor, offset and size of the files that hold these bytes, for sendfile.

        The descriptors are good while the iterator lives. What has no such files yields nothing,
        and is read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Hold one answer; a body from a file is streamed, never read whole."""

    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path | Body = b""
    offset: int = 0
    length: int | None = None
    """Bytes of the body from ``offset`` on; None for all of them."""

    @property
    def total(self) -> int:
        """Return the size of the whole body in bytes, whatever part of it is sent."""
        if isinstance(self.body, Path):
            return self.body.stat().st_size
        return len(self.body) if isinstance(self.body, bytes) else self.body.size

    @property
    def size(self) -> int:
        return self.total - self.offset if self.length is None else self.length


class Site(Protocol):
    """Answer the requests to one host; called from many threads."""

    def answer(self, request: Request) -> Response:
        """Answer a request; ranges and HEAD are the server's work."""
        ...


def text(status: int, content: str, media_type: str = "text/plain; charset=utf-8") -> Response:
    return Response(status=status, headers={"Content-Type": media_type}, body=content.encode())


def redirect(to: str, status: int = HTTPStatus.TEMPORARY_REDIRECT) -> Response:
    return Response(status=status, headers={"Location": to, "Content-Type": "text/html"})
