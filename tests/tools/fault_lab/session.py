"""What happens on one connection: the site's answer, or the fault that is planned.

A listener for one host speaks plain HTTP (or TLS) to clients that know no proxy; redirects and
token realms then lead to loopback as well.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.lab.session import Session
from builder.server.connection import Disconnected
from builder.server.ranges import apply_range
from fault_lab import faults
from fault_lab.spoiling import Cut, send_spoiled

if TYPE_CHECKING:
    from builder.server.connection import Connection
    from builder.server.message import Request, Response
    from fault_lab.access_log import LogEntry
    from fault_lab.upstream import FaultyUpstream

_REALM = re.compile(r'realm="([^"]*)"')


class FaultySession(Session):
    """Serve one client until it goes away; ``host`` is the one host that is played, if any."""

    def __init__(
        self, connection: Connection, upstream: FaultyUpstream, host: str | None = None
    ) -> None:
        super().__init__(connection, upstream.sites, upstream.authority)
        self.host = host and host.lower()
        self._direct = host is not None
        self._upstream = upstream

    def start_tls(self, request: Request) -> None:
        fault = self._upstream.faults.pick(request, handshake=True)
        if not isinstance(fault, faults.BadTLS):
            super().start_tls(request)
            return
        with self._upstream.access_log.follow(request) as entry:
            entry.fault = fault
            if fault.how == "closed":
                raise Disconnected
            self.connection.start_tls(self._upstream.deceive(request.host, fault.how))

    def respond(self, request: Request) -> None:
        with self._upstream.access_log.follow(request) as entry:
            entry.fault = self._upstream.faults.pick(request)
            self._respond(request, entry)

    def send_head(self, response: Response) -> None:
        if self._direct:
            headers = {name: self._localize(name, it) for name, it in response.headers.items()}
            response = replace(response, headers=headers)
        super().send_head(response)

    def _respond(self, request: Request, entry: LogEntry) -> None:
        """Answer a request, or do what the fault wants."""
        fault = entry.fault or faults.NetworkFault()
        if isinstance(fault, faults.Hang) and fault.after is None:
            self._pause(fault.seconds)
        if isinstance(fault, faults.DripHead):
            self.connection.send(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                self._pause(fault.pause)
                self.connection.send(b"x")
        if isinstance(fault, faults.ExpiredToken):
            self._upstream.expire_tokens(request.host)
        asked = fault.asked(request)
        response = fault.instead(request) or self.ask_site(asked)
        response = fault.answered(request, apply_range(asked, response))
        entry.status = int(response.status)
        self.send_head(response)
        if request.method != "HEAD" and response.size:
            self._send_body(response, Cut.of(fault, response.size), entry)

    def _localize(self, name: str, value: str) -> str:
        """Let clients without a proxy be led to loopback only."""
        if name == "Location":
            return self._upstream.local(value)
        if name == "WWW-Authenticate":
            return _REALM.sub(lambda match: f'realm="{self._upstream.local(match[1])}"', value)
        return value

    def _send_body(self, response: Response, cut: Cut, entry: LogEntry) -> None:
        for count in send_spoiled(self.connection, response, cut):
            entry.sent += count
            if cut.pause:
                self._pause(cut.pause)
        if cut.after is None:
            return
        if cut.how == "close":
            _end_tls(self.connection._socket)
        elif cut.how == "reset":
            # the close that follows sends a reset
            linger = struct.pack("ii", 1, 0)
            self.connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self._pause(cut.seconds)
        raise Disconnected

    def _pause(self, seconds: float | None) -> None:
        """Do nothing for some seconds, or until the upstream is closed."""
        with self._upstream.access_log.silence():
            self._upstream.closing.wait(seconds)
        if self._upstream.closing.is_set():
            raise Disconnected


def _end_tls(client: socket.socket) -> None:
    """End a TLS stream in order, so that only missing bytes show that a body was cut."""
    if isinstance(client, ssl.SSLSocket):
        client.settimeout(0)  # send close_notify, do not wait for the other side's
        with contextlib.suppress(OSError):
            client.unwrap()
