"""What may keep a cluster's endpoint up, and where an address can't move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.model.catalog.lookup import NotInCatalogError, either
from builder.model.version import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.reference import Reference
    from builder.model.version import Version

ADDRESS = "$address"
"""Stands for the endpoint's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Hold what keeps an endpoint up on the nodes of some roles."""

    name: str
    roles: tuple[str, ...]
    image: Reference | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAddress:
    """Say what a provider makes of an address that moves from one machine to another."""

    what: str
    hint: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSeries:
    """Hold what keeps an endpoint up, for every release of Kubernetes."""

    roles: tuple[str, ...]
    images: Mapping[str, Reference] = field(default_factory=dict)
    """By the first minor that has it."""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTable:
    keepers: Mapping[str, KeeperSeries] = field(default_factory=dict)
    providers: Mapping[str, MovingAddress] = field(default_factory=dict)

    def keeper(self, name: str, version: Version) -> Keeper:
        """Return what keeps the endpoint of a release up; raise NotInCatalogError."""
        of = self.keepers.get(name)
        if of is None:
            raise NotInCatalogError(f"{name} is not in the catalog", expected=either(self.keepers))
        fitting = [minor for minor in of.images if numbers(minor) <= numbers(version.series)]
        if of.images and not fitting:
            raise NotInCatalogError(
                f"the catalog has no {name} for Kubernetes {version}", expected=either(of.images)
            )
        image = of.images[max(fitting, key=numbers)] if fitting else None
        return Keeper(name=name, roles=of.roles, image=image, packages=of.packages)
