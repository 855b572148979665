"""How first boots stand, live: machines post here, people and ``airseed status`` look.

What comes in is bounded: only nodes of the cluster, one entry each, texts as long as a result may
have them. An answer of the stream of events ends after one event or some seconds, and the browser
asks again by itself: so proxies that hold an answer back until it is whole delay nothing, and no
client has a thread for ever.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from builder.errors import AirseedError
from builder.model.boots import Boots
from builder.server.message import Response, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.model.boots import Heard
    from builder.model.result import Result
    from builder.serve.page import Pages
    from builder.server.message import Request, Site

PATH = "/boots"
_LARGEST = 256 << 10
"""Bytes of a post: a result with its steps, waits and the last lines of a log."""
_HOLD = 20.0
_MOST_WATCHING = 64
_SAVE_EVERY = 1.0
_STATES = ("failed", "waiting", "running", "done", "unknown")


class Posts:
    """Take machines' posts before anybody is asked for a password: they have a token instead."""

    def __init__(self, site: Site, board: BootBoard) -> None:
        self._site = site
        self._board = board

    def answer(self, request: Request) -> Response:
        if request.method == "POST" and request.path == PATH:
            return self._board.take(request)
        return self._site.answer(request)


class BootBoard:
    """Take what machines post, keep it, and show it."""

    path = PATH

    def __init__(
        self,
        known: Boots,
        *,
        read: Callable[[bytes, float], Heard],
        write: Callable[[Boots], bytes],
        keep: Callable[[Boots], None],
        token: str | None = None,
    ) -> None:
        """Begin with what is known; ``keep`` saves it, and is called by one thread at a time."""
        self._cluster = known.cluster
        self._nodes = known.nodes
        self._heard = dict(known.heard)
        self._read = read
        self._write = write
        self._keep = keep
        self._token = token
        self._run = secrets.token_hex(4)
        self._changes = self._saved = 0
        self._watching = 0
        self._closed = False
        self._changed = threading.Condition()
        self._keeper = threading.Thread(target=self._save, name="first boots", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """Save what is known, and let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._keeper.join()

    @property
    def version(self) -> str:
        """Change whenever something is heard, also across restarts."""
        return f"{self._run}-{self._changes}"

    def now(self) -> Boots:
        with self._changed:
            heard = dict(self._heard)
        return Boots(cluster=self._cluster, now=time.time(), nodes=self._nodes, heard=heard)

    def answer(self, request: Request, pages: Pages) -> Response | None:
        """Answer who looks at ``/boots`` and below; None for other paths."""
        if request.path == PATH:
            return pages.answer(request, "boots", self._values())
        headers = {"Cache-Control": "no-store"}
        if request.path == f"{PATH}.json":
            headers["Content-Type"] = "application/json"
            return Response(headers=headers, body=self._write(self.now()))
        if request.path == f"{PATH}/events":
            headers["Content-Type"] = "text/event-stream"
            return Response(headers=headers, body=self._event(request))
        return None

    def take(self, request: Request) -> Response:
        """Take a machine's post, or say why not."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._token is not None and not (
            scheme.lower() == "bearer"
            and hmac.compare_digest(token.strip().encode(), self._token.encode())
        ):
            return text(403, "this cluster's machines say its token: render their seeds again\n")
        # a browser sends no such type for a stranger's page without asking first
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return text(415, "post a result.json as application/json\n")
        if len(request.body) > _LARGEST:
            return text(413, f"a result has {_LARGEST:,} bytes at most\n")
        try:
            heard = self._read(request.body, time.time())
        except AirseedError as error:
            return text(400, f"{error.fault}\n")
        result = heard.result
        if result.node not in self._nodes or result.cluster not in {"", self._cluster}:
            return text(403, "cluster.yaml has no such node\n")
        with self._changed:
            before = self._heard.get(result.node)
            if before is None or not heard.is_older_than(before):
                self._heard[result.node] = heard
                self._changes += 1
                self._changed.notify_all()
        return Response(status=204)

    def _event(self, request: Request) -> bytes:
        """Wait until something is other than what a client has seen, or for some seconds."""
        asked = parse_qs(request.query).get("since", [""])[0]
        seen = request.headers.get("last-event-id") or asked
        with self._changed:
            if self._watching >= _MOST_WATCHING:
                return b"retry: 10000\n: too many are watching\n\n"
            self._watching += 1
            try:
                self._changed.wait_for(
                    lambda: self._closed or self.version != seen,
                    0 if request.method == "HEAD" else _HOLD,
                )
                version = self.version
            finally:
                self._watching -= 1
        if version == seen:
            return b"retry: 500\n: nothing new\n\n"
        return f"retry: 500\nid: {version}\nevent: change\ndata: {version}\n\n".encode()

    def _save(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._changes != self._saved)
            self._save_once()
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _SAVE_EVERY)
        self._save_once()

    def _save_once(self) -> None:
        changes = self._changes
        if changes != self._saved:
            self._keep(self.now())
            self._saved = changes

    def _values(self) -> dict[str, Any]:
        version = self.version  # before what it stands for: at worst it is asked for once more
        boots = self.now()
        results = boots.results
        counts = {state: sum(result.state == state for result in results) for state in _STATES}
        return {
            "cluster": boots.cluster,
            "version": version,
            "counts": {state: count for state, count in counts.items() if count},
            "rows": [_row(result, boots.heard.get(result.node), boots.now) for result in results],
        }


def _row(result: Result, heard: Heard | None, now: float) -> Mapping[str, Any]:
    lines = heard.posted.get("lines", []) if heard and result.state == "failed" else []
    return {
        "result": result,
        "lines": lines,
        "heard": None if heard is None else max(0, round(now - heard.received)),
    }
