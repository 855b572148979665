"""The catalog: which images, packages, repositories and keys belong to which versions.

:mod:`builder.formats.catalog` reads it from ``mirrors/`` and the user's folders. Whatever is asked
for and is not there ends in a :class:`NotInCatalogError` that names the nearest thing that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from builder.errors import did_you_mean
from builder.model.configuration import Configuration
from builder.model.reference import Reference
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.configuration import Table
    from builder.model.digest import Digest
    from builder.model.platform import Platform
    from builder.model.recipe import Binaries, Builds
    from builder.model.signer import Authority, Signer

Row = TypeVar("Row")
ROLES = ("control-plane", "worker")
OPERATOR = "operator"


class NotInCatalogError(LookupError):
    """Say what the catalog does not have, what it has instead, and what may be done."""

    def __init__(self, what: str, *, expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Pin one OpenPGP key."""

    name: str
    fingerprint: str
    """Upper-case hex, 40 or 64 digits."""
    sources: tuple[str, ...]
    """URLs that may have it, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Describe one yum repository."""

    name: str
    sources: tuple[str, ...]
    """Base URLs in order, ending in a slash; ``$basearch`` stands for the RPM architecture."""
    keys: tuple[str, ...]
    """Names of keys of which one must have signed each RPM."""
    metadata: Literal["signed", "unsigned", "sometimes"] = "unsigned"
    """Whether upstream signs repomd.xml; ``sometimes`` means not every source has the signature."""
    metadata_keys: tuple[str, ...] = ()
    """Names of keys that may sign repomd.xml; of ``keys`` where none is named."""

    def urls(self, platform: Platform) -> tuple[str, ...]:
        """Give the base URLs for one platform, in order."""
        return tuple(url.replace("$basearch", platform.rpm) for url in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Iso:
    """Describe one installation medium."""

    file: str
    digest: Digest
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingSystem:
    """Describe one release of an operating system."""

    name: str
    version: str
    family: str
    """What packages are built for, such as ``el7``."""
    platforms: tuple[Platform, ...]
    kernel: str
    cloud_init: str
    repositories: tuple[str, ...]
    """Names, in order; the first has the comps groups of the base."""
    groups: tuple[str, ...]
    """Comps groups that a minimal installation has."""
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
    """Say how much user-data a provider takes."""

    provider: str
    bytes: int | None = None
    """None where there is no limit."""
    counted: Literal["raw", "base64"] = "raw"
    """Whether the bytes are counted as they are or as base64."""

    def size(self, raw: int) -> int:
        """Give how many bytes the provider counts for so many of user-data."""
        return raw if self.counted == "raw" else (raw + 2) // 3 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPackage:
    """Name one RPM to install, of one repository."""

    name: str
    evr: str | None
    """``[EPOCH:]VERSION-RELEASE``, VERSION alone, or None for the newest that is there."""
    repository: str
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """By RPM architecture, where it is known beforehand."""

    @property
    def request(self) -> str:
        """Give it as yum takes it: ``NAME[-[EPOCH:]VERSION[-RELEASE]]``."""
        return f"{self.name}-{self.evr}" if self.evr else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestSystem:
    """Say from which release on an operating system has what a runtime's packages ask for."""

    oldest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSeries:
    """Describe one series of a container runtime, such as docker 19.03."""

    name: str
    series: str
    repositories: Mapping[str, str]
    """Repository by family of operating systems."""
    releases: Mapping[str, Mapping[str, Mapping[str, str]]]
    """By version, then family: EVR by package name."""
    systems: Mapping[str, OldestSystem] = field(default_factory=dict)
    """By name of an operating system, where not every release of it will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRelease:
    """Describe one release of a container runtime."""

    name: str
    version: str
    of: RuntimeSeries

    @property
    def series(self) -> str:
        """Give its series, such as ``19.03``."""
        return self.of.series

    def packages(self, system: OperatingSystem) -> tuple[PinnedPackage, ...]:
        """Give its RPMs for a system; raise NotInCatalogError when there are none for it."""
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
                hint=_add(f"runtimes/{self.name}-{self.series}.yaml"),
            )
        return tuple(
            PinnedPackage(name=name, evr=evr, repository=repository)
            for name, evr in packages.items()
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Describe one image that kubeadm starts."""

    name: str
    path: str
    """In the release's registry."""
    roles: tuple[str, ...]
    """Of the nodes that run it."""
    tag: Literal["release", "patch"] = "release"
    """Whether its tag is the release's own or stands in the table by patch."""
    sandbox: bool = False
    """Whether kubelet has the runtime start it under every pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSupport:
    """Say how a Kubernetes series uses a container runtime."""

    socket: str
    """The CRI socket."""
    validated: tuple[str, ...] = ()
    """Series that kubeadm's preflight knows; none means that it knows none in particular."""
    oldest: str | None = None
    """The oldest version that kubelet can talk to, where not every one will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualStack:
    """Say what a Kubernetes series asks for before it takes addresses of both families."""

    gate: str | None = None
    """The feature gate that has to be opened on every component; None where none is needed."""
    node_ips: Literal["one", "both"] = "both"
    """How many addresses kubelet's ``--node-ip`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Hold what a cluster.yaml that leaves these open gets, as ``NAME-VERSION``."""

    os: str
    runtime: str
    cni: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSeries:
    """Describe one minor version of Kubernetes."""

    series: str
    kubeadm: str
    """The version of kubeadm's configuration API."""
    kubelet: str
    """The version of kubelet's."""
    kube_proxy: str
    """The version of kube-proxy's."""
    registry: Mapping[int, str]
    """By first patch: where kubeadm takes images from."""
    defaults: Defaults
    components: tuple[Component, ...]
    tags: Mapping[int, Mapping[str, str]]
    """By patch: tag by component."""
    avoid: Mapping[int, str]
    """Patches that should not be used, with the reason."""
    repositories: Mapping[str, str]
    """Repository by family of operating systems."""
    versioned: Mapping[str, str]
    """EVR, or version alone, by package; ``$version`` stands for the release."""
    pins: Mapping[int, Mapping[str, str]]
    """By patch: EVR by package; empty where nothing has to be pinned."""
    digests: Mapping[str, Digest]
    """By ``NAME-VERSION-RELEASE.ARCH``."""
    runtimes: Mapping[str, RuntimeSupport]
    unpinned: tuple[str, ...] = ()
    """Packages of which the repository has none but fitting ones."""
    without: Mapping[str, str] = field(default_factory=dict)
    """Runtimes that it cannot use, though others could, each with the reason."""
    taints: tuple[str, ...] = ()
    """Keys of the taints that kubeadm gives control planes, all with the effect NoSchedule."""
    dual_stack: DualStack = DualStack()

    @property
    def configurations(self) -> tuple[str, ...]:
        """Name the tables of configuration fields that belong to it."""
        return (
            f"kubeadm-{self.kubeadm}",
            f"kubelet-{self.kubelet}",
            f"kube-proxy-{self.kube_proxy}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesRelease:
    """Describe one release of Kubernetes."""

    version: Version
    of: KubernetesSeries
    tags: Mapping[str, str]
    pins: Mapping[str, str]
    configuration: Configuration
    """The fields that its configuration documents have."""

    @property
    def images(self) -> tuple[tuple[Component, Reference], ...]:
        """Give what ``kubeadm config images list`` prints, in its order."""
        return tuple(
            (
                component,
                Reference.parse(f"{self.registry}/{component.path}:{self._tag(component)}"),
            )
            for component in self.of.components
        )

    @property
    def registry(self) -> str:
        """Give where kubeadm takes its images from."""
        first = max(patch for patch in self.of.registry if patch <= self.version.patch)
        return self.of.registry[first]

    def _tag(self, component: Component) -> str:
        return self.tags[component.name] if component.tag == "patch" else f"v{self.version}"

    def packages(self, system: OperatingSystem) -> tuple[PinnedPackage, ...]:
        """Give its RPMs for a system; raise NotInCatalogError when there are none."""
        repository = self.of.repositories.get(system.family)
        if repository is None:
            raise NotInCatalogError(
                f"{self} has no packages for {system}",
                expected=f"a repository for {system.family}",
                hint=_add(f"kubernetes/{self.of.series}.yaml"),
            )
        own = {n: e.replace("$version", str(self.version)) for n, e in self.of.versioned.items()}
        wanted = {**own, **self.pins, **dict.fromkeys(self.of.unpinned)}
        return tuple(
            PinnedPackage(
                name=name, evr=evr, repository=repository, digests=self._digests(f"{name}-{evr}")
            )
            for name, evr in wanted.items()
        )

    def _digests(self, request: str) -> dict[str, Digest]:
        return {
            name.rpartition(".")[2]: digest
            for name, digest in self.of.digests.items()
            if name.rpartition(".")[0] == request
        }

    def runtime(self, name: str) -> RuntimeSupport:
        """Tell how it uses a runtime; raise NotInCatalogError when it does not."""
        support = self.of.runtimes.get(name)
        if support is None:
            reason = self.of.without.get(name)
            raise NotInCatalogError(
                f"{self} cannot use {name}" + (f": {reason}" if reason else ""),
                expected=_either(self.of.runtimes),
            )
        return support

    def __str__(self) -> str:
        return f"Kubernetes {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """Name one manifest to apply, and for how many nodes."""

    file: str
    least_nodes: int = 0
    most_nodes: int | None = None

    def fits(self, nodes: int) -> bool:
        """Tell whether it is meant for so many nodes."""
        return self.least_nodes <= nodes and (self.most_nodes is None or nodes <= self.most_nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoSeries:
    """Describe one series of Calico, such as 3.18."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoRelease:
    """Describe one release of Calico."""

    version: Version
    of: CalicoSeries

    @property
    def operator(self) -> Reference:
        """Give the operator's own image."""
        return Reference.parse(f"{self.of.operator}:{self.of.operators[self.version.patch]}")

    @property
    def ways(self) -> tuple[str, ...]:
        """Give the ways of installing it for which everything is known, the usual one first."""
        return tuple(way for way in self.of.install if way != OPERATOR or self.of.images)

    def manifests(self, install: str, nodes: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Give each manifest's name and URLs, in the order of applying.

        Raise NotInCatalogError for a way of installing that is not described, or a patch whose
        manifests are nowhere to be had.
        """
        if install not in self.of.install:
            raise NotInCatalogError(
                f"{self} cannot be installed by {install}", expected=_either(self.ways)
            )
        if install not in self.ways:
            raise NotInCatalogError(
                f"the images that the operator of {self} starts are not known",
                expected=_either(self.ways),
                hint=_add(f"calico/{self.of.series}.yaml"),
            )
        bases = self._bases()
        return tuple(
            (manifest.file, tuple(f"{base}{manifest.file}" for base in bases))
            for manifest in self.of.install[install]
            if manifest.fits(nodes)
        )

    def _bases(self) -> tuple[str, ...]:
        """An address without the version has the series' newest patch only."""
        newest = max(self.of.operators)
        bases = tuple(
            url.replace("$version", f"v{self.version}").replace("$series", f"v{self.of.series}")
            for url in self.of.sources
            if "$version" in url or self.version.patch == newest
        )
        if not bases:
            raise NotInCatalogError(
                f"the manifests of {self} are published no more",
                expected=f"{self.of.series}.{newest}",
                hint="add a source with $version in it to a catalog of your own",
            )
        return bases

    def started_by(
        self, kinds: Iterable[str], conditions: Iterable[str] = ()
    ) -> tuple[Reference, ...]:
        """Give what the operator starts for custom resources of these kinds, without itself.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSources:
    """Say where images whose names begin alike may be fetched, in order."""

    prefix: str
    sources: tuple[str, ...]
    pulls: Reference | None = None
    """An image of which a HEAD, which is free, tells how many pulls are left there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Hold all that is known; every collection is keyed as its file is called."""

    kubernetes_series: Mapping[str, KubernetesSeries]
    runtime_series: Mapping[str, RuntimeSeries]
    calico_series: Mapping[str, CalicoSeries]
    systems: Mapping[str, OperatingSystem]
    repositories: Mapping[str, Repository]
    keys: Mapping[str, Key]
    registries: Mapping[str, ImageSources]
    kernels: Mapping[str, str]
    """The oldest kernel by the Kubernetes minor from which on it is asked for."""
    configurations: Mapping[str, Table]
    cloud_inits: Mapping[str, CloudInit] = field(default_factory=dict)
    limits: Mapping[str, UserDataLimit] = field(default_factory=dict)
    """By provider."""
    binaries: Mapping[str, Binaries] = field(default_factory=dict)
    builds: Mapping[str, Builds] = field(default_factory=dict)
    signers: Mapping[str, Signer] = field(default_factory=dict)
    authorities: Mapping[str, Authority] = field(default_factory=dict)

    def kubernetes(self, version: Version) -> KubernetesRelease:
        """Give one release; raise NotInCatalogError when its images or packages are not known."""
        series = self.kubernetes_series.get(version.series)
        if series is None:
            raise NotInCatalogError(
                f"Kubernetes {version.series} is not in the catalog",
                expected=nearest(version.series, self.kubernetes_series),
                hint=_add(f"kubernetes/{version.series}.yaml"),
            )
        if version.patch in series.avoid:
            raise NotInCatalogError(
                f"Kubernetes {version} should not be used: {series.avoid[version.patch]}",
                expected=_near(series.tags, version),
            )
        tags = _row(series.tags, version, "images", f"kubernetes/{series.series}.yaml")
        pins: Mapping[str, str] = {}
        if series.pins:
            pins = _row(series.pins, version, "packages", f"kubernetes/{series.series}.yaml")
        return KubernetesRelease(
            version=version,
            of=series,
            tags=tags,
            pins=pins,
            configuration=Configuration(
                (version.major, version.minor),
                tuple(self.configurations[name] for name in series.configurations),
            ),
        )

    def oldest_kernel(self, version: Version) -> str | None:
        """Give the oldest kernel that a Kubernetes release accepts, where it is known."""
        known = [s for s in self.kernels if numbers(s) <= (version.major, version.minor)]
        return self.kernels[max(known, key=numbers)] if known else None

    def calico(self, version: str) -> CalicoRelease:
        """Give a release (``3.18.6``), or the newest of a series (``3.18``)."""
        name = version.removeprefix("v")
        series = self.calico_series.get(".".join(name.split(".")[:2]))
        if series is None:
            raise NotInCatalogError(
                f"Calico {name} is not in the catalog",
                expected=nearest(name, self.calico_series),
                hint=_add("calico/SERIES.yaml"),
            )
        if name == series.series:
            name = f"{name}.{max(series.operators)}"
        releases = {f"{series.series}.{patch}": patch for patch in series.operators}
        if name not in releases:
            raise NotInCatalogError(
                f"Calico {name} is not in the catalog",
                expected=f"{nearest(name, releases)}, or {series.series} for the newest",
                hint=_add(f"calico/{series.series}.yaml"),
            )
        return CalicoRelease(version=Version.parse(name), of=series)

    def runtime(self, name: str, version: str | None = None) -> RuntimeRelease:
        """Give a release (``19.03.9``), or the newest of a series (``19.03``) or of all."""
        found = [series for series in self.runtime_series.values() if series.name == name]
        if not found:
            names = {series.name: None for series in self.runtime_series.values()}
            raise NotInCatalogError(
                f"the runtime {name} is not in the catalog",
                expected=_either(names),
                hint=did_you_mean(name, names) or _add(f"runtimes/{name}-SERIES.yaml"),
            )
        releases = {v: series for series in found for v in series.releases}
        fitting = [v for v in releases if version in {None, v, releases[v].series}]
        if not fitting:
            raise NotInCatalogError(
                f"{name} {version} is not in the catalog",
                expected=nearest(version or "", releases),
                hint=_add(f"runtimes/{name}-SERIES.yaml"),
            )
        newest = max(fitting, key=numbers)
        return RuntimeRelease(name=name, version=newest, of=releases[newest])

    def os(self, name: str, version: str | None = None) -> OperatingSystem:
        """Give a release of an operating system, or its newest."""
        releases = {s.version: s for s in self.systems.values() if s.name == name}
        if not releases:
            names = {system.name: None for system in self.systems.values()}
            raise NotInCatalogError(
                f"the system {name} is not in the catalog",
                expected=_either(names),
                hint=did_you_mean(name, names) or _add(f"os/{name}-VERSION.yaml"),
            )
        if version is None:
            version = max(releases, key=numbers)
        if version not in releases:
            raise NotInCatalogError(
                f"{name} {version} is not in the catalog",
                expected=nearest(version, releases),
                hint=_add(f"os/{name}-{version}.yaml"),
            )
        return releases[version]

    def cloud_init(self, version: str) -> CloudInit:
        """Give what a version of cloud-init understands: at least what an older one did."""
        older = [known for known in self.cloud_inits if numbers(known) <= numbers(version)]
        if not older:
            raise NotInCatalogError(
                f"cloud-init {version} is not in the catalog",
                expected=_either(self.cloud_inits),
                hint=_add(f"cloud-init/{version}.yaml"),
            )
        return self.cloud_inits[max(older, key=numbers)]

    def limit(self, provider: str) -> UserDataLimit:
        """Give how much user-data a provider takes."""
        return _entry(self.limits, provider, "provider", "providers")

    def repository(self, name: str) -> Repository:
        """Give a repository."""
        return _entry(self.repositories, name, "repository", "repositories")

    def key(self, name: str) -> Key:
        """Give a signing key."""
        return _entry(self.keys, name, "key", "keys")

    def image_sources(self, reference: Reference) -> tuple[Reference, ...]:
        """Give the references that may be asked for an image, in order; the longest prefix wins."""
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


def numbers(version: str) -> tuple[int, ...]:
    """Give a dotted version as numbers, for ordering; what is no number counts as 0."""
    parts = version.split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def nearest(version: str, known: Iterable[str]) -> str:
    """Name the closest of the known versions on either side, in words."""
    wanted = numbers(version)
    ordered = sorted(known, key=numbers)
    below = [one for one in ordered if numbers(one) <= wanted][-1:]
    above = [one for one in ordered if numbers(one) > wanted][:1]
    return " or ".join((*below, *above)) or "nothing"


def _row(table: Mapping[int, Row], version: Version, what: str, file: str) -> Row:
    """Give a patch's row, or that of its neighbours where they are equal."""
    if version.patch in table:
        return table[version.patch]
    below = max((patch for patch in table if patch < version.patch), default=None)
    above = min((patch for patch in table if patch > version.patch), default=None)
    if below is not None and above is not None and table[below] == table[above]:
        return table[below]
    raise NotInCatalogError(
        f"the {what} of Kubernetes {version} are not known",
        expected=_near(table, version),
        hint=_add(file),
    )


def _near(table: Mapping[int, object], version: Version) -> str:
    """Name the nearest patches on either side."""
    below = max((patch for patch in table if patch < version.patch), default=None)
    above = min((patch for patch in table if patch > version.patch), default=None)
    return " or ".join(f"{version.series}.{p}" for p in (below, above) if p is not None)


def _either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names, key=lambda name: (numbers(name), name))) or "nothing"


def _add(file: str) -> str:
    return f"what you know for sure can be added as {file} in a folder for --catalog"


def _entry(entries: Mapping[str, Row], name: str, what: str, folder: str) -> Row:
    if name not in entries:
        raise NotInCatalogError(
            f"the {what} {name} is not in the catalog",
            expected=_either(entries),
            hint=_add(f"{folder}/{name}.yaml"),
        )
    return entries[name]
