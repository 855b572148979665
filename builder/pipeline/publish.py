"""``publish``: fill a registry from bundles, which are neither unpacked nor copied."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.bundle.delta import lacks
from builder.bundle.reader import open_bundle
from builder.bundle.source import Supply
from builder.destinations.registry import Pushed
from builder.model.artifact import blob_path
from builder.pipeline.lock_document import LockDocument
from builder.pipeline.registry_filling import Filling, Published
from builder.sources.access import Access, AccessSettings
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.bundle.source import Source
    from builder.destinations.record import Stale
    from builder.model.artifact import Blob
    from builder.model.digest import Digest
    from builder.model.registry import Registry
    from builder.report import Reporter

__all__ = ["Published", "Pushed", "publish"]

_MANIFEST_LIMIT = 8 << 20
_FEW = 20


def publish(
    bundles: Sequence[Path],
    registry: Registry,
    *,
    reporter: Reporter,
    bases: Sequence[Path] = (),
    settings: AccessSettings | None = None,
    dry_run: bool = False,
    prune: Callable[[Sequence[Stale]], bool] | None = None,
) -> Published:
    """Bring the images of bundles (tar, parts, folder) into a registry.

    What is there already is asked for first and not sent; what a delta leaves out may also be in
    one of the others or in ``bases``. ``prune`` is shown what was published before and no bundle
    has any more, and says whether it is removed. Raise FetchError, UnavailableError with everything
    that could not be brought there, VerificationError for a damaged bundle, and IncompleteError for
    a delta without the rest.
    """
    with ExitStack() as opened:
        readings: list[TarBundle | FolderBundle] = []
        held: dict[Digest, Source] = {}
        for path in (*bundles, *bases):
            reading = open_bundle(path)
            opened.callback(reading.close)
            readings.append(reading)
            held = {**contents(reading), **held}
        access = opened.enter_context(Access.open(settings=settings))
        filling = Filling(access, registry, reporter)

        def supply(blob: Blob) -> Supply:
            source = held.get(blob.digest)
            return Supply(sources=(replace(source, state="fetched"),) if source else ())

        for reading in readings[: len(bundles)]:

            def read(digest: Digest, reading: TarBundle | FolderBundle = reading) -> bytes:
                return reading.read(blob_path(digest), _MANIFEST_LIMIT)

            plan = filling.plan(LockDocument.inside(reading).lock, read)
            lacking = [one for one in plan.uploads if one.digest not in held]
            if lacking:
                raise lacks(
                    reading,
                    [one.blob.path for one in lacking[:_FEW]],
                    f"{len(lacking)} of the images' parts are neither in it nor in the registry",
                    hint="this is a delta: name the earlier bundle, too (--base OLD)",
                )
            if not dry_run:
                filling.fill(supply)
        return filling.end(prune, dry_run=dry_run)
