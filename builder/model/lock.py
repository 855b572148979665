"""The lock: the contract between cluster.yaml and everything made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.model.artifact import Blob, Content, File, Image, Package, Repository
    from builder.model.digest import Digest
    from builder.model.platform import Platform

FORMAT = 1
"""The lock format that this airseed writes; a newer one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Say which cluster a lock was made for, in the words of cluster.yaml."""

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
    demand: Digest | None = None
    """Of everything that cluster.yaml and the catalog asked for; see ``Demand.digest``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Name every artifact of a cluster by digest. Each tuple is sorted by name."""

    subject: Subject
    images: tuple[Image, ...] = ()
    blobs: tuple[Blob, ...] = ()
    repositories: tuple[Repository, ...] = ()
    packages: tuple[Package, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def contents(self) -> tuple[Content, ...]:
        """Give everything whose bytes go into the bundle."""
        return (*self.files, *self.packages, *self.blobs)

    @property
    def beside(self) -> frozenset[Digest]:
        """Name the documents that lie beside the lock; see ``kept`` of an artifact."""
        kept = {content.digest for content in self.contents if content.kept}
        return frozenset(kept | {one.built.order for one in self.packages if one.built})

    @property
    def size(self) -> int:
        """Give the sum of the contents' bytes."""
        return sum(content.size for content in self.contents)
