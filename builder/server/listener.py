"""A listening socket with one thread for each connection."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from builder.server.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_BACKLOG = 256


class Listener:
    """Accept connections until it is closed and run ``serve`` for each in a thread of its own."""

    def __init__(
        self,
        serve: Callable[[Connection], None],
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        tls: ssl.SSLContext | None = None,
        name: str = "server",
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._name = name
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(
            address, family=family, backlog=_BACKLOG, dualstack_ipv6=address[0] == "::"
        )
        self.host, self.port = self._socket.getsockname()[:2]
        self._open: dict[threading.Thread, Connection] = {}
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

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
            connection = Connection(client, self._tls)
            thread = threading.Thread(target=self._run, name=f"{self._name} client", daemon=True)
            with self._lock:
                self._open[thread] = connection
            thread.start()

    def _run(self) -> None:
        own = threading.current_thread()
        with self._lock:
            connection = self._open[own]
        try:
            self._serve(connection)
        finally:
            with self._lock:
                del self._open[own]
