"""``serve``: be a read-only registry, yum repository and file server, straight out of bundles."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.bundle.delta import recover, without
from builder.bundle.layout import DELTA_PATH, LOCK_LIMIT
from builder.bundle.reader import open_bundle
from builder.bundle.verify import verify_frame
from builder.errors import UsageError, VerificationError
from builder.pipeline.boots import watched
from builder.pipeline.lock_document import LockDocument
from builder.render.page import policy, render_page
from builder.report import Silent
from builder.serve.boots import Posts
from builder.serve.content import Content, ServedBundle
from builder.serve.page import Pages, People
from builder.serve.site import ServeSite
from builder.server.listener import Listener
from builder.server.ranges import apply_range

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.pipeline.boots import Watch
    from builder.report import Reporter
    from builder.server.connection import Connection
    from builder.server.message import Request, Site


@dataclass(frozen=True, slots=True)
class Serving:
    content: Content
    address: str
    """Host and port that are listened on."""


@contextmanager
def serve(
    bundles: Sequence[Path],
    *,
    address: tuple[str, int],
    tls: ssl.SSLContext | None = None,
    watch: Watch | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Serving]:
    """Serve bundles (tars, parts, folders, deltas beside what they are made against).

    Their frames are checked first, against their own locks; what is in the members when it is
    first asked for. Raise VerificationError, DocumentError, StorageError, UsageError for an
    address that can't be listened on.
    """
    with ExitStack() as opened:
        served = []
        for path in bundles:
            bundle = open_bundle(path)
            opened.callback(bundle.close)
            served.append(_check(bundle, path))
        content = Content(_named(served))
        boots = watched(watch, reporter or Silent()) if watch else nullcontext()
        board = opened.enter_context(boots)
        pages = Pages(render_page, policy)
        site: Site = People(ServeSite(content), content, pages, board)
        if board:
            site = Posts(site, board)
        try:
            listener = Listener(lambda client: _answer(client, site), address=address, tls=tls)
        except OSError as error:
            where = "{}:{}".format(*address)
            raise UsageError(error.strerror or str(error), where=where) from error
        opened.callback(listener.close)
        if board:
            opened.callback(board.close)  # before the listener waits for who watches
        yield Serving(content, listener.address)


def _check(bundle: TarBundle | FolderBundle, path: Path) -> ServedBundle:
    document = LockDocument.inside(bundle)
    layout = document.layout
    if DELTA_PATH in bundle.members():
        layout = without(layout, recover(layout, bundle.read(DELTA_PATH, LOCK_LIMIT)))
    faults = verify_frame(bundle, layout)
    if faults:
        raise VerificationError(
            "the bundle is damaged",
            where=str(path),
            faults=faults,
            hint="airseed verify finds all that is damaged",
        )
    name = bundle.path.name.removesuffix(".tar")
    modified = path.stat().st_mtime
    return ServedBundle(
        name=name, bundle=bundle, lock=document.lock, layout=layout, modified=modified
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


def _answer(connection: Connection, site: Site) -> None:
    def exchange(request: Request) -> None:
        response = apply_range(request, site.answer(request))
        connection.send_head(response)
        if request.method != "HEAD":
            for _ in connection.send_body(response):
                pass

    connection.run(exchange)
