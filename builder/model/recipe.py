"""How an RPM is built from programs that upstream publishes: all that its bytes follow from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.model.catalog.lookup import NotInCatalogError
from builder.model.rpm import Nevra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.catalog import Catalog
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.catalog.systems import OperatingSystem
    from builder.model.digest import Digest
    from builder.model.platform import Platform

SCRIPTS = ("pre", "post", "preun", "postun")
"""When rpm runs scripts: before and after it installs, before and after it removes."""
_VARIABLE = re.compile(r"\$(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Say where files of one project are published, version by version."""

    name: str
    programs: tuple[str, ...]
    sources: tuple[str, ...]
    """URLs in order, with ``$name``, ``$version`` and ``$arch`` (as Go calls it) in them."""
    digests: Mapping[str, Mapping[str, Mapping[str, Digest]]] = field(default_factory=dict)
    """By architecture, version and program, where they are known."""

    def program(self, name: str, version: str, platform: Platform) -> Program:
        known = self.digests.get(platform.architecture, {}).get(version, {})
        return Program(
            name=name,
            sources=tuple(
                source.replace("$version", version)
                .replace("$name", name)
                .replace("$arch", platform.architecture)
                for source in self.sources
            ),
            digest=known.get(name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    name: str
    sources: tuple[str, ...] = ()
    """URLs, in order."""
    digest: Digest | None = None
    """None where it is believed on first use, and was not seen yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """Describe one file or folder of an RPM; it belongs to root."""

    path: str
    program: str | None = None
    """The program that it is."""
    archive: str | None = None
    """The archive that it is taken from; of a folder: all of whose programs go into it."""
    member: str | None = None
    """Its name in the archive."""
    text: str | None = None
    folder: bool = False
    config: bool = False
    """Whether rpm keeps what the node's owner made of it."""

    @property
    def origin(self) -> str | None:
        return self.program or self.archive


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageForm:
    summary: str
    files: tuple[PackedFile, ...]
    requires: tuple[str, ...] = ()
    """``NAME``, or ``NAME >= VERSION``; ``$PACKAGE`` stands for the version of that package."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """By :data:`SCRIPTS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """Describe the RPMs that are built for one family of systems; its name is the repository's."""

    name: str
    family: str
    release: str
    licence: str
    url: str
    series: Mapping[str, Mapping[str, str]]
    """By minor of Kubernetes: version by package, of those that are not versioned as it is."""
    packages: Mapping[str, PackageForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    nevra: Nevra
    summary: str
    licence: str
    url: str
    requires: tuple[str, ...]
    files: tuple[PackedFile, ...]
    """Sorted by path."""
    scripts: Mapping[str, str]
    programs: tuple[Program, ...]
    """Sorted by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Hold everything that the bytes of one RPM follow from."""

    recipe: Recipe
    """Every program of it has its digest."""
    builder: str
    """``rpm-rs`` and its version: another one may give other bytes."""
    signer: str
    """Fingerprint of the key, upper-case hex."""


def builds_for(catalog: Catalog, system: OperatingSystem) -> Builds:
    """Return what is built for a system; raise NotInCatalogError where nothing is."""
    for builds in catalog.builds.values():
        if builds.family == system.family:
            return builds
    raise NotInCatalogError(
        f"no RPMs of Kubernetes are built for {system}",
        expected=" or ".join(sorted({builds.family for builds in catalog.builds.values()})) or None,
        hint="take them from a repository (packages: repository)",
    )


def recipes(
    catalog: Catalog, release: KubernetesRelease, system: OperatingSystem, platform: Platform
) -> tuple[Recipe, ...]:
    """Return the recipes of a release's RPMs; raise NotInCatalogError when they can't be built."""
    builds = builds_for(catalog, system)
    versions = builds.series.get(release.of.series)
    if versions is None:
        raise NotInCatalogError(
            f"how the RPMs of {release} are built is not known",
            expected=", ".join(builds.series),
            hint=f"a row under series in a builds/{builds.name}.yaml of your own says it",
        )
    every = {name: versions.get(name, str(release.version)) for name in builds.packages}
    return tuple(
        _recipe(catalog, builds, name, every, platform) for name in sorted(builds.packages)
    )


def _recipe(
    catalog: Catalog, builds: Builds, name: str, versions: Mapping[str, str], platform: Platform
) -> Recipe:
    form = builds.packages[name]
    origins = sorted({file.origin for file in form.files if file.origin})
    return Recipe(
        nevra=Nevra(name, 0, versions[name], builds.release, platform.rpm),
        summary=form.summary,
        licence=builds.licence,
        url=builds.url,
        requires=tuple(
            _VARIABLE.sub(lambda match: versions[match[1]], text) for text in form.requires
        ),
        files=tuple(sorted(form.files, key=lambda file: file.path)),
        scripts=form.scripts,
        programs=tuple(
            _binaries(catalog, origin).program(origin, versions[name], platform)
            for origin in origins
        ),
    )


def _binaries(catalog: Catalog, program: str) -> Binaries:
    for binaries in catalog.binaries.values():
        if program in binaries.programs:
            return binaries
    raise NotInCatalogError(f"where {program} is published is not in the catalog")
