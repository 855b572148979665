"""What cluster.yaml says, as values: one cluster, its nodes and what else goes into the bundle.

A field that is ``None`` was left open by the document; the catalog has the value then (the system,
the runtime and their versions are data, not code). Plain constructors check nothing:
:mod:`builder.formats.cluster` reads and checks the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Literal

from builder import host_port
from builder.model.machine import NOTHING_SAID, Machine

if TYPE_CHECKING:
    from builder.model.digest import Digest
    from builder.model.platform import Platform
    from builder.model.reference import Reference
    from builder.model.registry import Registry
    from builder.model.signer import Identity
    from builder.model.version import Version

Role = Literal["control-plane", "worker"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
Install = Literal["operator", "manifest"]
Packages = Literal["repository", "built"]
Provider = Literal["nocloud", "openstack", "ec2", "vsphere", "azure"]
EndpointBy = Literal["kube-vip", "keepalived", "local-proxy"]
Overrides = Mapping[str, Mapping[str, Any]]
"""Raw kubeadm documents by kind, laid over those that airseed makes."""
SKIP_PHASES = "skipPhases"
"""A field of kubeadm's documents that is handed over as an argument, which every release takes."""
Subnet = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

API_PORT = 6443
"""Where kube-apiserver listens when nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Say what a node has installed before the first package of ours arrives."""

    kind: Literal["core", "empty", "packages"] = "core"
    """The system's ``@core`` group, nothing at all, or what ``file`` lists."""
    file: str | None = None
    """Of ``packages``: the output of ``rpm -qa`` on the image, beside cluster.yaml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    name: str | None = None
    version: str | None = None
    base: Base = field(default_factory=Base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cni:
    """Name the network plugin; ``none`` leaves it to the user's own manifests."""

    name: str | None = None
    version: str | None = None
    """A release (``3.18.6``) or a series (``3.18``)."""
    install: Install | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Hold the cluster's own address ranges; two of a kind mean dual-stack, the main one first."""

    pods: tuple[Subnet, ...]
    services: tuple[Subnet, ...]
    domain: str = "cluster.local"

    @property
    def dual(self) -> bool:
        return len(self.pods) > 1

    @property
    def dns(self) -> Address:
        """Return the cluster DNS address: the tenth of the main service subnet, as kubeadm does."""
        return self.services[0].network_address + 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Say where clients and nodes reach the API server, and who sees to it that they do."""

    host: str
    """A DNS name, or an address without brackets."""
    port: int = API_PORT
    by: EndpointBy | None = None
    """None is somebody else: a load balancer, or the one node that has the address."""
    interface: str | None = None
    """The card that carries the address; None is the one with the node's own."""

    @property
    def address(self) -> Address | None:
        """Return the host as an address, or None when it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return host_port.joined(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    key: str
    value: str = ""
    effect: Effect

    def __str__(self) -> str:
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddress:
    """Hold one address of a node, with the size of its network where the document gives it."""

    ip: Address
    prefix: int | None = None

    def __str__(self) -> str:
        return str(self.ip) if self.prefix is None else f"{self.ip}/{self.prefix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    """Its host name and the name of its Node object."""
    role: Role
    addresses: tuple[NodeAddress, ...] = ()
    """The main one first, at most one a family; none only where a lone node finds its own."""
    mac: str | None = None
    """Lower-case, with colons."""
    interface: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    taints: tuple[Taint, ...] | None = None
    """None leaves them to kubeadm; an empty tuple means that pods of any kind may run here."""
    generation: int = 1
    """Goes up when the machine is made anew; cloud-init then runs again."""
    was: str | None = None
    """Its name before, of a machine that gets another one."""
    machine: Machine = NOTHING_SAID
    kubeadm: Overrides = field(default_factory=dict, hash=False)

    @property
    def address(self) -> Address | None:
        return self.addresses[0].ip if self.addresses else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    machine: Machine = NOTHING_SAID
    kubeadm: Overrides = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    kind: Literal["generated", "on-node", "files"] = "generated"
    """Made by ``airseed secrets``, made by kubeadm on the first node, or the user's own."""
    folder: str | None = None
    """Of ``files``: a path relative to the folder of cluster.yaml, with ca.crt and ca.key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSettings:
    provider: Provider = "nocloud"
    """Whose limits on user-data count."""
    url: str | None = None
    """A web server with the unpacked bundle, where no image or disk brings it."""
    scripts: Literal["seed", "image"] = "seed"
    """Whether the seed brings airseed's scripts, or the machine's image has them already."""
    window: int = 24
    """Hours in which nodes may join after the first one; token and certificates end then."""
    phone_home: str | None = None
    """A URL that hears of each node's result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    keep: bool = False
    """Whether a pre-baked image keeps the bundle, so that images which are gone come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSettings:
    start: Version | None = None
    """The Kubernetes that runs, where the lock is to lead from it to the one above."""
    through: tuple[Version, ...] = ()
    """Releases to go through; of other minors in between, the newest that the catalog has."""
    at_once: int = 1
    """How many workers may be changed at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraFile:
    path: str
    """Its place below ``files/`` in the bundle."""
    source: str
    """A URL, or a path relative to the folder of cluster.yaml."""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraManifest:
    """Add one Kubernetes manifest of the user's; its images are found and added too."""

    source: str
    """A URL, or a path relative to the folder of cluster.yaml."""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Hold what the user adds; manifests are applied in this order, after the network plugin."""

    images: tuple[Reference, ...] = ()
    packages: tuple[str, ...] = ()
    """RPM names, or names with version as yum takes them."""
    files: tuple[ExtraFile, ...] = ()
    manifests: tuple[ExtraManifest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerSettings:
    """Say who signs some images; over what the catalog says under the same name."""

    name: str
    images: tuple[str, ...]
    """Repositories, where ``*`` stands for anything."""
    keys: tuple[str, ...] = ()
    """Files with public keys, relative to the folder of cluster.yaml."""
    identities: tuple[Identity, ...] = ()
    authority: str = "sigstore"
    """The catalog's name of what certificates of the identities are checked with."""
    required: bool = True
    signed_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    name: str = "kubernetes"
    kubernetes: Version
    packages: Packages = "repository"
    """Whether the RPMs of Kubernetes come from a repository, or are built from its programs."""
    os: System = field(default_factory=System)
    platforms: tuple[Platform, ...]
    image_platforms: tuple[Platform, ...] = ()
    """What images are to have beside ``platforms``, as far as they do; see ``platform.EVERY``."""
    runtime: Runtime = field(default_factory=Runtime)
    cni: Cni = field(default_factory=Cni)
    network: Network
    endpoint: Endpoint | None = None
    registry: Registry | None = None
    pki: Pki = Pki()
    seed: SeedSettings = SeedSettings()
    image: ImageSettings = ImageSettings()
    changes: ChangeSettings = ChangeSettings()
    machine: Machine = NOTHING_SAID
    roles: Mapping[Role, RoleSettings] = field(default_factory=dict, hash=False)
    nodes: tuple[Node, ...]
    kubeadm: Overrides = field(default_factory=dict, hash=False)
    extra: Extra = field(default_factory=Extra)
    signatures: tuple[SignerSettings, ...] = ()

    @property
    def control_planes(self) -> tuple[Node, ...]:
        """Return the nodes that run the API server; the first one is where kubeadm init runs."""
        return tuple(node for node in self.nodes if node.role == "control-plane")

    @property
    def workers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role == "worker")

    def machine_of(self, node: Node) -> Machine:
        """Return what holds for one machine: the node's own over its role's over the cluster's."""
        return node.machine.over(self._role(node).machine.over(self.machine))

    @property
    def is_encrypted(self) -> bool:
        """Tell whether a machine gets the cluster's key for what etcd holds."""
        return any(
            file.secret is not None for node in self.nodes for file in self.machine_of(node).files
        )

    def kubeadm_of(self, node: Node) -> tuple[Overrides, ...]:
        """Return the raw kubeadm documents that hold for one node, the widest first."""
        return (self.kubeadm, self._role(node).kubeadm, node.kubeadm)

    def skipped_phases(self, node: Node, kind: str) -> tuple[str, ...]:
        """Return the phases that ``kubeadm:`` leaves out on a node; the narrowest place counts."""
        for overrides in reversed(self.kubeadm_of(node)):
            if SKIP_PHASES in overrides.get(kind, {}):
                return tuple(overrides[kind][SKIP_PHASES] or ())
        return ()

    def is_tainted(self, node: Node, kind: str) -> bool:
        """Tell whether cluster.yaml gives a node taints, in its own key or in ``kubeadm:``."""
        said = [
            overrides.get(kind, {}).get("nodeRegistration", {}).get("taints")
            for overrides in self.kubeadm_of(node)
        ]
        return any((node.taints, *said))

    def argument(
        self, node: Node, kind: str, place: tuple[str, ...], name: str
    ) -> tuple[int, str, str] | None:
        """Return an argument that ``kubeadm:`` gives a program.

        Before it come the number of its place, as :meth:`kubeadm_of` has them, of which the
        narrowest counts, and where it stands below ``place``: arguments are a mapping or, from
        kubeadm's v1beta4 on, a list of names and values.
        """
        for number, overrides in reversed([*enumerate(self.kubeadm_of(node))]):
            inner: Any = overrides.get(kind)
            for key in place:
                inner = inner.get(key) if isinstance(inner, dict) else None
            for where, value in _arguments(inner, name):
                if value is not None:
                    return number, where, str(value)
        return None

    def _role(self, node: Node) -> RoleSettings:
        return self.roles.get(node.role, RoleSettings())


def _arguments(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    names = {name, name.replace("-", "_")}  # most programs read one as the other
    if isinstance(value, dict):
        yield from ((f".{key}", value[key]) for key in value if key in names)
    for number, one in reversed([*enumerate(value)]) if isinstance(value, list) else ():
        if isinstance(one, dict) and one.get("name") in names:
            yield f"[{number}]", one.get("value")
