"""A lock with the bytes it was read from, which a bundle's layout and digest follow from."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import layout as bundle_layout
from builder.bundle.layout import LOCK_LIMIT, LOCK_PATH, README_PATH
from builder.bundle.split import target_of
from builder.errors import DocumentError
from builder.formats import lock as lock_format
from builder.formats.reading import refusal
from builder.formats.text import LARGEST, decode, read_content
from builder.oci import layout as oci_layout
from builder.pipeline import paths
from builder.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.lock import Lock


@dataclass(frozen=True, kw_only=True)
class LockDocument:
    """Hold a lock's bytes; they are parsed and laid out when that is first asked for."""

    path: Path
    """Of the lock, or of the bundle that it is in."""
    content: bytes = field(repr=False)
    bundle: TarBundle | FolderBundle | None = None
    """What it is in, open."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock's file; raise DocumentError when it cannot be had."""
        content = read_content(path) if path.is_dir() else _content(path, unknown=True)
        if content is None:
            raise refusal(str(path), "a bundle, not a lock", hint="give the lock that it is of")
        return cls(path=path, content=content)

    @classmethod
    def inside(cls, bundle: TarBundle | FolderBundle) -> Self:
        """Read the lock of a bundle; raise VerificationError or StorageError."""
        content = bundle.read(LOCK_PATH, LOCK_LIMIT)
        return cls(path=bundle.path, content=content, bundle=bundle)

    @classmethod
    def of(cls, path: Path, lock: Lock) -> Self:
        """Write a lock that need not be parsed again."""
        document = cls(path=path, content=lock_format.write(lock))
        document.__dict__["lock"] = lock
        return document

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.path}: {LOCK_PATH}" if self.bundle else str(self.path)

    @property
    def store(self) -> Store:
        return Store(paths.documents(self.path))

    @cached_property
    def lock(self) -> Lock:
        """The lock; raise DocumentError with every mistake in it."""
        return lock_format.parse(decode(self.content, self.name), self.name)

    def check_images(self) -> None:
        """Hold the lock's images against the documents beside it, as far as they lie there.

        Raise DocumentError where they say something else, VerificationError for a damaged one.
        """
        from builder.oci.graph import ImageGraphs  # noqa: PLC0415 -- slow to load, and few ask

        lock, store = self.lock, self.store
        graphs = ImageGraphs(lock.images, lock.blobs, lock.subject.platforms)
        documents = {blob.digest for blob in lock.blobs if blob.kept}
        there = documents & store.digests()
        faults = [
            fault for digest in sorted(there) for fault in graphs.check(digest, store.read(digest))
        ]
        if there == documents:
            faults += graphs.unproven()
        if faults:
            hint = "airseed lock --update IMAGE takes one anew; or delete the lock, and lock again"
            raise DocumentError(self.name, sorted(set(faults)), hint=hint)

    @cached_property
    def layout(self) -> Layout:
        texts = oci_layout.render(
            self.lock.images, self.lock.subject.platforms, self.lock.subject.hops
        )
        return bundle_layout.plan(
            self.lock, self.content, {f"images/{path}": text for path, text in texts.items()}
        )


def is_lock(path: Path) -> bool:
    """Tell a lock, by its first byte, from a bundle."""
    if path.is_dir() or target_of(path) is not None:
        return False
    try:
        with disk.opened(path) as file:
            return file.read(1) == b"{"
    except OSError:
        return False


@contextmanager
def open_lock(path: Path, *, unknown: bool = False) -> Iterator[LockDocument]:
    """Open a lock, or a bundle (tar, parts or folder) for the lock in it.

    A file that is neither is refused as a bundle, or with ``unknown`` as a lock. Raise
    DocumentError, VerificationError or StorageError.
    """
    content = _content(path, unknown=unknown)
    if content is not None:
        yield LockDocument(path=path, content=content)
        return
    from builder.bundle.reader import open_bundle  # noqa: PLC0415 -- slow to load

    with open_bundle(path) as bundle:
        yield LockDocument.inside(bundle)


def _content(path: Path, *, unknown: bool) -> bytes | None:
    """Read a lock that was told from a bundle by its first bytes; return None for a bundle."""
    if path.is_dir() or target_of(path) is not None:
        return None
    try:
        with disk.opened(path) as file:
            start = file.peek(len(README_PATH))[: len(README_PATH)]
            unknown = unknown and start != README_PATH.encode()
            if not unknown and start[:1] != b"{":
                return None
            unknown = True
            return disk.read_open(file, LARGEST)
    except OSError:
        return read_content(path) if unknown else None  # which says what is wrong with it
