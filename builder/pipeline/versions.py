"""``versions``: what the catalog knows, and what of it goes with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.formats import catalog as catalog_format
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.recipe import recipes
from builder.model.version import Version, bare, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoSeries
    from builder.model.catalog.kubernetes import Defaults, KubernetesRelease, KubernetesSeries
    from builder.model.catalog.runtimes import RuntimeSeries
    from builder.model.catalog.systems import OperatingSystem

BUILT = "built"
"""What cluster.yaml says under ``packages`` for RPMs that airseed builds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Hold which releases of one series of a container runtime a Kubernetes minor can use."""

    name: str
    series: str
    releases: tuple[str, ...]
    """Oldest first."""
    systems: tuple[str, ...]
    """``centos 7.9`` and the like, on which they can be installed."""
    validated: bool
    """Whether kubeadm's preflight says nothing about it; it warns of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    series: str
    releases: tuple[str, ...]
    """Oldest first; those that should be avoided are left out."""
    defaults: Defaults
    systems: tuple[str, ...]
    packages: tuple[str, ...]
    """Where its RPMs come from: repositories, and ``built`` where they can be built."""
    calico: tuple[str, ...]
    """Series that were tested with it, oldest first."""
    runtimes: tuple[Fit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    kubernetes: tuple[Row, ...]
    calico: tuple[CalicoSeries, ...]
    systems: tuple[OperatingSystem, ...]


def collect(*, only: str | None = None, catalogs: Sequence[Path] = ()) -> Versions:
    """Read the catalog and find what goes together; ``only`` names one minor or release.

    Raise DocumentError for a catalog that is wrong, UsageError for a Kubernetes that it lacks.
    """
    catalog = catalog_format.load(catalogs)
    series_wanted = _wanted(catalog, only) if only else {*catalog.kubernetes_series}
    rows = tuple(
        _row(catalog, series, only)
        for name, series in sorted(
            catalog.kubernetes_series.items(), key=lambda item: numbers(item[0])
        )
        if name in series_wanted
    )
    calico = {name for row in rows for name in row.calico}
    systems = {name for row in rows for name in row.systems}
    return Versions(
        kubernetes=rows,
        calico=tuple(
            sorted(
                (s for s in catalog.calico_series.values() if s.series in calico or not only),
                key=lambda item: numbers(item.series),
            )
        ),
        systems=tuple(system for system in _systems(catalog) if str(system) in systems or not only),
    )


def _wanted(catalog: Catalog, only: str) -> set[str]:
    """Return the one minor that is asked for; raise UsageError when there is none."""
    name = only.lstrip("v")
    whole = name.count(".") > 1
    try:
        version = Version.parse(name if whole else f"{name}.0")
        if whole or version.series not in catalog.kubernetes_series:
            _refuse_new(catalog, version)
            catalog.kubernetes(version)
    except ValueError as error:
        plain = bare(only)
        raise UsageError(
            f"{only!r} is not a version of Kubernetes",
            expected="1.18, or 1.18.5",
            hint=f"airseed versions {plain}" if plain != only else None,
        ) from error
    except NotInCatalogError as error:
        raise UsageError(error.what, expected=error.expected, hint=error.hint) from error
    return {version.series}


def _refuse_new(catalog: Catalog, version: Version) -> None:
    """Raise NotInCatalogError with the reason why no system here can run a version."""
    oldest = catalog.oldest_kernel(version)
    kernels = {system.kernel for system in catalog.systems.values()}
    if oldest and kernels and all(numbers(kernel) < numbers(oldest) for kernel in kernels):
        known = [*catalog.kubernetes_series]
        raise NotInCatalogError(
            f"Kubernetes {version} needs kernel {oldest} or newer; no system here has it",
            expected=f"{max(known, key=numbers)} or older" if known else None,
        )


def _row(catalog: Catalog, series: KubernetesSeries, only: str | None) -> Row:
    releases = tuple(
        release
        for release in _releases(catalog, series)
        if only is None or only.count(".") < 2 or str(release.version) == only.lstrip("v")  # noqa: PLR2004 -- the dots of a whole version
    )
    systems = tuple(system for system in _systems(catalog) if _runs(catalog, releases[-1], system))
    return Row(
        series=series.series,
        releases=tuple(str(release.version) for release in releases),
        defaults=series.defaults,
        systems=tuple(map(str, systems)),
        packages=tuple(dict.fromkeys(_packages(catalog, releases[-1], systems))),
        calico=tuple(
            sorted(
                (c.series for c in catalog.calico_series.values() if series.series in c.kubernetes),
                key=numbers,
            )
        ),
        runtimes=tuple(_fits(catalog, releases[-1], systems)),
    )


def _releases(catalog: Catalog, series: KubernetesSeries) -> Iterator[KubernetesRelease]:
    """Return every patch that can be asked for: the listed ones, and those between equal ones."""
    for patch in range(max(series.tags, default=-1) + 1):
        try:
            yield catalog.kubernetes(Version.parse(f"{series.series}.{patch}"))
        except NotInCatalogError:
            continue


def _systems(catalog: Catalog) -> list[OperatingSystem]:
    return sorted(
        catalog.systems.values(), key=lambda system: (system.name, numbers(system.version))
    )


def _runs(catalog: Catalog, release: KubernetesRelease, system: OperatingSystem) -> bool:
    oldest = catalog.oldest_kernel(release.version)
    if oldest and numbers(system.kernel) < numbers(oldest):
        return False
    try:
        release.packages(system)
    except NotInCatalogError:
        return False
    return True


def _packages(
    catalog: Catalog, release: KubernetesRelease, systems: Sequence[OperatingSystem]
) -> Iterator[str]:
    for system in systems:
        yield from (package.repository for package in release.packages(system))
    for system in systems:
        try:
            recipes(catalog, release, system, system.platforms[0])
        except NotInCatalogError:
            continue
        yield BUILT


def _fits(
    catalog: Catalog, kubernetes: KubernetesRelease, systems: Sequence[OperatingSystem]
) -> Iterator[Fit]:
    ordered = sorted(
        catalog.runtime_series.values(),
        key=lambda each_series: (each_series.name, numbers(each_series.series)),
    )
    for series in ordered:
        support = kubernetes.of.runtimes.get(series.name)
        if support is None:
            continue
        releases = [
            version
            for version in sorted(series.releases, key=numbers)
            if not support.oldest or numbers(version) >= numbers(support.oldest)
        ]
        usable = [system for system in systems if _installs(catalog, series, releases, system)]
        if releases and usable:
            yield Fit(
                name=series.name,
                series=series.series,
                releases=tuple(releases),
                systems=tuple(map(str, usable)),
                validated=not support.validated or series.series in support.validated,
            )


def _installs(
    catalog: Catalog, series: RuntimeSeries, releases: Sequence[str], system: OperatingSystem
) -> bool:
    try:
        for version in releases:
            catalog.runtime(series.name, version).packages(system)
    except NotInCatalogError:
        return False
    return True


def spans(versions: Sequence[str]) -> tuple[str, ...]:
    """Write releases of one series as few words: ``1.18.5 to 1.18.20``, ``1.6.7``.

    They come oldest first; what follows on another by one is drawn together.
    """
    runs: list[list[int]] = []
    for version in versions:
        last = numbers(version)[-1]
        if runs and runs[-1][1] == last - 1:
            runs[-1][1] = last
        else:
            runs.append([last, last])
    series = versions[0].rpartition(".")[0] if versions else ""
    return tuple(
        f"{series}.{first}" if first == last else f"{series}.{first} to {series}.{last}"
        for first, last in runs
    )
