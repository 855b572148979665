"""``mirror``: fill a registry from the upstreams, with no bundle between."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.destinations.registry import Published, RegistryDestination
from builder.oci.push import Pusher
from builder.oci.uploads import Uploads
from builder.pipeline.supply import Supplier
from builder.sources import cache
from builder.sources.access import Access, WayIn

if TYPE_CHECKING:
    from builder.model.cluster import Registry
    from builder.pipeline.lock_document import LockDocument
    from builder.report import Reporter


def mirror(
    document: LockDocument,
    registry: Registry,
    *,
    reporter: Reporter,
    way: WayIn | None = None,
    workers: int = 6,
    dry_run: bool = False,
) -> Published:
    """Bring the images of a lock into a registry, each blob straight from its source.

    What the registry has is not fetched. Raise FetchError or UnavailableError; what came through
    stays.
    """
    document.check_images()
    way = way or WayIn()
    with ExitStack() as opened:
        supplier = Supplier(
            document, opened, ca_bundle=way.ca_bundle, pool=workers, info=reporter.info
        )
        access = opened.enter_context(Access.open(way=way, pool=workers))
        destination = RegistryDestination(
            Pusher(access.connection),
            registry,
            document.lock,
            document.store.read,
            workers=workers,
            uploads=Uploads(cache.folder() / "uploads"),
        )
        plan = destination.plan()
        pushed = [] if dry_run else destination.fill(plan, supplier.of, reporter)
        return Published(plan=plan, pushed=tuple(pushed))
