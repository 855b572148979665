"""One connection of a client: read requests, ask the site, send the answer or the fault."""

from __future__ import annotations

import contextlib
import re
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.lab import faults
from builder.lab.message import Reply, Request, cut_to_range, text
from builder.lab.sending import Cut, Parting, reset, send_body

if TYPE_CHECKING:
    import ssl

    from builder.lab.access_log import LogEntry
    from builder.lab.server import World

_LONGEST_HEAD = 64 << 10
_LARGEST_BODY = 1 << 20
_PIECE = 64 << 10
_REALM = re.compile(r'realm="([^"]*)"')


class _Broken(Exception):  # noqa: N818 -- not an error: how a connection ends early
    """End the connection: the client went away or speaks no HTTP."""


class Connection:
    """Serve one client until it goes away; used by one thread, interrupted by another."""

    def __init__(
        self, client: socket.socket, world: World, host: str | None, tls: ssl.SSLContext | None
    ) -> None:
        self._socket = client
        self._world = world
        self._host = host
        self._direct = host is not None
        self._tls = tls
        self._scheme = "http"
        self._rest = b""

    def interrupt(self) -> None:
        """Wake whatever the connection's thread waits for."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Serve requests until either side has enough."""
        try:
            if self._tls:
                self._wrap(self._tls)
            while not self._world.closing.is_set() and self._serve():
                pass
        except (OSError, _Broken):
            pass  # clients may leave at any moment; ssl.SSLError is an OSError
        finally:
            self._socket.close()

    def _serve(self) -> bool:
        """Serve one request; tell whether another may follow."""
        method, target, headers = self._read_head()
        if method == "CONNECT":
            return self._connect(target)
        request = self._request(method, target, headers)
        with self._world.access_log.follow(request) as entry:
            entry.fault = self._world.faults.pick(request)
            self._answer(request, entry)
        return headers.get("connection", "").lower() != "close"

    def _read_head(self) -> tuple[str, str, dict[str, str]]:
        """Read a request's first line and headers (names in lower case)."""
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > _LONGEST_HEAD or (self._rest and not self._rest[:1].isalpha()):
                raise _Broken  # a TLS handshake, for one: clients try that first and wait
            self._fill()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3:  # noqa: PLR2004 -- method, target, version
            raise _Broken
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            key, more = name.strip().lower(), value.strip()
            # Go programs send one Accept line a type; RFC 9110 5.3 says that they add up
            headers[key] = f"{headers[key]}, {more}" if key in headers else more
        return words[0], words[1], headers

    def _fill(self) -> None:
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise _Broken
        self._rest += piece

    def _request(self, method: str, target: str, headers: dict[str, str]) -> Request:
        parts = urlsplit(target)
        host = self._host or parts.hostname or urlsplit(f"//{headers.get('host', '')}").hostname
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _LARGEST_BODY:
            raise _Broken
        while len(self._rest) < int(length):
            self._fill()
        body, self._rest = self._rest[: int(length)], self._rest[int(length) :]
        return Request(
            scheme=self._scheme,
            host=(host or "").lower(),
            method=method,
            path=parts.path or "/",
            query=parts.query,
            headers=headers,
            body=body,
        )

    def _connect(self, target: str) -> bool:
        """Play the host that a client wants a tunnel to."""
        host = target.rpartition(":")[0].strip("[]").lower()
        if self._host is not None or host not in self._world.sites:
            self._send_reply(text(HTTPStatus.BAD_GATEWAY, f"no route to {host}\n"), whole=True)
            return False
        self._socket.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        asked = Request(scheme="https", host=host, method="CONNECT", path="")
        fault = self._world.faults.pick(asked, handshake=True)
        self._host = host
        if isinstance(fault, faults.BadTLS):
            with self._world.access_log.follow(asked) as entry:
                entry.fault = fault
                if fault.how == "closed":
                    return False
                self._wrap(self._world.deceive(host, fault.how))
        else:
            self._wrap(self._world.authority.context(host))
        return True

    def _wrap(self, context: ssl.SSLContext) -> None:
        # the handshake comes later, so that an interruption always finds the right socket
        self._socket = wrapped = context.wrap_socket(
            self._socket, server_side=True, do_handshake_on_connect=False
        )
        if self._world.closing.is_set():
            raise _Broken
        wrapped.do_handshake()
        self._scheme = "https"
        self._rest = b""

    def _answer(self, request: Request, entry: LogEntry) -> None:
        """Answer a request, or do what the fault wants."""
        fault = entry.fault or faults.NetworkFault()
        if isinstance(fault, faults.Hang) and fault.after is None:
            self._pause(fault.seconds)
        asked = fault.asked(request)
        reply = fault.instead(request) or self._ask_site(asked, fault)
        reply = fault.answered(request, cut_to_range(asked, reply))
        entry.status = int(reply.status)
        whole = request.method != "HEAD"
        self._send_reply(reply, whole=False)
        if whole and reply.size:
            self._send_body(reply, fault, entry)

    def _ask_site(self, request: Request, fault: faults.NetworkFault) -> Reply:
        site = self._world.sites.get(request.host)
        if site is None:
            return text(HTTPStatus.BAD_GATEWAY, f"no route to {request.host}\n")
        if isinstance(fault, faults.ExpiredToken):
            self._world.expire_tokens(request.host)
        return site.answer(request)

    def _send_reply(self, reply: Reply, *, whole: bool) -> None:
        """Send status and headers, and the body too where it is ``whole`` in memory."""
        reason = HTTPStatus(reply.status).phrase if reply.status in _KNOWN else "Unknown"
        headers = {"Server": "airseed-lab", **reply.headers, "Content-Length": str(reply.size)}
        if self._direct:
            headers = {name: self._localize(name, value) for name, value in headers.items()}
        lines = [f"HTTP/1.1 {reply.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._socket.sendall(
            head + (reply.body if whole and isinstance(reply.body, bytes) else b"")
        )

    def _localize(self, name: str, value: str) -> str:
        """Let clients without a proxy be led to loopback only."""
        if name == "Location":
            return self._world.local(value)
        if name == "WWW-Authenticate":
            return _REALM.sub(lambda found: f'realm="{self._world.local(found[1])}"', value)
        return value

    def _send_body(self, reply: Reply, fault: faults.NetworkFault, entry: LogEntry) -> None:
        cut = Cut.of(fault, reply.size)
        try:
            for count in send_body(self._socket, reply, cut):
                entry.sent += count
                if cut.pause:
                    self._pause(cut.pause)
        except Parting as parting:
            if parting.how == "reset":
                reset(self._socket)
            elif parting.how == "hang":
                self._pause(cut.seconds)
            raise _Broken from None

    def _pause(self, seconds: float | None) -> None:
        """Do nothing for some seconds, or until the upstream is closed."""
        with self._world.access_log.silence():
            self._world.closing.wait(seconds)
        if self._world.closing.is_set():
            raise _Broken


_KNOWN = frozenset(int(status) for status in HTTPStatus)
