"""Operating systems of nodes, and what their cloud-init takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from builder.model.digest import Digest
    from builder.model.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Iso:
    file: str
    digest: Digest
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingSystem:
    name: str
    version: str
    family: str
    """What packages are built for, such as ``el7``."""
    platforms: tuple[Platform, ...]
    kernel: str
    cloud_init: str
    repositories: tuple[str, ...]
    """Names, in order; the first has the comps groups of the base."""
    groups: Mapping[str, tuple[str, ...]]
    """Comps groups that a minimal installation has, each with the names that may be in it: a
    mirror could add any."""
    installed: tuple[str, ...]
    """Packages that a minimal installation has beside them."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Packages that every node needs beyond Kubernetes and its runtime, each with the reason."""
    isos: Mapping[str, Iso] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInit:
    """Say what one version of cloud-init understands, as its package is configured."""

    version: str
    modules: tuple[str, ...]
    """Those that run."""
    keys: Mapping[str, str]
    """Of user-data: the module by the key that it acts on; it need not run."""
    entries: Mapping[str, tuple[str, ...]]
    """By key: the keys of its entries, where they are known."""
    encodings: tuple[str, ...]
    """What ``write_files`` decodes."""
    bond_options: tuple[str, ...]
    """Options of a bond that network-config brings through, beside its mode."""
    lost: tuple[str, ...] = ()
    """What network-config of version 2 does not bring through: ``vlan-mtu`` and the like."""

    def __str__(self) -> str:
        return f"cloud-init {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDataLimit:
    provider: str
    bytes: int | None = None
    """None where there is no limit."""
    counted: Literal["raw", "base64"] = "raw"
    """Whether the bytes are counted as they are or as base64."""

    def size(self, raw: int) -> int:
        """Return how many bytes the provider counts for so many of user-data."""
        return raw if self.counted == "raw" else (raw + 2) // 3 * 4
