"""``publish``: fill a registry from a bundle, which is neither unpacked nor copied."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.bundle.reader import open_bundle
from builder.bundle.writer import Supply
from builder.destinations.registry import Published, Pushed, RegistryDestination
from builder.errors import IncompleteError
from builder.model.artifact import blob_path
from builder.oci.push import Pusher
from builder.oci.uploads import Uploads
from builder.pipeline.lock_document import LockDocument
from builder.sources import cache
from builder.sources.access import Access, WayIn
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.artifact import Blob
    from builder.model.cluster import Registry
    from builder.model.digest import Digest
    from builder.report import Reporter

__all__ = ["Published", "Pushed", "publish"]

_MANIFEST_LIMIT = 8 << 20


def publish(
    bundle: Path,
    registry: Registry,
    *,
    reporter: Reporter,
    way: WayIn | None = None,
    workers: int = 6,
    dry_run: bool = False,
) -> Published:
    """Bring the images of a bundle (tar, parts, folder) into a registry.

    What is there already is asked for first and not sent. Raise FetchError, UnavailableError with
    everything that could not be brought there, VerificationError for a damaged bundle, and
    IncompleteError for a delta.
    """
    way = way or WayIn()
    with ExitStack() as opened:
        reading = open_bundle(bundle)
        opened.callback(reading.close)
        lock = LockDocument.inside(reading).lock
        access = opened.enter_context(Access.open(way=way, pool=workers))
        held = contents(reading)
        missing = [blob for blob in lock.blobs if blob.digest not in held]
        if missing:
            raise IncompleteError(
                f"{len(missing)} of the images' parts are not in it",
                where=str(bundle),
                hint="a delta is put together first: airseed bundle DELTA --base OLD -o WHOLE",
            )

        def read(digest: Digest) -> bytes:
            return reading.read(blob_path(digest), _MANIFEST_LIMIT)

        def supply(blob: Blob) -> Supply:
            return Supply(sources=(replace(held[blob.digest], state="fetched"),))

        destination = RegistryDestination(
            Pusher(access.connection),
            registry,
            lock,
            read,
            workers=workers,
            uploads=Uploads(cache.folder() / "uploads"),
        )
        plan = destination.plan()
        pushed = [] if dry_run else destination.fill(plan, supply, reporter)
        return Published(plan=plan, pushed=tuple(pushed))
