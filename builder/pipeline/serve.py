"""``serve``: be a read-only registry, yum repository and file server, straight out of bundles."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder import host_port
from builder.bundle.delta import reduced
from builder.bundle.layout import DELTA_PATH, LOCK_LIMIT
from builder.bundle.reader import open_bundle
from builder.bundle.verify import verify_frame
from builder.errors import UsageError, VerificationError, reason
from builder.pipeline.boots import watched
from builder.pipeline.lock_document import LockDocument
from builder.render.page import policy, render_page
from builder.report import Silent
from builder.serve.boots import Posts
from builder.serve.content import Content, ServedBundle
from builder.serve.htpasswd import Htpasswd
from builder.serve.metrics import Metrics
from builder.serve.page import Pages, People
from builder.serve.registry import refusal_of_login
from builder.serve.site import ServeSite
from builder.server.basic_auth import BasicAuth
from builder.server.head import RequestRefused
from builder.server.listener import Listener
from builder.server.ranges import apply_range
from builder.server.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.pipeline.boots import Watch
    from builder.report import Reporter
    from builder.serve.piece import Piece
    from builder.server.connection import Connection
    from builder.server.message import Request, Site


_GRACE = 30.0
"""Seconds that responses may still take when the server is stopped."""


@dataclass(frozen=True, slots=True)
class Serving:
    content: Content
    url: str
    """Of what is listened on, without a slash at its end."""

    @property
    def address(self) -> str:
        """Return host and port."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeAccess:
    """Who gets in, and how: the files of an operator."""

    certificate: Path | None = None
    """With the certificates of its authorities behind it."""
    key: Path | None = None
    users: Path | None = None
    """As ``htpasswd -B`` writes it."""

    def context(self) -> ssl.SSLContext | None:
        """Read certificate and key; raise UsageError."""
        if self.certificate is None or self.key is None:
            return None
        try:
            return server_context(self.certificate, self.key)
        except OSError as error:
            raise UsageError(
                f"certificate or key can't be used ({reason(error)})",
                where=f"{self.certificate}, {self.key}",
                expected="a certificate and its key without a passphrase, both as PEM",
            ) from error

    def guard(self, site: Site) -> Site:
        if self.users is None:
            return site
        knows = Htpasswd.read(self.users).knows
        return BasicAuth(site, knows, public={"/healthz"}, refusal=refusal_of_login)


@contextmanager
def serve(
    bundles: Sequence[Path],
    *,
    address: tuple[str, int],
    access: ServeAccess | None = None,
    watch: Watch | None = None,
    prefixes: Sequence[str] = (),
    reporter: Reporter | None = None,
    log: Callable[[str], None] | None = None,
) -> Iterator[Serving]:
    """Serve bundles (tars, parts, folders, deltas beside what they are made against).

    Their frames are checked first, against their own locks; what is in the members when it is
    first asked for. ``log`` gets a line a request. At the end, responses that are under way are
    waited for. Raise VerificationError, DocumentError, StorageError, UsageError for an address
    that can't be listened on and for a certificate that can't be used.
    """
    access, reporter = access or ServeAccess(), reporter or Silent()
    context = access.context()

    def when_damaged(piece: Piece) -> None:
        reporter.warn(
            f"{piece.path} is damaged in {piece.bundle.path}: it is not served",
            hint="airseed verify finds all that is damaged",
        )

    with ExitStack() as opened:
        served = []
        for path in bundles:
            bundle = open_bundle(path)
            opened.callback(bundle.close)
            served.append(_check(bundle, path))
        content = Content(_named(served), prefixes=prefixes, when_damaged=when_damaged)
        metrics = Metrics(content)
        boots = watched(watch, reporter) if watch else nullcontext()
        board = opened.enter_context(boots)
        pages = Pages(render_page, policy)
        site = access.guard(People(ServeSite(content, metrics), content, pages, board))
        if board:
            site = Posts(site, board)
        exchanges = _Exchanges(site, metrics, log)
        try:
            listener = Listener(exchanges.run, address=address, tls=context)
        except OSError as error:
            # Python says the address once more behind the system's words
            what = reason(error).partition(" (while")[0]
            low = isinstance(error, PermissionError)
            hint = "a port below 1024 needs root or CAP_NET_BIND_SERVICE" if low else None
            raise UsageError(what, where=host_port.joined(*address), hint=hint) from error
        opened.callback(listener.close, _GRACE)
        if board:
            opened.callback(board.close)  # before the listener waits for who watches
        yield Serving(content, f"http{'s' if context else ''}://{listener.address}")


def _check(bundle: TarBundle | FolderBundle, path: Path) -> ServedBundle:
    document = LockDocument.inside(bundle)
    layout = document.layout
    if DELTA_PATH in bundle.members():
        layout = reduced(layout, bundle.read(DELTA_PATH, LOCK_LIMIT))
    faults = verify_frame(bundle, layout)
    if faults:
        raise VerificationError(
            "the bundle is damaged",
            where=str(path),
            faults=faults,
            hint="airseed verify finds all that is damaged",
        )
    name = bundle.path.name.removesuffix(".tar")
    return ServedBundle(
        name=name, bundle=bundle, lock=document.lock, layout=layout, modified=bundle.modified
    )


def _named(bundles: Sequence[ServedBundle]) -> Iterator[ServedBundle]:
    """Give bundles of one name different ones."""
    seen: set[str] = set()
    for bundle in bundles:
        name, number = bundle.name, 1
        while name in seen:
            number += 1
            name = f"{bundle.name}-{number}"
        seen.add(name)
        yield replace(bundle, name=name)


class _Exchanges:
    """Answer the requests of connections, and keep account of them."""

    def __init__(self, site: Site, metrics: Metrics, log: Callable[[str], None] | None) -> None:
        self._site = site
        self._metrics = metrics
        self._log = log

    def run(self, connection: Connection) -> None:
        with self._metrics.connection():
            connection.run(lambda request: self._exchange(connection, request))

    def _exchange(self, connection: Connection, request: Request) -> None:
        if not request.path:
            raise RequestRefused(
                HTTPStatus.METHOD_NOT_ALLOWED
            )  # CONNECT: what follows is another's
        begun, sent = time.monotonic(), 0
        response = apply_range(request, self._site.answer(request))
        try:
            connection.send_head(response)
            if request.method != "HEAD":
                for count in connection.send_body(response):
                    sent += count
        finally:
            self._metrics.count(request.path, response.status, sent)
            if self._log:
                took = time.monotonic() - begun
                what = f"{request.path}?{request.query}" if request.query else request.path
                self._log(
                    f"{connection.client} {request.method} {what} {response.status}"
                    f" {sent} {took:.3f}"
                )
