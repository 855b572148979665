"""What a server did since it was started, counted for Prometheus.

The text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.server.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.serve.content import Content

_KINDS = (
    ("manifests", re.compile(r"/v2/.+/manifests/")),
    ("blobs", re.compile(r"/v2/.+/blobs/")),
    ("lists", re.compile(r"/v2(/|/_catalog|/.+/(tags/list|referrers/.+))?")),
    ("health", re.compile(r"/(healthz|metrics)")),
    ("files", re.compile(r"/.+")),
)


def kind_of(path: str) -> str:
    """Tell what is asked for; there are few kinds, whatever clients ask."""
    return next((kind for kind, pattern in _KINDS if pattern.match(path)), "page")


class Metrics:
    """Count requests, bytes and connections; any thread may."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._started = time.time()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._sent: Counter[str] = Counter()
        self._connections = 0
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[None]:
        with self._lock:
            self._connections += 1
        try:
            yield
        finally:
            with self._lock:
                self._connections -= 1

    def count(self, path: str, status: int, sent: int) -> None:
        kind = kind_of(path)
        with self._lock:
            self._requests[kind, status] += 1
            self._sent[kind] += sent

    @property
    def response(self) -> Response:
        """Answer with everything that is counted."""
        with self._lock:
            requests, sent, connections = dict(self._requests), dict(self._sent), self._connections
        members: Counter[str] = Counter(unread=0, verified=0, damaged=0)
        for piece in self._content.pieces:
            judged = piece.judged
            members["unread" if judged is None else "verified" if judged[1] else "damaged"] += 1
        lines = [
            *_metric("requests_total", "counter", "Requests that were answered."),
            *(
                f'airseed_requests_total{{kind="{kind}",status="{status}"}} {count}'
                for (kind, status), count in sorted(requests.items())
            ),
            *_metric("sent_bytes_total", "counter", "Bytes of bodies that were sent."),
            *(
                f'airseed_sent_bytes_total{{kind="{kind}"}} {count}'
                for kind, count in sorted(sent.items())
            ),
            *_metric("connections", "gauge", "Connections that are open."),
            f"airseed_connections {connections}",
            *_metric("members", "gauge", "Members of bundles, by what is known of their bytes."),
            *(f'airseed_members{{state="{state}"}} {members[state]}' for state in sorted(members)),
            *_metric("start_time_seconds", "gauge", "When the server was started."),
            f"airseed_start_time_seconds {self._started:.3f}",
            "",
        ]
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return Response(headers=headers, body="\n".join(lines).encode())


def _metric(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP airseed_{name} {what}", f"# TYPE airseed_{name} {kind}"
