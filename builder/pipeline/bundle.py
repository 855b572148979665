"""``bundle``: fetch what a lock names into one file, or go on where an earlier run stopped."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.bundle import layout as bundle_layout
from builder.bundle.transfer import Policy
from builder.bundle.writer import Supply, write
from builder.errors import UsageError
from builder.formats import lock as lock_format
from builder.formats.text import decode, read_content
from builder.model.artifact import Blob, Package
from builder.oci import layout as oci_layout
from builder.pipeline import provenance, signature
from builder.sources import built as built_source
from builder.sources import cache
from builder.sources import file as file_source
from builder.sources import image as image_source
from builder.sources.access import Access
from builder.sources.file import LocalSource
from builder.sources.package import Signatures
from builder.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.bundle.download import Outcome, Source
    from builder.bundle.layout import Extent, Layout
    from builder.bundle.writer import Result
    from builder.model.lock import Lock
    from builder.report import Reporter

NAME = "bundle.tar"
_USUAL = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Tell what a run made."""

    lock: Lock
    result: Result
    sums: bytes
    """Its SHA256SUMS, which is what a signature covers."""


def beside(lock: Path) -> Path:
    """Give a bundle's usual place: bundle.tar beside cluster.lock, NAME.tar beside NAME.lock."""
    return lock.with_name(NAME if lock.stem == _USUAL else f"{lock.stem}.tar")


def kept_beside(lock: Path) -> Store:
    """Give the folder with the bytes that locking needed, such as ``cluster.lock.d``."""
    return Store(lock.with_name(f"{lock.name}.d"))


def arrange(lock: Lock, content: bytes) -> Layout:
    """Lay out the bundle of a lock, whose text is ``content``."""
    texts = oci_layout.render(lock.images, lock.subject.platforms)
    return bundle_layout.plan(
        lock, content, {f"images/{path}": text for path, text in texts.items()}
    )


def build(
    lock_path: Path,
    target: Path | None = None,
    *,
    reporter: Reporter,
    ca_bundle: Path | None = None,
    workers: int = Policy.workers,
) -> Built:
    """Make the bundle of a lock.

    Raises:
        DocumentError: the lock is wrong.
        UsageError: the lock and the bundle are the same file.
        StorageError: the disk does not take it, or a file beside the lock is missing.
        UnavailableError: artifacts could not be had; all others are kept for the next run.
        VerificationError: RPMs are not signed by the keys that the lock names.
    """
    target = target or beside(lock_path)
    if target.is_dir():
        target = target / beside(lock_path).name
    if target.resolve() == lock_path.resolve():
        raise UsageError("the bundle would overwrite the lock", where=str(target))
    content = read_content(lock_path)
    lock = lock_format.parse(decode(content, str(lock_path)), str(lock_path))
    layout = arrange(lock, content)
    with Access.open(ca_bundle=ca_bundle, pool=workers) as access:
        supplier = _Supplier(lock, kept_beside(lock_path), lock_path.parent, access)
        result = write(
            layout,
            target,
            supplier.supply,
            reporter,
            policy=Policy(workers=workers),
            finishing=_SideFiles(lock_path, target, layout).write,
        )
    return Built(lock=lock, result=result, sums=layout.sums)


class _SideFiles:
    """Puts right what lies beside a bundle that is about to get its name."""

    def __init__(self, lock: Path, target: Path, layout: Layout) -> None:
        self._lock = lock
        self._target = target
        self._layout = layout
        self._started = provenance.now()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write down where all came from; drop the signature of what was there before."""
        provenance.record(
            self._target,
            outcomes,
            digests={extent.path: extent.digest for extent in self._layout.extents},
            sums=self._layout.sums,
            lock=self._lock,
            started=self._started,
        )
        signature.forget(self._target)


class _Supplier:
    """Says where each artifact of one lock comes from."""

    def __init__(self, lock: Lock, kept: Store, folder: Path, access: Access) -> None:
        self._kept = kept
        self._folder = folder
        self._access = access
        self._workshop = built_source.workshop(cache.folder(), access.client)
        files = {file.path: file.digest for file in lock.files}
        self._signatures = Signatures(lock, lambda path: kept.read(files[path]))

    def supply(self, extent: Extent) -> Supply:
        """Give the sources of an artifact, the bytes beside the lock first."""
        artifact = extent.content
        if isinstance(artifact, bytes):
            return Supply(sources=())
        sources: list[Source] = []
        if artifact.kept and self._kept.has(artifact.digest):
            sources.append(LocalSource(self._kept.path(artifact.digest)))
        if isinstance(artifact, Blob):
            sources.extend(image_source.sources(artifact, self._access.registry))
            return Supply(sources=tuple(sources))
        sources.extend(
            file_source.sources(artifact.sources, artifact.size, self._access.client, self._folder)
        )
        if isinstance(artifact, Package):
            sources.extend(built_source.sources(artifact, self._kept, self._workshop))
            return Supply(
                sources=tuple(sources),
                check=functools.partial(self._signatures.check, artifact),
            )
        return Supply(sources=tuple(sources))
