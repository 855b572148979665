"""One request with a deadline over all of it: name, connection, TLS, proxy, head, body, trailers.

A timeout of a socket is one of silence: a server that drips, a byte now and then, or goes on and on
with what is no body (``100 Continue``, chunk extensions), is never silent. So a watchdog shuts the
socket below when the time is over, or when nothing more is wanted; whatever waits for it then
ends, in whatever layer. Names are looked up beside, because a look-up cannot be ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from contextvars import ContextVar
from http.client import HTTPResponse, parse_headers
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from builder.closing import Closing
from builder.errors import FetchError
from builder.http.errors import translate
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERIM = range(102, 200)
_TICK = 0.25
_CLOSING = 2.0
"""Seconds for what is to be read behind a body, so that the connection can serve again."""
_CURRENT: ContextVar[Attempt] = ContextVar("attempt")
"""Tells the connections below requests, which passes nothing on, for whom they work."""


class Watchdog(Closing):
    """Watch the attempts of all threads, in a thread of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cancelled = False
        self._changed = threading.Condition(self.lock)
        self._attempts: set[Attempt] = set()
        self._thread: threading.Thread | None = None

    def add(self, attempt: Attempt) -> None:
        with self._changed:
            self._attempts.add(attempt)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, attempt: Attempt) -> None:
        with self.lock:
            self._attempts.discard(attempt)

    def cancel(self) -> None:
        """End every attempt, and those that begin later."""
        with self.lock:
            self.cancelled = True
            for attempt in self._attempts:
                attempt.shut()

    def close(self) -> None:
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        with self._changed:
            while self._thread is not None:
                now = time.monotonic()
                for attempt in self._attempts:
                    if attempt.end <= now:
                        attempt.shut()
                self._changed.wait(_TICK if self._attempts else None)


class Attempt(Closing):
    """One request with its redirects and its body; used by one thread, ended by any.

    ``silence`` are the seconds in which something of the body must come; until it begins twice as
    many may pass. ``last`` is the moment when all must be over, if there is one.
    """

    def __init__(self, watchdog: Watchdog, silence: float, last: float = float("inf")) -> None:
        self.silence = silence
        self.end = self._last = last
        self._allowed = 0.0
        self._watchdog = watchdog
        self._socket: socket.socket | None = None
        self._shut = False
        self._awake = threading.Event()
        self._begun = False
        self.arm(2 * silence)
        watchdog.add(self)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Let connections that this thread makes meanwhile be this attempt's."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def arm(self, seconds: float) -> None:
        """Set the time for what comes now."""
        now = time.monotonic()
        self.end = min(now + seconds, self._last)
        self._allowed = self.end - now

    def await_body(self) -> None:
        self._begun = True
        self.arm(self.silence + _TICK)  # the socket's own timeout comes first

    def await_rest(self) -> None:
        """Prepare to read what may stand behind a body."""
        self.arm(_CLOSING)

    def close(self) -> None:
        """End the watch, before the connection may serve another."""
        self._watchdog.remove(self)
        with self._watchdog.lock:
            self._drop()

    def interrupt(self) -> None:
        """Wake whoever reads; what for is the caller's affair."""
        with self._watchdog.lock:
            self._wake()

    def shut(self) -> None:
        """End it; the watchdog's lock is held."""
        self._shut = True
        self._wake()

    def _wake(self) -> None:
        self._awake.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def hold(self, connection: Any) -> None:
        """Take the socket that is used from now on."""
        with self._watchdog.lock:
            self._drop()
            # its own descriptor: TLS takes the first away, and closed numbers are given out again
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
            if self._shut or self._watchdog.cancelled:
                self.shut()

    @property
    def over(self) -> bool:
        """Whether it was ended from outside: what was received since is no word of the server."""
        return self._shut

    def check(self, url: str) -> None:
        """Raise FetchError when it is over: http.client takes a connection's end for a head's."""
        if self.over:
            raise self.explain(ConnectionAbortedError(), url)

    def explain(self, error: Exception, url: str) -> FetchError:
        """Say what went wrong, where it was perhaps ended by us."""
        if self._watchdog.cancelled:
            return FetchError("cancelled", where=redact(url))
        told = translate(error, url)
        if not self.over:
            return told
        host = told.fault.where.split("://")[-1].split("/")[0]
        what = (
            "stopped sending"
            if self._begun
            else f"did not answer within {max(1, self._allowed):.0f} s"
        )
        return FetchError(f"{host} {what}", where=told.fault.where, temporary=True)

    def connect(self, host: str, port: int, seconds: float | None, options: Any) -> socket.socket:
        """Connect to the first of a host's addresses that takes it; raise OSError."""
        failure = OSError("it has no address")
        for family, kind, protocol, _, address in self._addresses(host, port, seconds):
            connection = socket.socket(family, kind, protocol)
            try:
                for option in options or ():
                    connection.setsockopt(*option)
                connection.settimeout(seconds)
                self.hold(connection)
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
                if self.over:
                    break
            else:
                return connection
        raise failure

    def _addresses(self, host: str, port: int, seconds: float | None) -> Any:
        family = allowed_gai_family()
        with contextlib.suppress(socket.gaierror):  # an address needs no look-up
            numeric = socket.AI_NUMERICHOST
            return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=numeric)
        found: list[Any] = []

        def look_up() -> None:
            try:
                found.append(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
            except (OSError, ValueError) as error:  # UnicodeError for a name that is none
                found.append(error)
            self._awake.set()

        self._awake.clear()
        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        self._awake.wait(seconds)
        answer = found[0] if found else socket.gaierror(socket.EAI_AGAIN, "no name server answers")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Response(HTTPResponse):
    """An answer behind any number of interim ones (RFC 9110, 15.2); Python knows 100 alone."""

    def _read_status(self) -> Any:
        while True:
            said = super()._read_status()  # type: ignore[misc] # of http.client's own
            if said[1] not in _INTERIM:
                return said
            parse_headers(self.fp)


class Watched(HTTPConnection):
    """A connection that tells the current attempt which socket it uses."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        try:
            return _CURRENT.get().connect(
                self._dns_host.strip("[]"), self.port, self.timeout, self.socket_options
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # one that has served before
            _CURRENT.get().hold(self.sock)
        super().request(*args, **kwargs)


class _WatchedTls(Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


POOLS = {"http": _Pool, "https": _TlsPool}
"""For urllib3's pool managers."""
