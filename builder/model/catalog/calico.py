"""Calico: manifests, and the images that its operator starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.model.catalog.lookup import NotInCatalogError, add_as, either
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.version import Version

OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    file: str
    least_nodes: int = 0
    most_nodes: int | None = None

    def fits(self, nodes: int) -> bool:
        return self.least_nodes <= nodes and (self.most_nodes is None or nodes <= self.most_nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoSeries:
    series: str
    kubernetes: tuple[str, ...]
    """Series of Kubernetes that its makers tested."""
    operator: str
    """Repository of the operator's image."""
    operators: Mapping[int, str]
    """By patch: tag of the operator."""
    sources: tuple[str, ...]
    """URLs of folders with manifests; ``$version`` and ``$series`` have a leading v."""
    install: Mapping[str, tuple[ManifestFile, ...]]
    """By way of installing, the usual one first: manifests in the order of applying."""
    registry: Mapping[int, str]
    """By first patch: where the operator takes images from."""
    images: Mapping[str, tuple[str, ...]]
    """By kind of custom resource: images, with host or without, with tag or without."""
    optional: Mapping[str, tuple[str, ...]]
    """By condition: images that are not started otherwise."""

    def published(self, patch: int) -> tuple[str, ...]:
        """Return the URLs that have a patch; those without the version have the newest only."""
        newest = max(self.operators)
        return tuple(url for url in self.sources if "$version" in url or patch == newest)

    @property
    def releases(self) -> tuple[str, ...]:
        """Return the releases whose manifests can be had, oldest first."""
        return tuple(
            f"{self.series}.{patch}" for patch in sorted(self.operators) if self.published(patch)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoRelease:
    version: Version
    of: CalicoSeries

    @property
    def operator(self) -> Reference:
        return Reference.parse(f"{self.of.operator}:{self.of.operators[self.version.patch]}")

    @property
    def ways(self) -> tuple[str, ...]:
        """Return the ways of installing it for which everything is known, the usual one first."""
        return tuple(way for way in self.of.install if way != OPERATOR or self.of.images)

    def manifests(self, install: str, nodes: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each manifest's name and URLs, in the order of applying.

        Raise NotInCatalogError for a way of installing that is not described, or a patch whose
        manifests are nowhere to be had.
        """
        if install not in self.of.install:
            raise NotInCatalogError(
                f"{self} cannot be installed by {install}", expected=either(self.ways)
            )
        if install not in self.ways:
            raise NotInCatalogError(
                f"the images that the operator of {self} starts are not known",
                expected=either(self.ways),
                hint=add_as(f"calico/{self.of.series}.yaml"),
            )
        bases = self._bases()
        return tuple(
            (manifest.file, tuple(f"{base}{manifest.file}" for base in bases))
            for manifest in self.of.install[install]
            if manifest.fits(nodes)
        )

    def _bases(self) -> tuple[str, ...]:
        bases = tuple(
            url.replace("$version", f"v{self.version}").replace("$series", f"v{self.of.series}")
            for url in self.of.published(self.version.patch)
        )
        if not bases:
            raise NotInCatalogError(
                f"the manifests of {self} are no longer published",
                expected=either(self.of.releases),
                hint="add a source with $version in it to a catalog of your own",
            )
        return bases

    def started_by(
        self, kinds: Iterable[str], conditions: Iterable[str] = ()
    ) -> tuple[Reference, ...]:
        """Return what the operator starts for custom resources of these kinds, without itself.

        ``conditions`` add optional parts: ``certificate-management``, ``fips``, ``windows``.
        """
        wanted = set(kinds)
        names = [n for kind, images in self.of.images.items() if kind in wanted for n in images]
        asked = set(conditions)
        names += [n for when, images in self.of.optional.items() if when in asked for n in images]
        return tuple(dict.fromkeys(self._image(name) for name in names))

    def _image(self, name: str) -> Reference:
        """Complete a path: the operator's registry, and the release where it has no tag."""
        name = name.replace("$version", f"v{self.version}")
        if ":" not in name:
            name = f"{name}:v{self.version}"
        if "." not in name.partition("/")[0]:
            first = max(patch for patch in self.of.registry if patch <= self.version.patch)
            name = f"{self.of.registry[first]}/{name}"
        return Reference.parse(name)

    def __str__(self) -> str:
        return f"Calico {self.version}"
