"""What happens on one connection to the lab, which is a proxy that plays every host itself.

It answers ``CONNECT host:443`` with a certificate of the lab's own authority, and absolute
``http://`` URLs directly.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.server.connection import Disconnected
from builder.server.message import Request, Response, text
from builder.server.ranges import apply_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.lab.tls import TLSAuthority
    from builder.server.connection import Connection
    from builder.server.message import Site


class Session:
    """Serve one client until it goes away."""

    def __init__(
        self, connection: Connection, sites: Mapping[str, Site], authority: TLSAuthority
    ) -> None:
        self.connection = connection
        self.host: str | None = None
        """The one host that is played, once a client has asked for a tunnel to it."""
        self._sites = sites
        self._authority = authority

    def exchange(self, request: Request) -> None:
        if request.method == "CONNECT":
            self._connect(request)
        else:
            self.respond(replace(request, host=self.host or request.host))

    def respond(self, request: Request) -> None:
        response = apply_range(request, self.ask_site(request))
        self.send_head(response)
        if request.method != "HEAD":
            list(self.connection.send_body(response))

    def ask_site(self, request: Request) -> Response:
        site = self._sites.get(request.host)
        if site is None:
            return text(HTTPStatus.BAD_GATEWAY, f"no route to {request.host}\n")
        return site.answer(request)

    def send_head(self, response: Response) -> None:
        headers = {"Server": "airseed-lab", **response.headers}
        self.connection.send_head(replace(response, headers=headers))

    def start_tls(self, request: Request) -> None:
        """Shake hands in the name of the host that a CONNECT asked for."""
        self.connection.start_tls(self._authority.context(request.host))

    def _connect(self, request: Request) -> None:
        """Play the host that a client wants a tunnel to."""
        if self.host is not None or request.host not in self._sites:
            refusal = text(HTTPStatus.BAD_GATEWAY, f"no route to {request.host}\n")
            self.send_head(refusal)
            list(self.connection.send_body(refusal))
            raise Disconnected
        self.connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.host = request.host
        self.start_tls(request)
