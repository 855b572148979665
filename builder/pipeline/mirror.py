"""``mirror``: fill a registry from the upstreams, with no bundle between."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from builder.pipeline.artifact_sources import Supplier
from builder.pipeline.registry_filling import Filling, Published
from builder.sources.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.destinations.record import Stale
    from builder.model.registry import Registry
    from builder.pipeline.lock_document import LockDocument
    from builder.report import Reporter
    from builder.sources.access import AccessSettings


def mirror(
    document: LockDocument,
    registry: Registry,
    *,
    reporter: Reporter,
    settings: AccessSettings,
    dry_run: bool,
    prune: Callable[[Sequence[Stale]], bool] | None,
) -> Published:
    """Bring the images of a lock into a registry, each blob straight from its source.

    What the registry has is not fetched. Raise FetchError or UnavailableError; what came through
    stays.
    """
    document.check_images()
    with ExitStack() as opened:
        supplier = Supplier(document, opened, ca_bundle=settings.ca_bundle, info=reporter.info)
        access = opened.enter_context(Access.open(settings=settings))
        filling = Filling(access, registry, reporter)
        filling.plan(document.lock, document.store.read)
        if not dry_run:
            filling.fill(supplier.of)
        return filling.end(prune, dry_run=dry_run)
