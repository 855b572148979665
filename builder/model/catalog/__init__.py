"""The catalog: which images, packages, repositories and keys belong to which versions.

:mod:`builder.formats.catalog` reads it from ``mirrors/`` and the user's folders. Whatever is asked
for and is not there ends in a ``NotInCatalogError`` that names the nearest thing that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import did_you_mean
from builder.model.arguments import Arguments
from builder.model.catalog.calico import CalicoRelease
from builder.model.catalog.endpoints import EndpointTable
from builder.model.catalog.kubernetes import KubernetesRelease
from builder.model.catalog.lookup import (
    NotInCatalogError,
    add_as,
    either,
    named,
    nearest,
    neighbours,
    row,
    written,
)
from builder.model.catalog.packer import PackerTable
from builder.model.catalog.programs import ProgramTable
from builder.model.catalog.runtimes import RuntimeRelease
from builder.model.configuration import Configuration
from builder.model.life import release_in
from builder.model.version import Version, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.allowed import Allowed
    from builder.model.arguments import NameTable, ServedKind
    from builder.model.catalog.calico import CalicoSeries
    from builder.model.catalog.kubernetes import KubernetesSeries
    from builder.model.catalog.paths import OwnedPath
    from builder.model.catalog.repositories import CatalogRepository, ImageSources, Key
    from builder.model.catalog.runtimes import RuntimeSeries
    from builder.model.catalog.systems import CloudInit, OperatingSystem, UserDataLimit
    from builder.model.configuration import Table
    from builder.model.listening import ListeningProgram
    from builder.model.recipe import Binaries, Builds
    from builder.model.reference import Reference
    from builder.model.signer import Authority, Signer


_KUBEADM = "kubeadm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Hold all that is known; every collection is keyed as its file is called."""

    kubernetes_series: Mapping[str, KubernetesSeries]
    runtime_series: Mapping[str, RuntimeSeries]
    calico_series: Mapping[str, CalicoSeries]
    systems: Mapping[str, OperatingSystem]
    repositories: Mapping[str, CatalogRepository]
    keys: Mapping[str, Key]
    registries: Mapping[str, ImageSources]
    kernels: Mapping[str, str]
    """The oldest kernel by the Kubernetes minor from which on it is asked for."""
    eviction: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Below which amounts kubelet evicts: ``kubelet`` by itself, ``bundled`` as airseed sets it."""
    configurations: Mapping[str, Table]
    allowed: Mapping[str, Mapping[str, Allowed]] = field(default_factory=dict)
    """What values there may be, by kind of document or program, then by field or argument."""
    listeners: tuple[ListeningProgram, ...] = ()
    arguments: Mapping[str, NameTable] = field(default_factory=dict)
    """Those that programs know, by program."""
    apis: Mapping[str, Mapping[str, ServedKind]] = field(default_factory=dict)
    """Of what not every release serves: when it is served, by API version and kind."""
    instead: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What to do where a program knows an argument no more."""
    cloud_inits: Mapping[str, CloudInit] = field(default_factory=dict)
    limits: Mapping[str, UserDataLimit] = field(default_factory=dict)
    """By provider."""
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a firewall lets through, by role and by network plugin."""
    paths: tuple[OwnedPath, ...] = ()
    """What on a node has an owner."""
    endpoints: EndpointTable = field(default_factory=EndpointTable)
    packer: PackerTable = field(default_factory=PackerTable)
    programs: ProgramTable = field(default_factory=ProgramTable)
    binaries: Mapping[str, Binaries] = field(default_factory=dict)
    builds: Mapping[str, Builds] = field(default_factory=dict)
    signers: Mapping[str, Signer] = field(default_factory=dict)
    authorities: Mapping[str, Authority] = field(default_factory=dict)

    def kubernetes(self, version: Version) -> KubernetesRelease:
        """Return one release; raise NotInCatalogError when its images or packages are not known."""
        series = self.kubernetes_series.get(version.series)
        if series is None:
            raise NotInCatalogError(
                f"Kubernetes {version.series} is not in the catalog",
                expected=nearest(version.series, self.kubernetes_series),
                hint=add_as(f"kubernetes/{version.series}.yaml"),
            )
        if version.patch in series.avoid:
            raise NotInCatalogError(
                f"Kubernetes {version} should not be used: {series.avoid[version.patch]}",
                expected=neighbours(series.tags, version),
            )
        tags = row(series.tags, version, "images", f"kubernetes/{series.series}.yaml")
        pins: Mapping[str, str] = {}
        if series.pins:
            pins = row(series.pins, version, "packages", f"kubernetes/{series.series}.yaml")
        return KubernetesRelease(
            version=version,
            of=series,
            tags=tags,
            pins=pins,
            configuration=Configuration(
                (version.major, version.minor),
                tuple(self.configurations[name] for name in series.configurations),
            ),
            ports=self.ports,
            allowed=self.allowed,
            listeners=tuple(
                one for one in self.listeners if one.life.is_known((version.major, version.minor))
            ),
            files=tuple(
                path.pattern
                for path in self.paths
                if path.owner == _KUBEADM and path.is_known(version.series)
            ),
            arguments=Arguments(
                release=version,
                tables=self.arguments,
                instead=self.instead,
                apis=self.apis,
                others={
                    name: release
                    for name, tag in tags.items()
                    if name in self.arguments and (release := release_in(tag))
                },
            ),
            programs=self.programs,
        )

    def newest_kubernetes(self, minor: str) -> Version:
        """Return the newest patch of a minor of which everything is known."""
        series = self.kubernetes_series.get(minor)
        for patch in sorted(series.tags if series else (), reverse=True):
            version = Version.parse(f"{minor}.{patch}")
            try:
                self.kubernetes(version)
            except NotInCatalogError:
                continue
            return version
        raise NotInCatalogError(
            f"Kubernetes {minor} is not in the catalog", hint=add_as(f"kubernetes/{minor}.yaml")
        )

    def oldest_kernel(self, version: Version) -> str | None:
        known = [s for s in self.kernels if numbers(s) <= (version.major, version.minor)]
        return self.kernels[max(known, key=numbers)] if known else None

    def calicos_for(self, minor: str | None) -> list[str]:
        """Return the series of Calico that support a minor of Kubernetes, in order."""
        fitting = [s.series for s in self.calico_series.values() if minor in s.kubernetes]
        return sorted(fitting, key=numbers)

    def calico(self, version: str, minor: str | None = None) -> CalicoRelease:
        """Return a release (``3.18.6``), or the newest of a series (``3.18``).

        ``minor`` is the Kubernetes that it is for: a refusal names what supports that.
        """
        name = version.removeprefix("v")
        series = self.calico_series.get(".".join(name.split(".")[:2]))
        if series is None:
            raise NotInCatalogError(
                f"Calico {name} is not in the catalog",
                expected=nearest(name, self.calicos_for(minor) or self.calico_series),
                hint=add_as("calico/SERIES.yaml"),
            )
        if name == series.series:
            name = f"{name}.{max(series.operators)}"
        releases = {f"{series.series}.{patch}": patch for patch in series.operators}
        if name not in releases:
            raise NotInCatalogError(
                f"Calico {name} is not in the catalog",
                expected=f"{nearest(name, releases)}, or {series.series} for the newest",
                hint=written(name, releases) or add_as(f"calico/{series.series}.yaml"),
            )
        return CalicoRelease(version=Version.parse(name), of=series)

    def runtime(self, name: str, version: str | None = None) -> RuntimeRelease:
        """Return a release (``19.03.9``), or the newest of a series (``19.03``) or of all."""
        fitting_series = [series for series in self.runtime_series.values() if series.name == name]
        if not fitting_series:
            names = {series.name: None for series in self.runtime_series.values()}
            raise NotInCatalogError(
                f"the runtime {name} is not in the catalog",
                expected=either(names),
                hint=did_you_mean(name, names) or add_as(f"runtimes/{name}-SERIES.yaml"),
                name=True,
            )
        releases = {v: series for series in fitting_series for v in series.releases}
        fitting = [v for v in releases if version in {None, v, releases[v].series}]
        if not fitting:
            raise NotInCatalogError(
                f"{name} {version} is not in the catalog",
                expected=nearest(version or "", releases),
                hint=written(version or "", releases) or add_as(f"runtimes/{name}-SERIES.yaml"),
            )
        newest = max(fitting, key=numbers)
        return RuntimeRelease(name=name, version=newest, of=releases[newest])

    def unpacking(self, runtime: str, compression: str) -> str:
        """Return a runtime's oldest release that unpacks such layers, "" where none does."""
        able = [
            version
            for series in self.runtime_series.values()
            if series.name == runtime and compression in series.unpacks
            for version in series.releases
        ]
        return min(able, key=numbers, default="")

    def os(self, name: str, version: str | None = None) -> OperatingSystem:
        releases = {s.version: s for s in self.systems.values() if s.name == name}
        if not releases:
            names = {system.name: None for system in self.systems.values()}
            raise NotInCatalogError(
                f"the system {name} is not in the catalog",
                expected=either(names),
                hint=did_you_mean(name, names) or add_as(f"os/{name}-VERSION.yaml"),
                name=True,
            )
        if version is None:
            version = max(releases, key=numbers)
        if version not in releases:
            raise NotInCatalogError(
                f"{name} {version} is not in the catalog",
                expected=nearest(version, releases),
                hint=written(version, releases) or add_as(f"os/{name}-{version}.yaml"),
            )
        return releases[version]

    def cloud_init(self, version: str) -> CloudInit:
        """Return what a version of cloud-init understands: at least what an older one did."""
        older = [known for known in self.cloud_inits if numbers(known) <= numbers(version)]
        if not older:
            raise NotInCatalogError(
                f"cloud-init {version} is not in the catalog",
                expected=either(self.cloud_inits),
                hint=add_as(f"cloud-init/{version}.yaml"),
            )
        return self.cloud_inits[max(older, key=numbers)]

    def limit(self, provider: str) -> UserDataLimit:
        return named(self.limits, provider, "provider", "providers")

    def repository(self, name: str) -> CatalogRepository:
        return named(self.repositories, name, "repository", "repositories")

    def key(self, name: str) -> Key:
        return named(self.keys, name, "key", "keys")

    def image_sources(self, reference: Reference) -> tuple[Reference, ...]:
        """Return the references to ask for an image, in order; the longest prefix wins."""
        repository = reference.repository
        fitting = [
            entry
            for entry in self.registries.values()
            if f"{repository}/".startswith(f"{entry.prefix}/")
        ]
        if not fitting:
            return (reference,)
        entry = max(fitting, key=lambda entry: len(entry.prefix))
        rest = repository.removeprefix(entry.prefix)
        return tuple(reference.at(f"{source}{rest}") for source in entry.sources)
