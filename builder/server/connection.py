"""One client's connection: requests come out of it, responses go in."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
import struct
import time
from contextlib import closing
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from builder.server.head import RequestRefused, parse_head
from builder.server.message import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from builder.server.head import Head
    from builder.server.message import Body

CHUNK = 256 << 10
_LARGEST_SEND = 1 << 20
"""Bytes given to the kernel at once, so that callers can count what a large body has sent."""
_LONGEST_HEAD = 64 << 10
_LARGEST_BODY = 1 << 20
_RECEIVED = 64 << 10
_FLOOR = 1024
_LINGER = 2.0
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_STATUSES = frozenset(int(status) for status in HTTPStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client may take. Times are seconds; each is for the whole of what it names."""

    idle: float = 75.0
    """Between two requests."""
    head: float = 20.0
    """For a handshake, and for a request's head."""
    body: float = 60.0
    """For a request's body, which is small."""
    slow: float = 60.0
    """After so long, a client must have taken ``_FLOOR`` bytes a second."""


class Disconnected(Exception):  # noqa: N818 -- not an error: how a connection ends early
    """End the connection: the client left, or does not speak HTTP, or is to be left alone."""


class Connection:
    """Read requests and send responses; used by one thread, interrupted by another."""

    def __init__(
        self,
        client: socket.socket,
        tls: ssl.SSLContext | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.scheme = "http"
        self.client = ""
        """The address of the other side."""
        self.idle_since: float | None = time.monotonic()
        """When it began to wait for a request; None while one is answered."""
        self._patience = patience or Patience()
        self._last = False
        self._socket = client
        self._tls = tls
        self._received = b""
        self._interrupted = False

    def interrupt(self) -> None:
        """Wake the connection's thread, whatever it waits for, and let it end."""
        self._interrupted = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def retire(self) -> None:
        """End after the response that is under way, at once where there is none."""
        self._last = True
        if self.idle_since is not None:
            self.interrupt()

    def run(self, exchange: Callable[[Request], None]) -> None:
        """Let ``exchange`` answer one request after the other until either side has had enough."""
        try:
            if self._tls:
                self._refuse_plain_words()
                self.start_tls(self._tls)
            while not self._interrupted:
                request = self._read()
                self.idle_since = None
                exchange(request)
                if self._last:
                    break
                self.idle_since = time.monotonic()
        except RequestRefused as refusal:
            self._refuse(refusal)
        except (OSError, Disconnected):
            pass  # clients may leave at any moment; ssl.SSLError is an OSError
        finally:
            self._socket.close()

    def _refuse(self, refusal: RequestRefused) -> None:
        """Say why, and read what was sent meanwhile: a reset would take the answer away."""
        self._last = True
        with contextlib.suppress(OSError, Disconnected):
            said = Response(status=refusal.status, body=refusal.text.encode())
            self.send_head(said)
            self.send(refusal.text.encode())
            self._socket.shutdown(socket.SHUT_WR)
            end = time.monotonic() + _LINGER
            while self._receive(end):
                self._received = b""

    def _refuse_plain_words(self) -> None:
        """Tell a client in its own words that it has to shake hands; raise RequestRefused."""
        self._socket.settimeout(self._patience.head)
        if self._socket.recv(1, socket.MSG_PEEK).isalpha():
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "this is https\n")

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands as a server; what was received in plain text and not read is dropped."""
        self._socket.getpeername()  # ssl leaves the socket of a client that is gone open
        # the handshake comes later, so that an interruption always finds the right socket
        self._socket = wrapped = context.wrap_socket(
            self._socket, server_side=True, do_handshake_on_connect=False
        )
        if self._interrupted:
            raise Disconnected
        wrapped.settimeout(self._patience.head)  # of the whole handshake
        wrapped.do_handshake()
        self.scheme = "https"
        self._received = b""

    def send_head(self, response: Response) -> None:
        status = response.status
        reason = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
        headers = {"Date": formatdate(usegmt=True), **response.headers}
        if status not in _BODILESS:
            headers["Content-Length"] = str(response.size)
        if self._last:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send_body(self, response: Response) -> Iterator[int]:
        """Send a body and yield the sizes of its pieces, files by the kernel where it can."""
        with closing(_segments(response)) as segments:
            first = next(segments, None)
            if first is None:
                for piece in read_body(response):
                    self.send(piece)
                    yield len(piece)
                return
            by_the_kernel = not isinstance(self._socket, ssl.SSLSocket)
            send = self._send_segments if by_the_kernel else self._send_read
            yield from send(chain([first], segments))

    def _send_read(self, segments: Iterable[tuple[int, int, int]]) -> Iterator[int]:
        """Send what lies in files through TLS, which needs it in a buffer."""
        for descriptor, start, size in segments:
            buffer = memoryview(bytearray(min(CHUNK, size)))
            offset, end = start, start + size
            while offset < end:
                count = os.preadv(descriptor, [buffer[: end - offset]], offset)
                if not count:
                    raise Disconnected  # the file became shorter
                self.send(buffer[:count])
                yield count
                offset += count

    def _send_segments(self, segments: Iterable[tuple[int, int, int]]) -> Iterator[int]:
        # the kernel waits for the client, not this thread for the kernel: fewer turns of it
        seconds, parts = divmod(int(self._patience.slow * 1e6), 1_000_000)
        waiting = struct.pack("ll", seconds, parts)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, waiting)
        self._socket.settimeout(None)
        begun, done = time.monotonic(), 0
        for descriptor, start, size in segments:
            offset, end = start, start + size
            while offset < end:
                count = min(end - offset, _LARGEST_SEND)
                try:
                    sent = os.sendfile(self._socket.fileno(), descriptor, offset, count)
                except BlockingIOError:  # it took nothing for so long
                    raise TimeoutError from None
                if not sent:
                    raise Disconnected  # the file became shorter
                yield sent
                offset += sent
                done += sent
                if (waited := time.monotonic() - begun) > self._patience.slow:
                    if done < waited * _FLOOR:
                        raise TimeoutError
                    begun, done = time.monotonic(), 0

    def send(self, content: bytes | memoryview) -> None:
        self._socket.settimeout(self._patience.slow)  # of the whole call
        self._socket.sendall(content)

    def _read(self) -> Request:
        """Read one request; raise RequestRefused for what is none, Disconnected at the end."""
        head = parse_head(self._read_head())
        self._last = self._last or not (head.lasting or head.method == "CONNECT")
        try:
            if head.method == "CONNECT":
                host = head.target.rpartition(":")[0].strip("[]").lower()
                return Request(scheme="https", host=host, method=head.method, path="")
            parts = urlsplit(head.target)
            host = parts.hostname or urlsplit(f"//{head.headers.get('host', '')}").hostname or ""
        except ValueError as error:  # a target or a host that is none
            raise RequestRefused(HTTPStatus.BAD_REQUEST) from error
        return Request(
            scheme=self.scheme,
            host=host.lower(),
            method=head.method,
            path=parts.path or "/",
            query=parts.query,
            headers=head.headers,
            body=self._read_body(head),
        )

    def _read_head(self) -> bytes:
        end = time.monotonic() + self._patience.idle
        begun = False
        while b"\r\n\r\n" not in self._received:
            if self._received and not begun:
                begun, end = True, time.monotonic() + self._patience.head
            if self._received and not self._received[:1].isalpha():
                # a TLS handshake, for one: clients that try it first take plain words as an
                # answer and go on without TLS; those who are just left try again and again
                raise RequestRefused(HTTPStatus.BAD_REQUEST)
            if len(self._received) > _LONGEST_HEAD:
                break
            if not self._receive(end):
                raise Disconnected
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        if len(head) > _LONGEST_HEAD:
            raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return head

    def _read_body(self, head: Head) -> bytes:
        if head.length > _LARGEST_BODY:
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if head.length and head.headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        end = time.monotonic() + self._patience.body
        while len(self._received) < head.length:
            if not self._receive(end):
                raise Disconnected
        body, self._received = self._received[: head.length], self._received[head.length :]
        return body

    def _receive(self, end: float) -> bool:
        """Take what comes before ``end``; return False when the client has said all."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        piece = self._socket.recv(_RECEIVED)
        self._received += piece
        return bool(piece)


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
