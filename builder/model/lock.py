"""The lock: the contract between cluster.yaml and everything made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.model.digest import Digest

if TYPE_CHECKING:
    from builder.model.artifact import Blob, Content, File, Image, Package, Repository
    from builder.model.platform import Platform

FORMAT = 1
"""The lock format that this airseed writes; a newer one is refused."""
_FINGERPRINT = re.compile(r"(?:([1-9][0-9]{0,8}):)?(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Name everything that cluster.yaml and the catalog asked for; see ``model.fingerprint``."""

    version: int
    """Which fields the digest is of; two of different versions cannot be compared."""
    digest: Digest

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Read ``VERSION:DIGEST``; a digest alone, as the first locks have it, is version 0."""
        match = _FINGERPRINT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a fingerprint (like 1:sha256:...)")
        return cls(int(match[1] or 0), Digest.parse(match[2]))

    def __str__(self) -> str:
        return f"{self.version}:{self.digest}" if self.version else str(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    cluster: str
    kubernetes: str
    os: str
    base: str
    """``core``, ``empty``, or ``sha256:`` of the user's package list."""
    runtime: str
    cni: str
    platforms: tuple[Platform, ...]
    image_platforms: tuple[Platform, ...] = ()
    """What images have beside those, as far as upstream does."""
    demand: Fingerprint | None = None
    hops: tuple[str, ...] = ()
    """The releases of Kubernetes that it leads through, from the one that runs to its own."""

    @property
    def is_between(self) -> bool:
        """Tell whether it is about a release on the way, and not about the last one."""
        return bool(self.hops) and self.kubernetes != self.hops[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Name every artifact of a cluster by digest. Each tuple is sorted by name."""

    subject: Subject
    images: tuple[Image, ...] = ()
    blobs: tuple[Blob, ...] = ()
    repositories: tuple[Repository, ...] = ()
    packages: tuple[Package, ...] = ()
    files: tuple[File, ...] = ()

    def of(self, release: str) -> Lock:
        """Leave out what only other releases of its way need."""
        if not self.subject.hops:
            return self
        images = tuple(image for image in self.images if not image.hops or release in image.hops)
        digests = {digest for image in images for digest in image.digests | image.signed_digests}
        packages = tuple(one for one in self.packages if not one.hops or release in one.hops)
        return replace(
            self,
            subject=replace(self.subject, kubernetes=release),
            images=images,
            blobs=tuple(blob for blob in self.blobs if blob.digest in digests),
            packages=packages,
        )

    @property
    def ways(self) -> tuple[Lock, ...]:
        """Return what each release needs of it, the last one's last; itself where it has no way."""
        return tuple(map(self.of, self.subject.hops)) or (self,)

    @property
    def contents(self) -> tuple[Content, ...]:
        return (*self.files, *self.packages, *self.blobs)

    @property
    def beside(self) -> frozenset[Digest]:
        """Name the documents that lie beside the lock; see ``kept`` of an artifact."""
        kept = {content.digest for content in self.contents if content.kept}
        return frozenset(kept | {package.built.order for package in self.packages if package.built})

    @property
    def size(self) -> int:
        return sum(content.size for content in self.contents)
