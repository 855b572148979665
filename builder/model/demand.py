"""What a cluster will ask for: images, packages, manifests and files, before anything is fetched.

What manifests start is known only when they have been read; :func:`operator_images` then says what
an operator starts in turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from posixpath import basename
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.model.catalog.kubernetes import ROLES
from builder.model.recipe import builds_for, recipes
from builder.model.source import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.model.artifact import FileKind, Trust
    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoRelease
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.catalog.repositories import CatalogRepository, Key
    from builder.model.catalog.runtimes import RuntimeRelease
    from builder.model.catalog.systems import OperatingSystem
    from builder.model.choice import Choice
    from builder.model.cluster import Cluster, SignerSettings
    from builder.model.digest import Digest
    from builder.model.recipe import Recipe
    from builder.model.reference import Reference

KUBEADM = "kubeadm"
RUNTIME = "runtime"
SYSTEM = "os"
CALICO = "calico"
ENDPOINT = "endpoint"
EXTRA = "extra"
MACHINE = "machine"
ASKERS = frozenset({KUBEADM, RUNTIME, SYSTEM, CALICO, ENDPOINT, EXTRA, MACHINE})
"""Who may ask for something beside other packages."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._+@=,:~-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    reference: Reference
    roles: tuple[str, ...]
    needed_by: tuple[str, ...]
    trust: Trust = "first-use"
    hops: tuple[str, ...] = ()
    """The releases of the way that start it; none means all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPackage:
    """Ask for an RPM and, with it, all that it needs."""

    request: str
    """As yum takes it: ``NAME`` or ``NAME-[EPOCH:]VERSION-RELEASE``."""
    repository: str | None = None
    """The only repository that it may come from."""
    needed_by: tuple[str, ...]
    reason: str = ""
    """For people, where the catalog has one."""
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """By RPM architecture, where they are known beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    kind: FileKind
    path: str
    """Its place in the bundle; manifests are applied in the order of their paths."""
    sources: tuple[str, ...]
    """URLs, or one path relative to the folder of cluster.yaml."""
    needed_by: tuple[str, ...]
    digest: Digest | None = None

    @property
    def own_sources(self) -> tuple[str, ...]:
        """Return the sources that cluster.yaml names; the catalog's may change without harm."""
        return self.sources if EXTRA in self.needed_by else ()

    @property
    def is_local(self) -> bool:
        """Return whether it lies beside cluster.yaml."""
        return not any(is_url(source) for source in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBuilds:
    repository: str
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    kubernetes: KubernetesRelease
    os: OperatingSystem
    runtime: RuntimeRelease
    calico: CalicoRelease | None
    cni: str
    """In one line: ``calico 3.18.6 operator``, or ``none``."""
    images: tuple[WantedImage, ...]
    packages: tuple[WantedPackage, ...]
    manifests: tuple[WantedFile, ...]
    """In the order of applying."""
    files: tuple[WantedFile, ...]
    repositories: tuple[CatalogRepository, ...]
    """The system's first, in its order."""
    keys: tuple[Key, ...]
    """Those that sign the packages."""
    metadata_keys: tuple[Key, ...]
    """Those that may sign repomd.xml; where one cannot be had, the packages' signatures count."""
    signers: tuple[SignerSettings, ...] = ()
    """Who signs images, as far as cluster.yaml says it."""
    builds: WantedBuilds | None = None
    """What is built and signed here, as a repository of that name; None for nothing."""
    before: tuple[Demand, ...] = ()
    """Of the releases that lead to this one; what they need besides is in all but ``packages``."""

    @property
    def hops(self) -> tuple[str, ...]:
        """Return the releases of the way, its own last; none where it leads from nowhere."""
        way = (*self.before, self) if self.before else ()
        return tuple(str(demand.kubernetes.version) for demand in way)


def demand(
    cluster: Cluster, choice: Choice, catalog: Catalog, started: Iterable[WantedImage] = ()
) -> Demand:
    """Say what a cluster asks for; ``started`` are the images of its machines' own manifests."""
    builds = _builds(cluster, choice, catalog)
    packages = _packages(cluster, choice, builds)
    repositories = _repositories(choice, packages, catalog, builds)
    keys = dict.fromkeys(name for repository in repositories for name in repository.keys)
    metadata_keys = dict.fromkeys(
        name for repository in repositories for name in repository.metadata_keys
    )
    return Demand(
        kubernetes=choice.kubernetes,
        os=choice.os,
        runtime=choice.runtime,
        calico=choice.calico,
        cni=choice.cni,
        images=merged(
            (
                *_kubeadm(choice.kubernetes),
                *_endpoint(cluster, choice),
                *_extra_images(cluster),
                *started,
            )
        ),
        packages=packages,
        manifests=_manifests(cluster, choice),
        files=tuple(
            WantedFile(
                kind="file",
                path=f"files/{file.path}",
                sources=(file.source,),
                needed_by=(EXTRA,),
                digest=file.digest,
            )
            for file in cluster.extra.files
        ),
        repositories=repositories,
        keys=tuple(catalog.key(name) for name in keys),
        metadata_keys=tuple(catalog.key(name) for name in metadata_keys),
        signers=cluster.signatures,
        builds=builds,
    )


def along(before: Sequence[Demand], last: Demand) -> Demand:
    """Ask for what all releases of a way ask for; each thing once."""
    if not before:
        return last
    hops = [str(demand.kubernetes.version) for demand in (*before, last)]
    images = merged(
        replace(image, hops=(hop,))
        for hop, demand in zip(hops, (*before, last), strict=True)
        for image in demand.images
    )
    every = (last, *before)
    builds = [demand.builds for demand in every if demand.builds]
    return replace(
        last,
        images=tuple(
            replace(image, hops=()) if len(image.hops) == len(hops) else image for image in images
        ),
        repositories=tuple(dict.fromkeys(one for demand in every for one in demand.repositories)),
        keys=tuple(dict.fromkeys(key for demand in every for key in demand.keys)),
        metadata_keys=tuple(dict.fromkeys(key for demand in every for key in demand.metadata_keys)),
        builds=replace(
            builds[0],
            recipes=tuple({r.nevra: r for one in builds for r in one.recipes}.values()),
        )
        if builds
        else None,
        before=tuple(before),
    )


def operator_images(calico: CalicoRelease, kinds: Iterable[str]) -> tuple[WantedImage, ...]:
    """Return the operator's image, and what it starts for custom resources of these kinds."""
    references = (calico.operator, *calico.started_by(kinds))
    return tuple(
        WantedImage(reference=reference, roles=ROLES, needed_by=(CALICO,))
        for reference in references
    )


def merged(images: Iterable[WantedImage]) -> tuple[WantedImage, ...]:
    """Make one of all that ask for the same image, in the order of first asking."""
    images_by_reference: dict[Reference, WantedImage] = {}
    for image in images:
        before = images_by_reference.get(image.reference, image)
        either = {*before.roles, *image.roles}
        images_by_reference[image.reference] = WantedImage(
            reference=image.reference,
            roles=tuple(role for role in ROLES if role in either),
            needed_by=tuple(dict.fromkeys((*before.needed_by, *image.needed_by))),
            trust=before.trust,
            hops=tuple(dict.fromkeys((*before.hops, *image.hops)))
            if before.hops and image.hops
            else (),
        )
    return tuple(images_by_reference.values())


def _kubeadm(release: KubernetesRelease) -> Iterable[WantedImage]:
    for component, reference in release.images:
        # kubelet has the runtime start this one under every pod, whoever else asks for it
        by = (KUBEADM, RUNTIME) if component.sandbox else (KUBEADM,)
        yield WantedImage(reference=reference, roles=component.roles, needed_by=by)


def _endpoint(cluster: Cluster, choice: Choice) -> Iterable[WantedImage]:
    keeper = choice.keeper
    if keeper is not None and keeper.image is not None:
        roles = {node.role for node in cluster.nodes} & {*keeper.roles}
        if roles:
            yield WantedImage(
                reference=keeper.image,
                roles=tuple(role for role in keeper.roles if role in roles),
                needed_by=(ENDPOINT,),
            )


def _extra_images(cluster: Cluster) -> Iterable[WantedImage]:
    for reference in cluster.extra.images:
        trust: Trust = "pinned" if reference.digest else "first-use"
        yield WantedImage(reference=reference, roles=ROLES, needed_by=(EXTRA,), trust=trust)


def _builds(cluster: Cluster, choice: Choice, catalog: Catalog) -> WantedBuilds | None:
    """Return what is built here, for one kind of processor, as all packages of a cluster are."""
    if cluster.packages != "built":
        return None
    return WantedBuilds(
        repository=builds_for(catalog, choice.os).name,
        recipes=recipes(catalog, choice.kubernetes, choice.os, cluster.platforms[0]),
    )


def _packages(
    cluster: Cluster, choice: Choice, builds: WantedBuilds | None
) -> tuple[WantedPackage, ...]:
    built = (
        [
            WantedPackage(
                request=f"{recipe.nevra.name}-{recipe.nevra.evr}",
                repository=builds.repository,
                needed_by=(KUBEADM,),
            )
            for recipe in builds.recipes
        ]
        if builds
        else []
    )
    pinned = [
        WantedPackage(
            request=package.request,
            repository=package.repository,
            needed_by=(by,),
            digests=package.digests,
        )
        for by, packages in (
            (KUBEADM, () if builds else choice.kubernetes.packages(choice.os)),
            (RUNTIME, choice.runtime.packages(choice.os)),
        )
        for package in packages
    ]
    system = [
        WantedPackage(request=name, needed_by=(SYSTEM,), reason=reason)
        for name, reason in choice.os.packages.items()
    ]
    endpoint = [
        WantedPackage(request=name, needed_by=(ENDPOINT,))
        for name in (choice.keeper.packages if choice.keeper else ())
    ]
    named = [*cluster.extra.packages]
    for node in cluster.nodes:
        named += cluster.machine_of(node).packages
    extra = [WantedPackage(request=text, needed_by=(EXTRA,)) for text in dict.fromkeys(named)]
    return (*built, *pinned, *system, *endpoint, *extra)


def _repositories(
    choice: Choice, packages: Iterable[WantedPackage], catalog: Catalog, builds: WantedBuilds | None
) -> tuple[CatalogRepository, ...]:
    named = [package.repository for package in packages if package.repository]
    names = dict.fromkeys((*choice.os.repositories, *named))
    built = builds.repository if builds else None
    return tuple(catalog.repository(name) for name in names if name != built)


def _manifests(cluster: Cluster, choice: Choice) -> tuple[WantedFile, ...]:
    manifests: list[tuple[str, tuple[str, ...], Digest | None, str]] = []
    if choice.calico is not None:
        calico = choice.calico.manifests(choice.install, len(cluster.nodes))
        manifests += [(name, sources, None, CALICO) for name, sources in calico]
    for manifest in cluster.extra.manifests:
        name = basename(urlsplit(manifest.source).path) or "manifest.yaml"
        manifests.append((_UNSAFE.sub("_", name), (manifest.source,), manifest.digest, EXTRA))
    return tuple(
        WantedFile(
            kind="manifest",
            path=f"manifests/{number:03}-{name}",
            sources=sources,
            needed_by=(by,),
            digest=digest,
        )
        for number, (name, sources, digest, by) in enumerate(manifests, start=1)
    )
