"""What is served: the members of one or more bundles, and the images in them by their names.

Structure is read once, at the start; a member's bytes are hashed when they are first asked for.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from builder.oci.layout import signature_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.artifact import Image
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.reference import Reference

_CHUNK = 1 << 20
_DNS = "coredns"


class DamagedError(OSError):
    """A member's bytes do not have the digest that the lock gives."""


@dataclass(eq=False, slots=True, kw_only=True)
class Piece:
    """One member of a bundle, as a body of responses.

    It is read and hashed until all of it was right once; from then on the kernel sends it.
    """

    path: str
    size: int
    digest: Digest
    media_type: str
    """Of an image's part, else empty."""
    modified: float
    """When the bundle's file was written, in seconds since 1970."""
    damaged: bool = False
    bundle: TarBundle | FolderBundle = field(repr=False)
    _verified: bool = False
    _verifying: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self) -> IO[bytes]:
        """Open the bytes; until they are known to be right, reading ends in DamagedError."""
        file = self.bundle.open(self.path)
        return file if self._verified else io.BufferedReader(_Checked(self, file), _CHUNK)

    def segments(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        if (offset, size) != (0, self.size):
            self.verify()
        if self._verified:
            yield from self.bundle.segments(self.path, offset, size)

    def read(self) -> bytes:
        """Read all of a small one; raise DamagedError."""
        with self.open() as file:
            return file.read()

    def verify(self) -> None:
        """Hash the bytes unless that was done; raise DamagedError."""
        with self._verifying:
            if not self._verified:
                with self.open() as file:
                    while file.read(_CHUNK):
                        pass

    def judge(self, digest: str) -> None:
        """Take the digest that all bytes have; raise DamagedError for a wrong one."""
        self._verified = digest == self.digest.hex
        self.damaged = not self._verified
        if self.damaged:
            raise DamagedError(errno.EIO, "has another digest than its lock says", self.path)


class _Checked(io.RawIOBase):
    """Hash bytes while they are read; the last ones are given only once all are right."""

    def __init__(self, piece: Piece, file: IO[bytes]) -> None:
        self._piece = piece
        self._file = file
        self._hasher = hashlib.sha256()
        self._left = piece.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if (offset, whence) != (0, os.SEEK_SET) or self._left != self._piece.size:
            raise io.UnsupportedOperation("what is not known to be right is read from its start")
        return 0

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # Buffer is of 3.12
        view = memoryview(buffer).cast("B")[: self._left]
        count = int(self._file.readinto(view)) if self._left else 0  # type: ignore[attr-defined]
        self._hasher.update(view[:count])
        self._left -= count
        if not self._left or not count:
            self._piece.judge("" if self._left else self._hasher.hexdigest())
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(slots=True)
class Repository:
    """What one repository of the registry has; several names may mean one."""

    tags: dict[str, Digest] = field(default_factory=dict)
    digests: set[Digest] = field(default_factory=set)
    """Indexes, manifests, configurations and layers that may be asked for here."""
    referrers: dict[Digest, dict[Digest, None]] = field(default_factory=dict)
    """Signatures by what they are about."""
    sources: dict[str, None] = field(default_factory=dict)
    """The repositories upstream that are found here; several have one short name."""

    def attach(self, image: Image) -> None:
        known = self.referrers.setdefault(image.digest, {})
        known.update(dict.fromkeys(signature.digest for signature in image.signatures))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBundle:
    """One open bundle whose frame was found to be what its own lock says."""

    name: str
    """As in URLs."""
    bundle: TarBundle | FolderBundle
    lock: Lock
    layout: Layout
    modified: float


class Content:
    """Find members by path and images by name in several bundles that share one name space.

    Where two bundles have different files at one path, the first one's counts; below
    ``bundles/NAME/`` each has its own.
    """

    def __init__(self, bundles: Iterable[ServedBundle]) -> None:
        self.bundles = tuple(bundles)
        self.files: dict[str, Piece] = {}
        self.blobs: dict[Digest, Piece] = {}
        self.repositories: dict[str, Repository] = {}
        self.clashes: dict[str, tuple[str, ...]] = {}
        """Short names with a tag that mean several images, with the repositories of those."""
        for served in self.bundles:
            self._add_files(served)
        for served in self.bundles:
            for image in served.lock.images:
                self._add_image(image)
        for name in self.clashes:
            path, _, tag = name.rpartition(":")
            del self.repositories[path].tags[tag]

    def _add_files(self, served: ServedBundle) -> None:
        media_types = {blob.path: blob.media_type for blob in served.lock.blobs}
        for extent in served.layout.extents:
            piece = Piece(
                path=extent.path,
                size=extent.size,
                digest=extent.digest,
                media_type=media_types.get(extent.path, ""),
                modified=served.modified,
                bundle=served.bundle,
            )
            self.files.setdefault(extent.path, piece)
            self.files[f"bundles/{served.name}/{extent.path}"] = piece
            if piece.media_type:
                self.blobs.setdefault(extent.digest, piece)

    def _add_image(self, image: Image) -> None:
        tags = {signature_tag(image.digest): each.digest for each in image.signatures[:1]}
        if image.reference.tag:
            tags[image.reference.tag] = image.digest
        for path in names_served(image.reference):
            repository = self.repositories.setdefault(path, Repository())
            repository.digests |= image.digests | image.signed_digests
            repository.sources.setdefault(image.reference.repository)
            for tag, digest in tags.items():
                # one image in two bundles: the first bundle counts; two images: neither does
                if (
                    repository.tags.setdefault(tag, digest) != digest
                    and len(repository.sources) > 1
                ):
                    self.clashes.setdefault(f"{path}:{tag}", tuple(repository.sources))
            repository.attach(image)


def names_served(reference: Reference) -> tuple[str, ...]:
    """Return the repositories that an image is found in, its own name with the host first.

    The others are what a site's registry has it under, with both spellings of coredns.
    """
    path = reference.path
    names = {reference.repository: None, path: None}
    if path.rpartition("/")[2] == _DNS:
        names |= {_DNS: None, f"{_DNS}/{_DNS}": None}
    return tuple(names)
