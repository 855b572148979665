"""Which releases a cluster is made of: what cluster.yaml says, and the catalog where it is silent.

What does not go together is a fault with its path in cluster.yaml; all are found at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from builder.errors import Fault
from builder.model.catalog.endpoints import ADDRESS
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.recipe import recipes
from builder.model.version import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoRelease
    from builder.model.catalog.endpoints import Keeper
    from builder.model.catalog.kubernetes import Defaults, KubernetesRelease, KubernetesSeries
    from builder.model.catalog.runtimes import RuntimeRelease
    from builder.model.catalog.systems import CloudInit, OperatingSystem, UserDataLimit
    from builder.model.cluster import Cluster, Install

T = TypeVar("T")
NONE = "none"
CALICO = "calico"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    kubernetes: KubernetesRelease
    os: OperatingSystem
    runtime: RuntimeRelease
    calico: CalicoRelease | None
    """None when the user's own manifests bring the network plugin."""
    install: Install
    """How Calico is installed."""
    cloud_init: CloudInit
    limit: UserDataLimit
    eviction: Mapping[str, Mapping[str, str]]
    """The limits of kubelet's eviction, as the catalog has them."""
    keeper: Keeper | None = None
    """What keeps the endpoint up, where the nodes do that themselves."""

    @property
    def cni(self) -> str:
        """Name the network plugin in one line: ``calico 3.18.6 operator``, or ``none``."""
        return f"{CALICO} {self.calico.version} {self.install}" if self.calico else NONE


def choose(cluster: Cluster, catalog: Catalog) -> tuple[Choice | None, list[Fault], list[Fault]]:
    """Choose the releases; return faults, of which there are some without a choice, and remarks.

    Each has its path in cluster.yaml. A remark only deserves a warning.
    """
    choosing = _Choosing(cluster, catalog)
    choice = choosing.choose()
    return (None if choosing.faults else choice), choosing.faults, choosing.remarks


def split(entry: str) -> tuple[str, str]:
    """Split ``docker-19.03.9`` into name and version."""
    name, _, version = entry.rpartition("-")
    return name, version


@dataclass(slots=True)
class _Choosing:
    cluster: Cluster
    catalog: Catalog
    faults: list[Fault] = field(default_factory=list)
    remarks: list[Fault] = field(default_factory=list)

    def choose(self) -> Choice | None:
        version = self.cluster.kubernetes
        defaults = self.defaults(self.catalog.kubernetes_series.get(version.series))
        system = self.system(defaults or self.nearest())
        kubernetes = None
        if system is None or not self.too_new(system):
            kubernetes = self.ask("kubernetes", lambda: self.catalog.kubernetes(version))
        runtime = self.runtime(defaults)
        self.fit(kubernetes, system, runtime)
        calico, install = self.calico(defaults)
        keeper = self.keeper()
        limit = self.ask("seed.provider", lambda: self.catalog.limit(self.cluster.seed.provider))
        if kubernetes is None or system is None or runtime is None or limit is None:
            return None
        cloud_init = self.ask("os", lambda: self.catalog.cloud_init(system.cloud_init))
        if cloud_init is None:
            return None
        return Choice(
            kubernetes=kubernetes,
            os=system,
            runtime=runtime,
            calico=calico,
            install=install,
            cloud_init=cloud_init,
            limit=limit,
            eviction=self.catalog.eviction,
            keeper=keeper,
        )

    def defaults(self, series: KubernetesSeries | None) -> Defaults | None:
        """Fill what cluster.yaml leaves open; what runs already stays, as far as it is taken."""
        start = self.cluster.changes.start
        before = self.catalog.kubernetes_series.get(start.series) if start else None
        if series is None or before is None:
            return series.defaults if series else None
        runtime, version = split(before.defaults.runtime)
        support = series.runtimes.get(runtime)
        stays = support and numbers(support.oldest or "") <= numbers(version)
        return replace(
            series.defaults,
            os=before.defaults.os,
            runtime=before.defaults.runtime if stays else series.defaults.runtime,
            cni=self.cni_after(before.defaults.cni, series),
        )

    def cni_after(self, before: str, series: KubernetesSeries) -> str:
        """Let Calico stay; else take the newest that leaves no release between both without one."""
        fitting = self.catalog.calicos_for(series.series)
        runs = self.catalog.calico_series[split(before)[1]]
        if runs.series in fitting:
            return before
        major, minor = numbers(runs.kubernetes[-1])
        known = self.catalog.calico_series
        near = [one for one in fitting if f"{major}.{minor + 1}" in known[one].kubernetes]
        return f"{CALICO}-{max(near, key=numbers)}" if near else series.defaults.cni

    def nearest(self) -> Defaults | None:
        """Let the newest series speak for one that is not there: its system may be too old."""
        known = self.catalog.kubernetes_series
        return known[max(known, key=numbers)].defaults if known else None

    def ask(self, path: str, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except NotInCatalogError as error:
            if error.name:
                path = path.replace(".version", ".name")
            self.refuse(path, error.what, error.expected, error.hint)
            return None

    def refuse(
        self, path: str, what: str, expected: str | None = None, hint: str | None = None
    ) -> None:
        self.faults.append(Fault(where=path, what=what, expected=expected, hint=hint))

    def system(self, defaults: Defaults | None) -> OperatingSystem | None:
        asked = self.cluster.os
        name, version = _filled(asked.name, asked.version, defaults.os if defaults else None)
        if name is None:
            return None
        path = "os.version" if asked.version else "os.name" if asked.name else "os"
        system = self.ask(path, lambda: self.catalog.os(name, version))
        if system is not None:
            self.platforms(system)
        return system

    def platforms(self, system: OperatingSystem) -> None:
        platforms = self.cluster.platforms
        for number, platform in enumerate(platforms):
            if platform not in system.platforms:
                expected = " or ".join(str(known) for known in system.platforms)
                path, what = f"platforms[{number}]", f"{system} is not available for {platform}"
                self.refuse(path, what, expected)
        if {*platforms} <= {*system.platforms} and len(
            {platform.rpm for platform in platforms}
        ) > 1:
            what = "a bundle can hold packages for only one CPU architecture"
            hint = "make a separate lock for the nodes of each architecture"
            self.refuse("platforms", what, "one platform", hint)

    def too_new(self, system: OperatingSystem) -> bool:
        """A kernel that kubeadm's preflight refuses comes before anything else about a version."""
        version = self.cluster.kubernetes
        oldest = self.catalog.oldest_kernel(version)
        if oldest is None or numbers(system.kernel) >= numbers(oldest):
            return False
        known = [
            s
            for s in self.catalog.kernels
            if numbers(self.catalog.kernels[s]) > numbers(system.kernel)
        ]
        first = min(known, key=numbers)
        self.refuse(
            "kubernetes",
            f"Kubernetes {version} needs kernel {oldest} or newer; {system} has {system.kernel}",
            f"a version before {first}",
        )
        return True

    def runtime(self, defaults: Defaults | None) -> RuntimeRelease | None:
        asked = self.cluster.runtime
        name, version = _filled(asked.name, asked.version, defaults.runtime if defaults else None)
        if name is None:
            return None
        path = "runtime.version" if asked.version else "runtime"
        return self.ask(path, lambda: self.catalog.runtime(name, version))

    def fit(
        self,
        kubernetes: KubernetesRelease | None,
        system: OperatingSystem | None,
        runtime: RuntimeRelease | None,
    ) -> None:
        if kubernetes and system:
            self.packages(kubernetes, system)
        if runtime and system:
            self.ask("runtime", lambda: runtime.packages(system))
        support = (
            self.ask("runtime", lambda: kubernetes.runtime(runtime.name))
            if kubernetes and runtime
            else None
        )
        path = "runtime.version" if self.cluster.runtime.version else "runtime"
        oldest = support.oldest if support else None
        if runtime and oldest and numbers(runtime.version) < numbers(oldest):
            needed = f"{runtime.name} {oldest} or newer"
            self.refuse(path, f"{kubernetes} needs {needed}", needed)
        if support and runtime and support.validated and runtime.series not in support.validated:
            self.remarks.append(
                Fault(
                    where=path,
                    what=f"{kubernetes} was not validated with {runtime.name} {runtime.series};"
                    " kubeadm will print a warning",
                    expected=" or ".join(support.validated),
                )
            )

    def packages(self, kubernetes: KubernetesRelease, system: OperatingSystem) -> None:
        """Check that a repository has the RPMs of Kubernetes, or that they can be built."""
        if self.cluster.packages == "repository":
            self.ask("kubernetes", lambda: kubernetes.packages(system))
            return
        platform = self.cluster.platforms[0]
        self.ask("kubernetes.packages", lambda: recipes(self.catalog, kubernetes, system, platform))

    def calico(self, defaults: Defaults | None) -> tuple[CalicoRelease | None, Install]:
        asked = self.cluster.cni
        name, version = _filled(asked.name, asked.version, defaults.cni if defaults else None)
        if name is None or name == NONE:
            return None, "manifest"
        if name != CALICO:
            self.refuse(
                "cni", f"the network plugin {name} is not in the catalog", f"{CALICO} or {NONE}"
            )
            return None, "manifest"
        minor = self.cluster.kubernetes.series
        if version is None:
            version = self.newest_calico()
        path = "cni.version" if asked.version else "cni"
        calico = self.ask(path, lambda: self.catalog.calico(version, minor))
        if calico is None:
            return None, "manifest"
        if minor not in calico.of.kubernetes:
            self.unsupported(path, calico)
        install: Install = asked.install or (
            "operator" if calico.ways[:1] == ("operator",) else "manifest"
        )
        self.ask(
            "cni.install" if asked.install else path,
            lambda: calico.manifests(install, len(self.cluster.nodes)),
        )
        return calico, install

    def keeper(self) -> Keeper | None:
        """Choose what keeps the endpoint up, and ask whether the provider lets addresses move."""
        endpoint = self.cluster.endpoint
        if not endpoint or endpoint.by is None:
            return None
        by, version, table = endpoint.by, self.cluster.kubernetes, self.catalog.endpoints
        moving = table.providers.get(self.cluster.seed.provider)
        if moving is not None and endpoint.address is not None:
            hint = moving.hint.replace(ADDRESS, endpoint.host)
            fault = Fault(where="endpoint", what=moving.what, hint=hint)
            (self.faults if moving.refused else self.remarks).append(fault)
        return self.ask("endpoint.by", lambda: table.keeper(by, version))

    def newest_calico(self) -> str:
        fitting = self.catalog.calicos_for(self.cluster.kubernetes.series)
        return max(fitting or self.catalog.calico_series, key=numbers, default="")

    def unsupported(self, path: str, calico: CalicoRelease) -> None:
        minor = self.cluster.kubernetes.series
        fitting = self.catalog.calicos_for(minor)
        tested = calico.of.kubernetes
        self.refuse(
            path,
            f"{calico} supports Kubernetes {tested[0]} to {tested[-1]}, not {minor}",
            " or ".join(f"Calico {series}" for series in fitting) or None,
        )


def _filled(
    name: str | None, version: str | None, default: str | None
) -> tuple[str | None, str | None]:
    """Fill what is open from the default, where it is about the same thing."""
    if default is not None:
        usual, usual_version = split(default)
        name = name or usual
        if name == usual:
            version = version or usual_version
    return name, version
