"""The access log, as values that tests can count."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.server.message import Request
    from fault_lab.faults import NetworkFault

_PATIENCE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Describe one request and what came of it."""

    host: str
    method: str
    path: str
    query: str
    range: str | None
    """The Range header, if there was one."""
    authorized: bool
    """Whether the request carried an Authorization header."""
    agent: str
    status: int
    """Of the answer; 0 when none was sent."""
    sent: int
    """Bytes of the body that went out."""
    fault: NetworkFault | None
    """What was made to go wrong."""


@dataclass(slots=True)
class LogEntry:
    """Collect what happens to one request while it is served."""

    request: Request
    fault: NetworkFault | None = None
    status: int = 0
    sent: int = 0

    def value(self) -> Served:
        """Return what is known so far."""
        request = self.request
        return Served(
            host=request.host,
            method=request.method,
            path=request.path,
            query=request.query,
            range=request.headers.get("range"),
            authorized="authorization" in request.headers,
            agent=request.headers.get("user-agent", ""),
            status=self.status,
            sent=self.sent,
            fault=self.fault,
        )


class AccessLog:
    """Keep one entry per request, in the order of arrival."""

    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self._busy = 0
        self._changed = threading.Condition()

    @contextmanager
    def follow(self, request: Request) -> Iterator[LogEntry]:
        """Write a request down and follow it to its end."""
        entry = LogEntry(request)
        with self._changed:
            self._entries.append(entry)
            self._busy += 1
        try:
            yield entry
        finally:
            self._rest()

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Wait for nothing that happens in here: the server does nothing on purpose."""
        self._rest()
        try:
            yield
        finally:
            with self._changed:
                self._busy += 1

    def served(self) -> tuple[Served, ...]:
        """Return all requests so far, once those that are under way are answered."""
        with self._changed:
            # a client may have its last byte before the server has counted it
            self._changed.wait_for(lambda: not self._busy, _PATIENCE)
            return tuple(entry.value() for entry in self._entries)

    def clear(self) -> None:
        """Forget what was served."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, _PATIENCE)
            self._entries.clear()

    def _rest(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()
