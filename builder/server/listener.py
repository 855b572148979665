"""A listening socket with one thread for each connection."""

from __future__ import annotations

import errno
import resource
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from builder import host_port
from builder.server.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from builder.server.connection import Patience

_BACKLOG = 1024
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.1


class Listener:
    """Accept connections until it is closed and run ``serve`` for each in a thread of its own."""

    def __init__(
        self,
        serve: Callable[[Connection], None],
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        tls: ssl.SSLContext | None = None,
        name: str = "server",
        patience: Patience | None = None,
        most: int = 2000,
    ) -> None:
        """Listen; at most so many connections are open, and as many as descriptors allow."""
        self._serve = serve
        self._patience = patience
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, min(most, descriptors // 2))
        self._tls = tls
        self._name = name
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        self._socket = socket.create_server(
            address, family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
        self.host, self.port = self._socket.getsockname()[:2]
        self._open: dict[threading.Thread, Connection] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        return host_port.joined(self.host, self.port)

    def close(self, grace: float = 0.0) -> None:
        """Take no more connections, end those that are open, and wait for their threads.

        Responses that are under way may take ``grace`` more seconds.
        """
        # a listening socket that is shut down wakes its accept() on Linux
        self._closed = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._socket.close()
        end = time.monotonic() + grace
        with self._lock:
            left = dict(self._open)
        if grace:
            for connection in left.values():
                connection.retire()
            for thread in left:
                thread.join(max(0.0, end - time.monotonic()))
        for connection in left.values():
            connection.interrupt()
        for thread in left:
            thread.join()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, address = self._socket.accept()
            except OSError as error:
                if error.errno in _FULL:
                    time.sleep(_PAUSE)  # until a connection ends
                elif error.errno != errno.ECONNABORTED:
                    return
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, self._tls, self._patience)
            connection.client = str(address[0])
            thread = threading.Thread(target=self._run, name=f"{self._name} client", daemon=True)
            with self._lock:
                admitted = self._make_room(connection.client)
                if admitted:
                    self._open[thread] = connection
            if not admitted:
                client.close()
                continue
            try:
                thread.start()
            except RuntimeError:  # there are no more threads
                with self._lock:
                    del self._open[thread]
                client.close()

    def _make_room(self, client: str) -> bool:
        """Tell whether a client may have one more connection; the lock is held.

        Where all are taken, whoever has the most of them gives one that is idle: so one client
        that opens all it can keeps nobody out but itself.
        """
        if len(self._open) < self._most:
            return True
        held = Counter(connection.client for connection in self._open.values())
        greedy, _ = max(held.items(), key=lambda item: (item[1], item[0] == client))
        idle = [
            (since, thread)
            for thread, connection in self._open.items()
            if connection.client == greedy and (since := connection.idle_since) is not None
        ]
        if idle:
            _, thread = min(idle, key=lambda item: item[0])
            self._open[thread].interrupt()
            return True
        return False

    def _run(self) -> None:
        own = threading.current_thread()
        with self._lock:
            connection = self._open[own]
        try:
            self._serve(connection)
        finally:
            with self._lock:
                del self._open[own]
