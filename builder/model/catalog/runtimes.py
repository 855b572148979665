"""Container runtimes: their releases, and where their packages can be installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.model.catalog.lookup import NotInCatalogError, add_as
from builder.model.catalog.repositories import PinnedPackage
from builder.model.version import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.catalog.systems import OperatingSystem


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestSystem:
    """Say from which release on an operating system has what a runtime's packages ask for."""

    oldest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSeries:
    name: str
    series: str
    repositories: Mapping[str, str]
    """Repository by family of operating systems."""
    releases: Mapping[str, Mapping[str, Mapping[str, str]]]
    """By version, then family: EVR by package name."""
    unpacks: tuple[str, ...] = ("gzip",)
    """The compressions of layers that it reads, beside none."""
    layers: int = 0
    """The most layers of one image that it stacks, 0 without a limit that matters."""
    systems: Mapping[str, OldestSystem] = field(default_factory=dict)
    """By name of an operating system, where not every release of it will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRelease:
    name: str
    version: str
    of: RuntimeSeries

    @property
    def series(self) -> str:
        return self.of.series

    def packages(self, system: OperatingSystem) -> tuple[PinnedPackage, ...]:
        """Return its RPMs for a system; raise NotInCatalogError when there are none for it."""
        limit = self.of.systems.get(system.name)
        if limit is not None and numbers(system.version) < numbers(limit.oldest):
            raise NotInCatalogError(
                f"{self} cannot be installed on {system}: {limit.reason}",
                expected=f"{system.name} {limit.oldest} or newer, or an older {self.name}",
            )
        packages = self.of.releases[self.version].get(system.family)
        repository = self.of.repositories.get(system.family)
        if packages is None or repository is None:
            raise NotInCatalogError(
                f"{self} has no packages for {system}",
                expected=f"packages for {system.family}",
                hint=add_as(f"runtimes/{self.name}-{self.series}.yaml"),
            )
        return tuple(
            PinnedPackage(name=name, evr=evr, repository=repository)
            for name, evr in packages.items()
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
