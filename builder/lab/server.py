"""Listeners on 127.0.0.1: HTTP/1.1 with keep-alive, as a forward proxy or as one host itself.

A proxy answers ``CONNECT host:443`` by playing that host, with a certificate of the lab's own
authority, and absolute ``http://`` URLs directly. A listener for one host speaks plain HTTP (or
TLS) to clients that know no proxy; redirects and token realms then lead to loopback as well.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Protocol

from builder.lab.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from builder.lab.access_log import AccessLog
    from builder.lab.faults import FaultPlan
    from builder.lab.message import Site
    from builder.lab.tls import TLSAuthority

_BACKLOG = 256


class World(Protocol):
    """Say what a listener needs to know; :class:`~builder.lab.upstream.Upstream` is one."""

    faults: FaultPlan
    access_log: AccessLog
    authority: TLSAuthority
    closing: threading.Event

    @property
    def sites(self) -> Mapping[str, Site]:
        """Give what answers, by host."""
        ...

    def expire_tokens(self, host: str) -> None:
        """Forget the tokens that a registry has given out."""
        ...

    def deceive(self, host: str, how: str) -> ssl.SSLContext:
        """Give a TLS context that no client should accept for a host."""
        ...

    def local(self, url: str) -> str:
        """Give the loopback address of a URL of the upstream; leave others as they are."""
        ...


class Listener:
    """Accept connections on a free port until it is closed; one thread each."""

    def __init__(
        self, world: World, host: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.world = world
        self.host = host
        """The one host that is played; None for a proxy."""
        self.tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._open: dict[threading.Thread, Connection] = {}
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(
            target=self._accept, name=f"lab {host or 'proxy'}", daemon=True
        )
        self._acceptor.start()

    @property
    def address(self) -> str:
        """Give ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections, end those that are open, and wait for their threads."""
        # a listening socket that is shut down wakes its accept() on Linux
        self._socket.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._socket.close()
        with self._lock:
            left = dict(self._open)
        for connection in left.values():
            connection.interrupt()
        for thread in left:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, self.world, self.host, self.tls)
            thread = threading.Thread(target=self._run, name="lab client", daemon=True)
            with self._lock:
                self._open[thread] = connection
            thread.start()

    def _run(self) -> None:
        own = threading.current_thread()
        with self._lock:
            connection = self._open[own]
        try:
            connection.run()
        finally:
            with self._lock:
                del self._open[own]
