"""What happens on one connection to the lab: the site's answer, or the fault that is planned.

A proxy answers ``CONNECT host:443`` by playing that host, with a certificate of the lab's own
authority, and absolute ``http://`` URLs directly. A listener for one host speaks plain HTTP (or
TLS) to clients that know no proxy; redirects and token realms then lead to loopback as well.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from builder.lab import faults
from builder.lab.spoiling import Cut, send_spoiled
from builder.server.connection import Disconnected
from builder.server.message import Request, Response, text
from builder.server.ranges import apply_range

if TYPE_CHECKING:
    import ssl
    import threading
    from collections.abc import Mapping

    from builder.lab.access_log import AccessLog, LogEntry
    from builder.lab.tls import TLSAuthority
    from builder.server.connection import Connection
    from builder.server.message import Site

_REALM = re.compile(r'realm="([^"]*)"')


class LabNetwork(Protocol):
    """Say what a session needs of all that is served; the upstream is one."""

    faults: faults.FaultPlan
    access_log: AccessLog
    authority: TLSAuthority
    closing: threading.Event

    @property
    def sites(self) -> Mapping[str, Site]:
        """Return what answers, by host."""
        ...

    def expire_tokens(self, host: str) -> None:
        """Forget the tokens that a registry has given out."""
        ...

    def deceive(self, host: str, how: str) -> ssl.SSLContext:
        """Return a TLS context that no client should accept for a host."""
        ...

    def local(self, url: str) -> str:
        """Return the loopback address of a URL of the upstream, and other URLs as they are."""
        ...


class Session:
    """Serve one client until it goes away; ``host`` is the one host that is played, if any."""

    def __init__(self, connection: Connection, network: LabNetwork, host: str | None) -> None:
        self._connection = connection
        self._network = network
        self._host = host
        self._direct = host is not None

    def exchange(self, request: Request) -> None:
        """Answer one request."""
        if request.method == "CONNECT":
            self._connect(request)
            return
        if self._host is not None:
            request = replace(request, host=self._host.lower())
        with self._network.access_log.follow(request) as entry:
            entry.fault = self._network.faults.pick(request)
            self._answer(request, entry)

    def _connect(self, request: Request) -> None:
        """Play the host that a client wants a tunnel to."""
        host, connection = request.host, self._connection
        if self._host is not None or host not in self._network.sites:
            refusal = text(HTTPStatus.BAD_GATEWAY, f"no route to {host}\n")
            self._send_head(refusal)
            list(connection.send_body(refusal))
            raise Disconnected
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        fault = self._network.faults.pick(request, handshake=True)
        self._host = host
        if isinstance(fault, faults.BadTLS):
            with self._network.access_log.follow(request) as entry:
                entry.fault = fault
                if fault.how == "closed":
                    raise Disconnected
                connection.start_tls(self._network.deceive(host, fault.how))
        else:
            connection.start_tls(self._network.authority.context(host))

    def _answer(self, request: Request, entry: LogEntry) -> None:
        """Answer a request, or do what the fault wants."""
        fault = entry.fault or faults.NetworkFault()
        if isinstance(fault, faults.Hang) and fault.after is None:
            self._pause(fault.seconds)
        asked = fault.asked(request)
        response = fault.instead(request) or self._ask_site(asked, fault)
        response = fault.answered(request, apply_range(asked, response))
        entry.status = int(response.status)
        self._send_head(response)
        if request.method != "HEAD" and response.size:
            self._send_body(response, Cut.of(fault, response.size), entry)

    def _ask_site(self, request: Request, fault: faults.NetworkFault) -> Response:
        site = self._network.sites.get(request.host)
        if site is None:
            return text(HTTPStatus.BAD_GATEWAY, f"no route to {request.host}\n")
        if isinstance(fault, faults.ExpiredToken):
            self._network.expire_tokens(request.host)
        return site.answer(request)

    def _send_head(self, response: Response) -> None:
        headers = {"Server": "airseed-lab", **response.headers}
        if self._direct:
            headers = {name: self._localize(name, value) for name, value in headers.items()}
        self._connection.send_head(replace(response, headers=headers))

    def _localize(self, name: str, value: str) -> str:
        """Let clients without a proxy be led to loopback only."""
        if name == "Location":
            return self._network.local(value)
        if name == "WWW-Authenticate":
            return _REALM.sub(lambda match: f'realm="{self._network.local(match[1])}"', value)
        return value

    def _send_body(self, response: Response, cut: Cut, entry: LogEntry) -> None:
        for count in send_spoiled(self._connection, response, cut):
            entry.sent += count
            if cut.pause:
                self._pause(cut.pause)
        if cut.after is None:
            return
        if cut.how == "close":
            self._connection.end_tls()
        elif cut.how == "reset":
            self._connection.reset()
        else:
            self._pause(cut.seconds)
        raise Disconnected

    def _pause(self, seconds: float | None) -> None:
        """Do nothing for some seconds, or until the upstream is closed."""
        with self._network.access_log.silence():
            self._network.closing.wait(seconds)
        if self._network.closing.is_set():
            raise Disconnected
