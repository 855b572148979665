"""Where each artifact of a lock comes from, and what lies beside a bundle when it is finished."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from builder.bundle import split
from builder.bundle.layout import SUMS_PATH
from builder.bundle.policy import Policy
from builder.bundle.reader import open_bundle
from builder.bundle.source import Supply
from builder.bundle.split import target_of
from builder.errors import StorageError, VerificationError
from builder.model.artifact import Blob, Package
from builder.oci.graph import LIMIT, ImageGraphs
from builder.oci.layer_compression import LayerCompression
from builder.pipeline import provenance, signature
from builder.rpm.header import read_head
from builder.sources import cache
from builder.sources import file as file_source
from builder.sources import image as image_source
from builder.sources.access import Access
from builder.sources.earlier import contents
from builder.sources.package import Signatures, check_metadata

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from builder.bundle.download import Outcome
    from builder.bundle.layout import Extent, Layout
    from builder.bundle.source import Source
    from builder.bundle.writer import Finishing
    from builder.model.artifact import Content
    from builder.model.digest import Digest
    from builder.pipeline.lock_document import LockDocument
    from builder.sources.built import Workshop

_DOCUMENT_LIMIT = 64 << 20
"""Bytes of the largest file of a bundle that is read whole."""


class Supplier:
    def __init__(
        self,
        document: LockDocument,
        opened: ExitStack,
        *,
        ca_bundle: Path | None,
        pool: int = Policy.workers,
        info: Callable[[str], None],
    ) -> None:
        """Open the way out; ``opened`` closes it."""
        lock, bundle = document.lock, document.bundle
        self._kept = kept = document.store
        if bundle is None:
            for file in lock.files:
                if file.kind == "key":  # every package is checked with them
                    kept.read(file.digest)
        self._folder = document.path.parent
        self._access = opened.enter_context(Access.open(ca_bundle=ca_bundle, pool=pool))
        self._info = info
        self._workshop: Workshop | None = None
        self._graphs = ImageGraphs(lock.images, lock.blobs, lock.subject.platforms)
        self._compression = LayerCompression(lock)
        files = {file.path: file.digest for file in lock.files}
        self._lock, self._where = lock, str(document.path)
        self._read: Callable[[str], bytes] = lambda path: (
            kept.read(files[path]) if bundle is None else bundle.read(path, _DOCUMENT_LIMIT)
        )
        self._signatures = Signatures(lock, self._read)

    def supply(self, extent: Extent) -> Supply:
        """Return the sources of a member of a bundle."""
        content = extent.content
        return Supply(sources=()) if isinstance(content, bytes) else self.of(content)

    def of(self, artifact: Content) -> Supply:
        """Return the sources of an artifact, the bytes beside the lock first."""
        sources: list[Source] = []
        if artifact.kept and self._kept.has(artifact.digest):
            sources.append(file_source.local(self._kept.path(artifact.digest)))
        if isinstance(artifact, Blob):
            sources.extend(image_source.sources(artifact, self._access.registry))
            agrees = functools.partial(self._agrees, artifact.digest)
            fits = functools.partial(self._fits, artifact.digest)
            return Supply(
                sources=tuple(sources),
                check=agrees if artifact.digest in self._graphs else None,
                judge=fits if artifact.digest in self._compression else None,
            )
        sources.extend(
            file_source.sources(artifact.sources, artifact.size, self._access.client, self._folder)
        )
        if isinstance(artifact, Package):
            if artifact.built is not None:
                sources.extend(self._rebuilding(artifact))
            return Supply(
                sources=tuple(sources), check=functools.partial(self._signatures.check, artifact)
            )
        return Supply(sources=tuple(sources))

    def _agrees(self, digest: Digest, content: io.BufferedReader) -> None:
        """Raise VerificationError unless a document of an image says what the lock says of it."""
        if faults := self._graphs.check(digest, content.read(LIMIT + 1)):
            raise VerificationError("it is not what the lock says", faults=faults)

    def _fits(self, digest: Digest, beginning: bytes) -> None:
        """Raise VerificationError for a layer that nodes may be unable to unpack."""
        if faults := tuple(self._compression.faults(digest, beginning)):
            raise VerificationError("its media type is not true", faults=faults)

    def prove(self, layout: Layout, opened: Callable[[str], io.BufferedReader]) -> None:
        """Hold the headers of all RPMs that are in a bundle against the lock's metadata.

        ``opened`` opens a member. Raise VerificationError when a mirror changed that.
        """
        packages = [e.content for e in layout.extents if isinstance(e.content, Package)]
        heads = {}
        for package in packages:
            with opened(package.path) as file:
                heads[package.digest] = read_head(file, where=package.path)
        if faults := check_metadata(self._lock, self._read, heads):
            raise VerificationError(
                "the metadata that this was locked from is not what its packages say",
                where=self._where,
                faults=faults,
            )

    def _rebuilding(self, package: Package) -> Sequence[Source]:
        """Return what may have the bytes of an RPM that airseed builds itself."""
        from builder.sources import built  # noqa: PLC0415 -- slow to load, and few need it

        if self._workshop is None:
            self._workshop = built.workshop(cache.folder(), self._access.client, self._info)
        return built.sources(package, self._kept, self._workshop)


def finishing(supplier: Supplier, lock: Path, target: Path, layout: Layout) -> Finishing:
    """Return what proves a bundle that is about to get its name, and sees to what lies beside it.

    It writes down where everything came from, and drops the signature of another bundle than this.
    """
    started = provenance.now()

    def finish(outcomes: Sequence[Outcome], opened: Callable[[str], io.BufferedReader]) -> None:
        supplier.prove(layout, opened)
        digests = {extent.path: extent.digest for extent in layout.extents}
        provenance.record(
            target, outcomes, digests=digests, sums=layout.sums, lock=lock, started=started
        )
        if not _is_again(target, layout.sums):
            signature.forget(target)

    return finish


def _is_again(target: Path, sums: bytes) -> bool:
    """Return whether this very bundle is there already, cut in another way or damaged.

    A signature covers SHA256SUMS alone, so it holds for every form of the same bundle.
    """
    parts = split.sums_path(target)
    existing = [target] if target.is_file() else []
    existing += [parts] if split.is_ours(parts) else []
    try:
        return bool(existing) and all(_has_sums(path, sums) for path in existing)
    except (VerificationError, StorageError):
        return False


def _has_sums(path: Path, sums: bytes) -> bool:
    with open_bundle(path) as bundle:
        return bundle.read(SUMS_PATH, len(sums) + 1) == sums


def near(
    document: LockDocument, bases: Sequence[Path], target: Path, opened: ExitStack
) -> dict[Digest, Source]:
    """Return what bundles hold: the lock's own first, what has the target's name last."""
    lock = document.lock
    nearby: dict[Digest, Source] = {}

    def add(base: Path) -> None:
        bundle = open_bundle(base)
        opened.enter_context(bundle)
        nearby.update({**contents(bundle, provenance.origins(base, lock)), **nearby})

    if document.bundle is not None:
        nearby.update(contents(document.bundle, provenance.origins(document.path, lock)))
    for base in bases:
        add(base)
    with contextlib.suppress(VerificationError, StorageError):  # it may be anything
        if target.is_file() or target_of(target) is not None:
            add(target)
    return nearby
