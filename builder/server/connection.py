"""One client's connection: requests come out of it, responses go in."""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import ssl
from contextlib import closing
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from builder.server.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from builder.server.message import Body, Response

CHUNK = 256 << 10
_LARGEST_SEND = 8 << 20
"""Bytes given to the kernel at once, so that callers can count what a large body has sent."""
_LONGEST_HEAD = 64 << 10
_LARGEST_BODY = 1 << 20
_RECEIVED = 64 << 10
_STATUSES = frozenset(int(status) for status in HTTPStatus)


class Disconnected(Exception):  # noqa: N818 -- not an error: how a connection ends early
    """End the connection: the client left, or does not speak HTTP, or is to be left alone."""


class Connection:
    """Read requests and send responses; used by one thread, interrupted by another."""

    def __init__(self, client: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "http"
        self._socket = client
        self._tls = tls
        self._received = b""
        self._interrupted = False

    def interrupt(self) -> None:
        """Wake the connection's thread, whatever it waits for, and let it end."""
        self._interrupted = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, exchange: Callable[[Request], None]) -> None:
        """Let ``exchange`` answer one request after the other until either side has had enough."""
        try:
            if self._tls:
                self.start_tls(self._tls)
            while not self._interrupted:
                try:
                    request = self._read()
                except ValueError as error:  # a target, a host or a length that is none
                    raise Disconnected from error
                exchange(request)
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (OSError, Disconnected):
            pass  # clients may leave at any moment; ssl.SSLError is an OSError
        finally:
            self._socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands as a server; what was received in plain text and not read is dropped."""
        # the handshake comes later, so that an interruption always finds the right socket
        self._socket = wrapped = context.wrap_socket(
            self._socket, server_side=True, do_handshake_on_connect=False
        )
        if self._interrupted:
            raise Disconnected
        wrapped.do_handshake()
        self.scheme = "https"
        self._received = b""

    def send_head(self, response: Response) -> None:
        status = response.status
        reason = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
        headers = {**response.headers, "Content-Length": str(response.size)}
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send_body(self, response: Response) -> Iterator[int]:
        """Send a body and yield the sizes of its pieces, files by the kernel where it can."""
        with closing(_segments(response)) as segments:
            first = next(segments, None)
            if first is None or isinstance(self._socket, ssl.SSLSocket):
                for piece in read_body(response):
                    self.send(piece)
                    yield len(piece)
                return
            for descriptor, start, size in chain([first], segments):
                offset, end = start, start + size
                while offset < end:
                    count = min(end - offset, _LARGEST_SEND)
                    try:
                        sent = os.sendfile(self._socket.fileno(), descriptor, offset, count)
                    except BlockingIOError:  # a socket with a timeout does not block
                        self._wait_for_room()
                        continue
                    if not sent:
                        raise Disconnected  # the file became shorter
                    yield sent
                    offset += sent

    def _wait_for_room(self) -> None:
        """Wait until the client takes more; raise TimeoutError."""
        timeout = self._socket.gettimeout()
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise TimeoutError

    def send(self, content: bytes | memoryview) -> None:
        self._socket.sendall(content)

    def _read(self) -> Request:
        method, target, headers = self._read_head()
        if method == "CONNECT":
            host = target.rpartition(":")[0].strip("[]").lower()
            return Request(scheme="https", host=host, method=method, path="")
        parts = urlsplit(target)
        host = parts.hostname or urlsplit(f"//{headers.get('host', '')}").hostname or ""
        return Request(
            scheme=self.scheme,
            host=host.lower(),
            method=method,
            path=parts.path or "/",
            query=parts.query,
            headers=headers,
            body=self._read_body(headers),
        )

    def _read_head(self) -> tuple[str, str, dict[str, str]]:
        """Read a request's first line and its headers (names in lower case)."""
        while b"\r\n\r\n" not in self._received:
            if len(self._received) > _LONGEST_HEAD or (
                self._received and not self._received[:1].isalpha()
            ):
                raise Disconnected  # a TLS handshake, for one: clients try that first and wait
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3:  # noqa: PLR2004 -- method, target, version
            raise Disconnected
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            key, more = name.strip().lower(), value.strip()
            # Go programs send one Accept line a type; RFC 9110 5.3 says that they add up
            headers[key] = f"{headers[key]}, {more}" if key in headers else more
        return words[0], words[1], headers

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _LARGEST_BODY:
            raise Disconnected
        size = int(length)
        while len(self._received) < size:
            self._receive()
        body, self._received = self._received[:size], self._received[size:]
        return body

    def _receive(self) -> None:
        piece = self._socket.recv(_RECEIVED)
        if not piece:
            raise Disconnected
        self._received += piece


def read_body(response: Response, chunk: int = CHUNK) -> Iterator[memoryview]:
    """Yield a body in pieces, all in one buffer; raise Disconnected where a file became shorter."""
    left = response.size
    buffer = memoryview(bytearray(min(chunk, max(left, 1))))
    with _opened(response.body) as file:
        file.seek(response.offset)
        while left:
            count = file.readinto(buffer[: min(len(buffer), left)])  # type: ignore[attr-defined]
            if not count:
                raise Disconnected
            yield buffer[:count]
            left -= count


def _segments(response: Response) -> Generator[tuple[int, int, int], None, None]:
    """Yield where the kernel can send a body from; nothing for what has to be read."""
    body, offset, size = response.body, response.offset, response.size
    if isinstance(body, Path):
        with body.open("rb") as file:
            yield file.fileno(), offset, size
    elif not isinstance(body, bytes):
        yield from body.segments(offset, size)


def _opened(body: bytes | Path | Body) -> IO[bytes]:
    if isinstance(body, bytes):
        return io.BytesIO(body)
    return body.open("rb") if isinstance(body, Path) else body.open()
