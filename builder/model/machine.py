"""How a machine is set up beside Kubernetes: accounts, files, commands, network, time, proxies.

A cluster.yaml says it for all machines, for a role and for one node; :meth:`Machine.over` lays one
over the other. Plain constructors check nothing: :mod:`builder.formats.cluster` reads and checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.cluster import NodeAddress, Subnet

BondMode = Literal[
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
]
Selinux = Literal["permissive", "enforcing", "disabled"]
Firewall = Literal["off", "ports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFile:
    """Put one file of the user's on the machine; it has ``content`` or a ``source``."""

    path: str
    """Absolute."""
    content: str | None = None
    source: str | None = None
    """A path relative to the folder of cluster.yaml; its bytes are taken as they are."""
    secret: Literal["encryption-config"] | None = None
    """A secret of the cluster's that it holds; such a file is closed to everybody but its owner."""
    owner: str = "root:root"
    permissions: str = "0644"
    """Octal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    name: str
    ssh_keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sudo: bool = False
    """Whether it may become root without a password."""
    shell: str = "/bin/bash"
    password: str | None = None
    """A crypt(3) hash, never a password; without one only SSH keys open it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    http: str | None = None
    https: str | None = None
    no: tuple[str, ...] = ()
    """Hosts, domains and subnets beside the cluster's own, which are left out anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    to: Subnet
    via: IPv4Address | IPv6Address

    @property
    def is_default(self) -> bool:
        return self.to.prefixlen == 0


def every_address(family: int) -> Subnet:
    """Return where a default route leads."""
    return IPv4Network("0.0.0.0/0") if family == 4 else IPv6Network("::/0")  # noqa: PLR2004 -- the family


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    interfaces: tuple[str, ...]
    """The kernel's names; cloud-init can't follow a renamed card into a bond."""
    name: str = "bond0"
    mode: BondMode = "active-backup"
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """As the kernel calls them, ``miimon`` for example, without ``mode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSettings:
    """Say how one card, or a bond of several, is configured."""

    gateways: tuple[IPv4Address | IPv6Address, ...] = ()
    """At most one a family."""
    on_link: bool | None = None
    """Whether routers are reached over the card although they are in none of its networks."""
    mtu: int | None = None
    routes: tuple[Route, ...] = ()
    bond: Bond | None = None
    vlan: int | None = None
    """The addresses are on this VLAN of the card or bond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCard(CardSettings):
    """One more card than that of the node's address; the cluster does not use it."""

    interface: str | None = None
    mac: str | None = None
    addresses: tuple[NodeAddress, ...] | None = None
    """Each with a prefix length; None asks for one by DHCP, and an empty tuple has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNetwork(CardSettings):
    """Configure the card that has the node's address, and name the others."""

    version: Literal[1, 2] | None = None
    """Of cloud-init's network-config; None takes the one that the system's cloud-init knows."""
    nameservers: tuple[IPv4Address | IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    cards: tuple[OtherCard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """Say how the machine trusts and enters the internal registry; both are local paths."""

    ca: str | None = None
    """Authorities in PEM."""
    credentials: str | None = None
    """A docker ``config.json`` with an entry for the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Say how a control plane keeps snapshots of etcd."""

    every: str | None = None
    """As systemd writes a span, ``6h``; None has no timer, and a change takes one all the same."""
    keep: int | None = None
    """How many; None is five."""
    to: str | None = None
    """A folder of the machine, or the URL of one that takes PUT, where copies go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hold what is said about machines in one place; empty means that nothing is."""

    files: tuple[MachineFile, ...] = ()
    before: tuple[str, ...] = ()
    """Shell commands, as root, before the first step of airseed's."""
    after: tuple[str, ...] = ()
    """Shell commands, as root, when the node is in its cluster."""
    users: tuple[User, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    """Authorized keys of the image's own account."""
    proxy: Proxy = Proxy()
    ntp: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """RPM names, or names with version as yum takes them; they enter lock and bundle too."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Lines of /etc/hosts: names by address."""
    network: MachineNetwork = MachineNetwork()
    registry: RegistryAccess = RegistryAccess()
    selinux: Selinux | None = None
    """None is permissive, unless the image has it disabled."""
    firewall: Firewall | None = None
    """None is off; with ``ports`` firewalld runs and lets through what a node needs."""
    snapshots: Snapshots = Snapshots()

    def over(self, base: Machine) -> Machine:
        """Lay this over ``base``.

        Files, users, commands, packages and SSH keys add up, a file or user in the place of its
        like; every other value replaces the one below, lists too; ``hosts`` does by address.
        """
        if self is NOTHING_SAID or base is NOTHING_SAID:
            return base if self is NOTHING_SAID else self
        return replace(
            self,
            files=_by(base.files, self.files, "path"),
            before=(*base.before, *self.before),
            after=(*base.after, *self.after),
            users=_by(base.users, self.users, "name"),
            ssh_keys=tuple(dict.fromkeys((*base.ssh_keys, *self.ssh_keys))),
            proxy=_filled(self.proxy, base.proxy),
            ntp=self.ntp or base.ntp,
            packages=tuple(dict.fromkeys((*base.packages, *self.packages))),
            hosts={**base.hosts, **self.hosts},
            network=_filled(self.network, base.network),
            registry=_filled(self.registry, base.registry),
            selinux=self.selinux or base.selinux,
            firewall=self.firewall or base.firewall,
            snapshots=_filled(self.snapshots, base.snapshots),
        )


NOTHING_SAID = Machine()


def _by(base: tuple[Any, ...], over: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    """Join two lists; of two entries with the same key the later one counts."""
    return tuple({getattr(item, key): item for item in (*base, *over)}.values())


def _filled(value: Any, base: Any) -> Any:
    """Fill what a value leaves open (None, or an empty list) from another of its kind."""
    open_fields = {
        field_.name: getattr(base, field_.name)
        for field_ in fields(value)
        if getattr(value, field_.name) in (None, ())
    }
    return replace(value, **open_fields)
