"""Doctor, the questions: which sources a catalog, cluster or lock has, and what to ask them for.

A :class:`CheckedSource` is one place where artifacts of one kind may be, such as one address of
one yum repository. An artifact may have several sources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from builder.model.catalog.calico import OPERATOR
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.demand import operator_images
from builder.model.reference import Reference
from builder.model.source import is_url
from builder.model.version import Version, numbers
from builder.redact import hide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoRelease, CalicoSeries
    from builder.model.catalog.kubernetes import KubernetesSeries
    from builder.model.catalog.repositories import CatalogRepository
    from builder.model.catalog.repositories import Key as PinnedKey
    from builder.model.catalog.systems import OperatingSystem
    from builder.model.demand import Demand, WantedFile, WantedImage
    from builder.model.lock import Lock
    from builder.model.platform import Platform
    from builder.model.recipe import Binaries

Kind = Literal["repository", "packages", "key", "images", "manifests", "files", "media", "programs"]
OPERATED = ("Installation", "APIServer")
"""The kinds of resources that are in Calico's manifests; other images are for those who ask."""
_REPOMD = "repodata/repomd.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    artifact: str
    """What it is called; the same at each of its sources."""
    url: str = ""
    reference: Reference | None = None
    """Of an image, instead of a URL."""
    size: int | None = None
    """Bytes that it must have, where they are known."""
    fingerprint: str | None = None
    """Of the key that must be there."""
    repodata: bool = False
    """Whether a repomd.xml must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSource:
    """Name one place, and what it is asked for."""

    kind: Kind
    name: str
    """Of what is to be had there, such as the name of a repository."""
    address: str
    """For people: a URL, or ``HOST[/PATH]`` of a registry."""
    optional: bool = False
    """Whether a lock can be made without any of these."""
    questions: tuple[Question, ...] = ()


@dataclass(slots=True)
class SourceCollector:
    """Collect sources, those of one name and address as one."""

    sample: bool = False
    """Whether one question for each source is enough."""
    _found: dict[tuple[Kind, str, str], tuple[bool, dict[Question, None]]] = field(
        default_factory=dict
    )

    def add(
        self, kind: Kind, name: str, address: str, question: Question, *, optional: bool = False
    ) -> None:
        _, questions = self._found.setdefault((kind, name, address), (optional, {}))
        if self.sample:
            questions.clear()
        questions[question] = None

    def all(self) -> tuple[CheckedSource, ...]:
        return tuple(
            CheckedSource(
                kind=kind,
                name=name,
                address=hide(address),
                optional=optional,
                questions=tuple(questions),
            )
            for (kind, name, address), (optional, questions) in self._found.items()
        )

    def repository(self, repository: CatalogRepository, platform: Platform) -> None:
        for base in repository.urls(platform):
            question = Question(
                artifact=repository.name, url=f"{base.rstrip('/')}/{_REPOMD}", repodata=True
            )
            self.add("repository", repository.name, base, question)

    def key(self, key: PinnedKey, *, optional: bool = False) -> None:
        for url in key.sources:
            question = Question(artifact=key.name, url=url, fingerprint=key.fingerprint)
            self.add("key", key.name, url, question, optional=optional)

    def image(self, reference: Reference, candidates: Iterable[Reference]) -> None:
        for candidate in candidates:
            question = Question(artifact=str(reference), reference=candidate)
            self.add("images", _folder(reference), _folder(candidate), question)

    def program(self, name: str, artifact: str, urls: Iterable[str]) -> None:
        """Ask for a program or an archive of some; releases are folders, so the host counts."""
        for url in urls:
            question = Question(artifact=artifact, url=url)
            self.add("programs", name, f"{_host(url)}/", question)

    def urls(
        self, kind: Kind, name: str, artifact: str, urls: Iterable[str], size: int | None = None
    ) -> None:
        """Ask for what lies at URLs; its folder is the source."""
        for url in urls:
            if is_url(url):
                question = Question(artifact=artifact, url=url, size=size)
                self.add(kind, name, url.rpartition("/")[0] + "/", question)


def _folder(reference: Reference) -> str:
    return reference.repository.rpartition("/")[0]


def of_catalog(catalog: Catalog) -> tuple[CheckedSource, ...]:
    """Name every source that the catalog has, each with the newest thing that it should have."""
    sources = SourceCollector(sample=True)
    platforms = {p: None for system in catalog.systems.values() for p in system.platforms}
    for repository in catalog.repositories.values():
        for platform in platforms:
            sources.repository(repository, platform)
    optional = {
        name for repository in catalog.repositories.values() for name in repository.metadata_keys
    } - {name for repository in catalog.repositories.values() for name in repository.keys}
    for key in catalog.keys.values():
        sources.key(key, optional=key.name in optional)
    for reference in _newest_images(catalog):
        sources.image(reference, catalog.image_sources(reference))
    for series in _ordered(catalog.calico_series):
        release = catalog.calico(series.series)
        name = f"calico {series.series}"
        for file, urls in _manifests(release):
            sources.urls("manifests", name, f"{name} {file}", urls)
    for binaries in catalog.binaries.values():
        for platform in platforms:
            _programs(sources, binaries, platform)
    for system in catalog.systems.values():
        _media(sources, system)
    return sources.all()


def _ordered(series: Mapping[str, CalicoSeries]) -> list[CalicoSeries]:
    return sorted(series.values(), key=lambda each_series: numbers(each_series.series))


def _newest_images(catalog: Catalog) -> Iterator[Reference]:
    """Return the images of the newest release of every series, oldest series first."""
    kubernetes: list[KubernetesSeries] = sorted(
        catalog.kubernetes_series.values(), key=lambda each_series: numbers(each_series.series)
    )
    for series in kubernetes:
        version = Version.parse(f"{series.series}.{max(series.tags)}")
        yield from (image for _, image in catalog.kubernetes(version).images)
    for each_series in _ordered(catalog.calico_series):
        release = catalog.calico(each_series.series)
        yield release.operator
        yield from release.started_by(OPERATED)


def _manifests(release: CalicoRelease) -> Iterator[tuple[str, tuple[str, ...]]]:
    for way in release.ways:
        try:
            yield from release.manifests(way, nodes=1)
        except NotInCatalogError:
            continue


def _programs(sources: SourceCollector, binaries: Binaries, platform: Platform) -> None:
    versions = binaries.digests.get(platform.architecture, {})
    if versions:
        newest = max(versions, key=numbers)
        for name in binaries.programs:
            program = binaries.program(name, newest, platform)
            sources.program(binaries.name, f"{name} {newest}", program.sources)


def _media(sources: SourceCollector, system: OperatingSystem) -> None:
    for name, iso in system.isos.items():
        sources.urls("media", f"{system} {name}", iso.file, iso.sources)


def of_demand(
    wanted: Demand, catalog: Catalog, platforms: Iterable[Platform]
) -> tuple[CheckedSource, ...]:
    """Name every source of what a cluster asks for, with all that it will be asked for."""
    sources = SourceCollector()
    for repository in wanted.repositories:
        for platform in platforms:
            sources.repository(repository, platform)
    for key in dict.fromkeys((*wanted.keys, *wanted.metadata_keys)):
        sources.key(key, optional=key not in wanted.keys)
    for recipe in wanted.builds.recipes if wanted.builds else ():
        for program in recipe.programs:
            sources.program(recipe.nevra.name, f"{program.name} of {recipe.nevra}", program.sources)
    for image in _images(wanted):
        sources.image(image.reference, catalog.image_sources(image.reference))
    kinds: tuple[tuple[Kind, tuple[WantedFile, ...]], ...] = (
        ("manifests", wanted.manifests),
        ("files", wanted.files),
    )
    for kind, files in kinds:
        for file in files:
            sources.urls(kind, ", ".join(file.needed_by), file.path, file.sources)
    return sources.all()


def _images(wanted: Demand) -> Iterator[WantedImage]:
    """Return what will be started, as far as it is known before the manifests have been read."""
    yield from wanted.images
    if wanted.calico is not None and wanted.cni.endswith(OPERATOR):
        yield from operator_images(wanted.calico, OPERATED)


def of_lock(lock: Lock) -> tuple[CheckedSource, ...]:
    """Name every source that bundling a lock may ask, with all that it may be asked for."""
    sources = SourceCollector()
    bases = {repository.name: repository.sources for repository in lock.repositories}
    for image in lock.images:
        repositories = [Reference.parse(source).repository for source in image.sources]
        candidates = [Reference.parse(f"{name}@{image.digest}") for name in repositories]
        sources.image(image.reference, candidates)
    for package in lock.packages:
        for url in package.sources:
            host = _host(url)
            near = [b for b in bases.get(package.repository, ()) if _host(b) == host]
            address = near[0] if near else f"{host}/"
            question = Question(artifact=package.name, url=url, size=package.size)
            sources.add("packages", package.repository, address, question)
        for item in package.built.inputs if package.built else ():
            sources.program(package.nevra.name, f"{item.name} of {package.nevra}", item.sources)
    for file in lock.files:
        if file.kind == "file":
            sources.urls("files", ", ".join(file.needed_by), file.path, file.sources, file.size)
    return sources.all()


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"
