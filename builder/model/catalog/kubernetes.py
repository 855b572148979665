"""Kubernetes: images, packages and runtimes by release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.model.catalog.lookup import NotInCatalogError, add_as, either
from builder.model.catalog.programs import ProgramTable
from builder.model.catalog.repositories import PinnedPackage
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from builder.model.allowed import Allowed
    from builder.model.arguments import Arguments
    from builder.model.catalog.systems import OperatingSystem
    from builder.model.configuration import Configuration
    from builder.model.digest import Digest
    from builder.model.listening import ListeningProgram
    from builder.model.version import Version

ROLES = ("control-plane", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
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
    version: Version
    of: KubernetesSeries
    tags: Mapping[str, str]
    pins: Mapping[str, str]
    configuration: Configuration
    """The fields that its configuration documents have."""
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a firewall lets through, by role and by network plugin."""
    files: tuple[str, ...] = ()
    """What kubeadm writes on a node."""
    arguments: Arguments | None = None
    """Those of its programs, and their feature gates."""
    programs: ProgramTable = field(default_factory=ProgramTable)
    allowed: Mapping[str, Mapping[str, Allowed]] = field(default_factory=dict)
    """What values there may be, by kind of document or program, then by field or argument."""
    listeners: tuple[ListeningProgram, ...] = ()

    @property
    def images(self) -> tuple[tuple[Component, Reference], ...]:
        """Return what ``kubeadm config images list`` prints, in its order."""
        return tuple(
            (component, Reference.parse(f"{self.registry}/{component.path}:{self._tag(component)}"))
            for component in self.of.components
        )

    @property
    def registry(self) -> str:
        first = max(patch for patch in self.of.registry if patch <= self.version.patch)
        return self.of.registry[first]

    def _tag(self, component: Component) -> str:
        return self.tags[component.name] if component.tag == "patch" else f"v{self.version}"

    def packages(self, system: OperatingSystem) -> tuple[PinnedPackage, ...]:
        """Return its RPMs for a system; raise NotInCatalogError when there are none."""
        repository = self.of.repositories.get(system.family)
        if repository is None:
            raise NotInCatalogError(
                f"{self} has no packages for {system}",
                expected=f"a repository for {system.family}",
                hint=add_as(f"kubernetes/{self.of.series}.yaml"),
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
                expected=either(self.of.runtimes),
            )
        return support

    def __str__(self) -> str:
        return f"Kubernetes {self.version}"
