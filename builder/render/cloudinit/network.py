"""network-config: what cluster.yaml says about the card that has the node's address.

Nothing is written where cluster.yaml names no card (``interface``, ``mac`` or a bond): cloud-init's
own fallback then asks for an address by DHCP on the first card, and it alone knows which that is.
Version 1 is the default, since cloud-init 18.2 loses parts of version 2 on its way to the ifcfg
files; the catalog says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.render.cloudinit import network1, network2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.catalog.systems import CloudInit
    from builder.model.cluster import Address, Node, NodeAddress
    from builder.model.machine import Bond, MachineNetwork

FOUND_BY_MAC = "net0"
"""What a card is called that only its MAC address is known of; no kernel gives this name."""
_LONGEST_NAME = 15
_IPV6 = 6
_RENDERERS = {1: network1.written, 2: network2.written}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card that has the address, complete, for either version to be written."""

    name: str
    """The kernel's name, or that of the bond."""
    mac: str | None
    network: MachineNetwork
    addresses: tuple[NodeAddress, ...]

    @property
    def bond(self) -> Bond | None:
        return self.network.bond

    @property
    def vlan(self) -> str | None:
        """Name the VLAN's card; network scripts take the number from behind the dot."""
        return f"{self.name}.{self.network.vlan}" if self.network.vlan else None

    @property
    def static(self) -> tuple[NodeAddress, ...]:
        """Return the addresses that are set here; the others come by DHCP."""
        return tuple(address for address in self.addresses if address.prefix is not None)

    @property
    def dhcp(self) -> tuple[int, ...]:
        """Return the families whose address comes by DHCP; IPv4 where no address is given."""
        families = tuple(address.ip.version for address in self.addresses if address.prefix is None)
        return families if self.addresses else (4,)

    def gateway(self, family: int) -> Address | None:
        return next(
            (gateway for gateway in self.network.gateways if gateway.version == family), None
        )


def card(node: Node, network: MachineNetwork) -> Card | None:
    """Return a node's card, or None where cluster.yaml names none."""
    name = network.bond.name if network.bond else node.interface
    if name is None and node.mac is None:
        return None
    return Card(name=name or FOUND_BY_MAC, mac=node.mac, network=network, addresses=node.addresses)


def written(card: Card) -> str:
    return _RENDERERS[card.network.version or 1](card)


def faults(node: Node, network: MachineNetwork, known: CloudInit) -> Iterator[Fault]:
    """Yield what cannot be configured as it stands; ``where`` is a path below the node.

    What a network must be in itself was checked when cluster.yaml was read; here is what follows
    from how cloud-init writes it out.
    """
    own_card = card(node, network)
    if own_card is None:
        return
    if own_card.bond and own_card.name in own_card.bond.interfaces:
        yield _fault("bond.name", f"{own_card.name} is one of its own interfaces")
    if own_card.vlan and len(own_card.vlan) > _LONGEST_NAME:
        what = f"the name {own_card.vlan} is longer than a kernel takes"
        hint = "give the card's mac and leave its interface out: it gets a short name then"
        yield _fault("vlan", what, expected=f"{_LONGEST_NAME} characters at most", hint=hint)
    if not own_card.static:
        for name in ("nameservers", "search"):
            if getattr(network, name):
                yield _fault(
                    name,
                    "DHCP brings them here: no address of the node is set with a prefix length",
                    hint="write address: ADDRESS/PREFIX, or leave them out",
                )
    yield from _lost(own_card, known)


def _lost(card: Card, known: CloudInit) -> Iterator[Fault]:
    """What this cloud-init would pass over in silence, or stumble over."""
    if card.bond:
        for option in card.bond.options:
            if option not in known.bond_options:
                yield _fault(
                    f"bond.options.{option}",
                    f"{known} does not write this option out",
                    expected=f"one of {', '.join(known.bond_options)}",
                    hint=f"options bonding {option}=... in a file of /etc/modprobe.d does it",
                )
    if card.network.version == 2:  # noqa: PLR2004 -- the form's own number
        mtu = card.network.mtu
        for feature, there in (
            ("bond-mtu", card.bond and mtu),
            ("vlan-mtu", card.vlan and mtu),
            ("ipv6-routes", any(route.to.version == _IPV6 for route in card.network.routes)),
        ):
            if there and feature in known.lost:
                what = f"{known} does not bring {feature.replace('-', ' ')} through in version 2"
                yield _fault("version", what, expected="version 1")


def _fault(where: str, what: str, *, expected: str | None = None, hint: str | None = None) -> Fault:
    return Fault(where=f"machine.network.{where}", what=what, expected=expected, hint=hint)
