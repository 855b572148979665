"""What images are built by: Packer's lines, and its builders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from builder.model.catalog.lookup import named

if TYPE_CHECKING:
    from collections.abc import Mapping


Delivery = Literal["url", "disk", "upload"]
"""How the guest gets the bundle: it fetches it, reads it from a disk, or is given it by SSH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuilder:
    name: str
    """As Packer calls it."""
    plugin: str
    """Where its plugin comes from: ``github.com/hashicorp/qemu``."""
    version: str
    providers: tuple[str, ...]
    """Of seeds; the first builder that has one is what it suggests."""
    agent: str
    """The package by which the platform talks to its guests."""
    starts: tuple[Literal["medium", "disk", "cloud"], ...]
    """What it can begin with: an installation medium, a file with a disk, an image in the cloud."""
    gives: Literal["file", "template"]
    """Whether the image is a file here, or lies on the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackerTable:
    profiles: Mapping[str, str] = field(default_factory=dict)
    """By name: which versions of Packer its templates are for."""
    builders: Mapping[str, ImageBuilder] = field(default_factory=dict)

    def builder(self, name: str) -> ImageBuilder:
        """Return a builder by its name; raise NotInCatalogError."""
        return named(self.builders, name, "builder", "builders")

    def suggested(self, provider: str) -> ImageBuilder | None:
        """Return the builder for machines that get their seeds so."""
        fitting = (one for one in self.builders.values() if provider in one.providers)
        return next(fitting, None)
