"""A machine's network cards, complete: what is checked of them, and what network-config says."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from builder.model.machine import Route, every_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.cluster import Address, Node, NodeAddress, Subnet
    from builder.model.machine import Bond, CardSettings, MachineNetwork

_FOUND_BY_MAC = "net"
"""What a card is called, with a number, that only its MAC address is known of; no kernel does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    where: str
    """What says so in cluster.yaml: the path of its settings, below the machine's ``network``."""
    name: str
    """The kernel's name, or that of the bond."""
    mac: str | None
    settings: CardSettings
    addresses: tuple[NodeAddress, ...]
    dhcp: tuple[int, ...]
    """The families whose address comes by DHCP."""

    @property
    def bond(self) -> Bond | None:
        return self.settings.bond

    @property
    def mtu(self) -> int | None:
        return self.settings.mtu

    @property
    def vlan(self) -> str | None:
        """Name the VLAN's card; network scripts take the number from behind the dot."""
        return f"{self.name}.{self.settings.vlan}" if self.settings.vlan else None

    @property
    def static(self) -> tuple[NodeAddress, ...]:
        """Return the addresses that are set here; the others come by DHCP."""
        return tuple(address for address in self.addresses if address.prefix is not None)

    def networks(self, family: int) -> tuple[Subnet, ...]:
        return tuple(
            ip_interface(str(address)).network
            for address in self.static
            if address.ip.version == family
        )

    def reaches(self, hop: Address) -> bool:
        """Tell whether a router is in one of the card's networks, or link-local as IPv6 has it."""
        return _is_beside(hop) or any(hop in net for net in self.networks(hop.version))

    def is_no_router(self, hop: Address) -> bool:
        """Tell whether an address is the card's own, its network's or that of everybody there."""
        none = {end for network in self.networks(4) for end in ends(network)}
        return hop in {*none, *(address.ip for address in self.static)}

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """Return the routes over this card, the gateways as what they are: routes to everything."""
        gateways = (
            Route(to=every_address(gateway.version), via=gateway)
            for gateway in self.settings.gateways
        )
        return (*gateways, *self.settings.routes)

    @property
    def on_link(self) -> tuple[Route, ...]:
        """Return what network scripts do not set, and the node does.

        That is a route over a router that is in no network, and a default route over a link-local
        one, of which they want to know the card.
        """
        return tuple(
            route
            for route in self.all_routes
            if self.networks(route.via.version)
            and (
                (route.is_default and _is_beside(route.via))
                or (self.settings.on_link and not self.reaches(route.via))
            )
        )

    @property
    def routes(self) -> tuple[Route, ...]:
        """Return what network-config has as a route."""
        left = self.on_link
        return tuple(one for one in self.all_routes if not one.is_default and one not in left)

    def gateway(self, family: int) -> Address | None:
        left = self.on_link
        return next(
            (
                route.via
                for route in self.all_routes
                if route.is_default and route.to.version == family and route not in left
            ),
            None,
        )


def _is_beside(hop: Address) -> bool:
    return hop.version == 6 and hop.is_link_local  # noqa: PLR2004 -- the family


def ends(network: Subnet) -> tuple[Address, ...]:
    """Return the addresses of a network that no machine has: its own, and that of everybody."""
    if network.version == 6 or network.num_addresses <= 2:  # noqa: PLR2004 -- a link of two has none
        return ()
    return network.network_address, network.broadcast_address


def cards(node: Node, network: MachineNetwork) -> tuple[Card, ...]:
    """Return a node's cards, that of its address first; none where cluster.yaml names none."""
    name = network.bond.name if network.bond else node.interface
    if name is None and node.mac is None:
        return ()
    families = tuple(address.ip.version for address in node.addresses if address.prefix is None)
    own = Card(
        where="",
        name=name or f"{_FOUND_BY_MAC}0",
        mac=node.mac,
        settings=network,
        addresses=node.addresses,
        dhcp=families if node.addresses else (4,),
    )
    return (own, *_others(network, {node.mac: own.name} if node.mac else {}))


def _others(network: MachineNetwork, names: dict[str, str]) -> Iterator[Card]:
    """Yield the others; ``names`` are those of cards that are known by their MAC address."""
    for number, other in enumerate(network.cards):
        name = other.bond.name if other.bond else other.interface
        if other.mac:
            name = names.setdefault(other.mac, name or f"{_FOUND_BY_MAC}{number + 1}")
        yield Card(
            where=f"cards[{number}]",
            name=name or f"{_FOUND_BY_MAC}{number + 1}",
            mac=other.mac,
            settings=other,
            addresses=other.addresses or (),
            dhcp=(4,) if other.addresses is None else (),
        )
