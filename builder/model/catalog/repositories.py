"""Where packages and images are fetched, and which keys vouch for packages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from builder.model.digest import Digest
    from builder.model.platform import Platform
    from builder.model.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    name: str
    fingerprint: str
    """Upper-case hex, 40 or 64 digits."""
    sources: tuple[str, ...]
    """URLs that may have it, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRepository:
    name: str
    sources: tuple[str, ...]
    """Base URLs in order, ending in a slash; ``$basearch`` stands for the RPM architecture."""
    keys: tuple[str, ...]
    """Names of keys of which one must have signed each RPM."""
    metadata: Literal["signed", "unsigned", "sometimes"] = "unsigned"
    """Whether upstream signs repomd.xml; ``sometimes`` means not every source has the signature."""
    metadata_keys: tuple[str, ...] = ()
    """Names of keys that may sign repomd.xml; of ``keys`` where none is named."""

    def urls(self, platform: Platform) -> tuple[str, ...]:
        return tuple(url.replace("$basearch", platform.rpm) for url in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPackage:
    """Name one RPM to install, of one repository."""

    name: str
    evr: str | None
    """``[EPOCH:]VERSION-RELEASE``, VERSION alone, or None for the newest that is there."""
    repository: str
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """By RPM architecture, where it is known beforehand."""

    @property
    def request(self) -> str:
        """Return it as yum takes it: ``NAME[-[EPOCH:]VERSION[-RELEASE]]``."""
        return f"{self.name}-{self.evr}" if self.evr else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSources:
    """Say where images whose names begin alike may be fetched, in order."""

    prefix: str
    sources: tuple[str, ...]
    pulls: Reference | None = None
    """An image of which a HEAD, which is free, tells how many pulls are left there."""
