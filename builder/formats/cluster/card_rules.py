"""What must hold for the network cards of a machine, over a document with gaps.

A bond is checked where it is said. The rest is checked for each node, over what holds for it; a
fault names the place that says it, be that the node, its role or all machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster.bond_rules import check_bond
from builder.formats.reading import WRONG
from builder.model.card import Card, cards
from builder.model.machine import MachineNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.reading import Reading
    from builder.model.catalog.systems import CloudInit
    from builder.model.cluster import Cluster, Node, Subnet
    from builder.model.machine import Machine, Route

_LONGEST_NAME = 15
"""Of a network interface, for the kernel."""


class _Place:
    """Where cluster.yaml says something about one node's network; what is wrong there.

    Many nodes may share one wrong setting of all machines: it is reported once.
    """

    def __init__(
        self, index: int, node: Node, reading: Reading, told: set[tuple[str, str]]
    ) -> None:
        self.node = f"nodes[{index}]"
        self.tops = (self.node, f"roles.{node.role}", "")
        self.reading = reading
        self.told = told

    def path(self, key: str) -> str:
        """Return the narrowest path that the document has for a key of ``machine.network``."""
        paths = [f"{top}.machine.network.{key}".lstrip(".") for top in self.tops]
        return next((path for path in paths if path in self.reading.lines), paths[0])

    def wrong(
        self, path: str, what: str, *, expected: str | None = None, hint: str | None = None
    ) -> None:
        if (path, what) not in self.told:
            self.told.add((path, what))
            self.reading.wrong(path, what, expected=expected, hint=hint)


def check_bonds(machines: Iterator[tuple[str, Machine]], reading: Reading) -> None:
    for path, machine in machines:
        network = machine.network
        if network is WRONG:
            continue
        bonds = [(f"{path}.network.bond", network.bond)]
        bonds += [
            (f"{path}.network.cards[{i}].bond", card.bond) for i, card in enumerate(network.cards)
        ]
        for where, bond in bonds:
            if bond is not None:
                check_bond(bond, where, reading)


def check_cards(cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    told: set[tuple[str, str]] = set()
    for place, node, network in _networks(cluster, nodes, reading, told):
        if network == MachineNetwork() or not _named(node, network, place):
            continue
        every = cards(node, network)
        _once(every, place)
        for card in every:
            _gateways(card, place)
            _hops(card, node, place)
        _routes(every, place)
        _sizes(every, place)
        _apart(every, place)


def check_cloud_init(
    cluster: Cluster, nodes: list[tuple[int, Node]], known: CloudInit, reading: Reading
) -> None:
    """Write down what the system's cloud-init would pass over in silence, or stumble over."""
    told: set[tuple[str, str]] = set()
    for place, node, network in _networks(cluster, nodes, reading, told):
        every = cards(node, network)
        for card in every:
            _lost(card, network, known, place)
        if every and not every[0].static:
            for name in ("nameservers", "search"):
                if getattr(network, name):
                    place.wrong(
                        place.path(name),
                        "DHCP brings them here: no address of the node is set with a prefix length",
                        hint="write address: ADDRESS/PREFIX, or leave them out",
                    )


def _networks(
    cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading, told: set[tuple[str, str]]
) -> Iterator[tuple[_Place, Node, MachineNetwork]]:
    if any(part is WRONG for part in (cluster.machine, cluster.roles)):
        return
    for index, node in nodes:
        if WRONG not in (node.machine, node.role, node.addresses):
            network = cluster.machine_of(node).network
            if network is not WRONG:
                yield _Place(index, node, reading, told), node, network


def _named(node: Node, network: MachineNetwork, place: _Place) -> bool:
    """Check that each card is said by what it can be found."""
    if network.bond and node.interface:
        place.wrong(
            f"{place.node}.interface",
            f"{node.interface} and a bond of {', '.join(network.bond.interfaces)}",
            expected="one of the two",
            hint="the address is on the bond",
        )
    if network.bond and node.mac:
        place.wrong(
            f"{place.node}.mac",
            "cloud-init cannot find a bond by a MAC address",
            hint="name the cards under bond.interfaces, and leave mac out",
        )
    for number, card in enumerate(network.cards):
        path = place.path(f"cards[{number}]")
        if card.bond and (card.interface or card.mac):
            place.wrong(path, "a bond and one card", expected="bond, or interface and mac")
        if not (card.bond or card.interface or card.mac):
            place.wrong(path, "no card is named", expected="interface, mac or a bond")
            return False
    if not (network.bond or node.interface or node.mac):
        place.wrong(
            place.node,
            "no network interface to configure",
            expected="interface, mac or a bond",
            hint="name the interface that has the address",
        )
        return False
    return True


def _once(every: tuple[Card, ...], place: _Place) -> None:
    """Check that no card and no address of one machine is said twice."""
    seen: dict[str, str] = {}
    for card in every:
        path = place.path(card.where) if card.where else place.node
        # several VLANs may lie on one card
        names = {card.vlan or card.name, *(card.bond.interfaces if card.bond else ())}
        for what in (*sorted(names), *(str(a.ip) for a in card.static)):
            if what in seen:
                place.wrong(path, f"{what} is already used by {seen[what]}")
            seen.setdefault(what, path)


def _setting(card: Card, key: str) -> str:
    return f"{card.where}.{key}".lstrip(".")


def _gateways(card: Card, place: _Place) -> None:
    versions = [gateway.version for gateway in card.settings.gateways]
    if len(versions) != len(set(versions)):
        place.wrong(
            place.path(_setting(card, "gateway")),
            f"two IPv{versions[0]} gateways",
            expected="one of each family",
        )
    for i, route in enumerate(card.settings.routes):
        if route.to.version != route.via.version:
            place.wrong(
                place.path(_setting(card, f"routes[{i}]")),
                f"{route.to} over {route.via}: two families",
            )


def _hops(card: Card, node: Node, place: _Place) -> None:
    """Check that each router is in a network of its card, or said to be on the link."""
    address = place.path(f"{card.where}.address") if card.where else f"{place.node}.address"
    if not card.static:
        if card.settings.gateways and (node.addresses is not WRONG or card.where):
            place.wrong(
                address,
                "has a gateway, but no prefix length",
                expected="ADDRESS/PREFIX, like 10.211.55.48/24",
            )
        return
    for route in card.all_routes:
        own = card.networks(route.via.version)
        family = route.via.version
        _own(card, route, address, place)
        if (card.settings.on_link and own) or family in card.dhcp:
            continue
        if card.reaches(route.via) and (own or not route.is_default):
            if card.is_no_router(route.via):
                what = f"{route.via} is this machine or its network, and no router"
                place.wrong(address, what, expected="the address of another machine")
            continue
        if not own and not route.is_default:  # routers may have given the machine an address
            continue
        name = (
            f"the gateway {route.via}" if route.is_default else f"{route.via}, next to {route.to},"
        )
        nets = " or ".join(map(str, own))
        place.wrong(
            address,
            f"{name} is in no network of this {'card' if card.where else 'node'}",
            expected=f"an address in {nets}" if own else f"an IPv{family} address with its prefix",
            hint="on-link: true says that it is reached over this card all the same"
            if own
            else None,
        )


def _own(card: Card, route: Route, address: str, place: _Place) -> None:
    """Check that a route leads further than its card, and a gateway beside an address set here."""
    family = route.via.version
    if route.to in card.networks(family):
        place.wrong(address, f"{route.to} is this card's own network, and needs no router")
    elif route.is_default and family in card.dhcp:
        what = f"has the gateway {route.via}, but no prefix length for IPv{family}"
        expected = "ADDRESS/PREFIX, or no gateway: DHCP brings that with the address"
        place.wrong(address, what, expected=expected)


def _routes(every: tuple[Card, ...], place: _Place) -> None:
    """Check that a machine knows one way to each destination, to everything above all."""
    first: dict[object, str] = {}
    for card in every:
        gateways = len(card.settings.gateways)
        for number, route in enumerate(card.all_routes):
            key = "gateway" if number < gateways else f"routes[{number - gateways}]"
            path = place.path(_setting(card, key))
            if route.to in first and (route.is_default or path != first[route.to]):
                what = (
                    f"a second IPv{route.to.version} default route, beside {first[route.to]}"
                    if route.is_default
                    else f"{route.to} is already routed by {first[route.to]}"
                )
                if not (key == "gateway" and first[route.to] == path):  # said by _gateways
                    place.wrong(path, what, expected="one", hint=_one_way(route.is_default))
            first.setdefault(route.to, path)
    given = next((first[to] for to in first if getattr(to, "prefixlen", 1) == 0), None)
    for card in every[1:]:
        if card.dhcp and given:
            place.reading.remark(
                place.path(card.where),
                f"DHCP may bring a second default route, beside {given}",
                hint="give the card an address",
            )


def _sizes(every: tuple[Card, ...], place: _Place) -> None:
    """Check that a VLAN's packets fit into those of the card that it lies on."""
    below = {card.name: card.mtu for card in every if not card.vlan and card.mtu}
    for card in every:
        most = below.get(card.name)
        if card.vlan and card.mtu and most and card.mtu > most:
            what = f"packets of {card.mtu} bytes do not fit into those of {card.name}, {most}"
            place.wrong(place.path(_setting(card, "mtu")), what, expected=f"{most} or less")


def _apart(every: tuple[Card, ...], place: _Place) -> None:
    """Remark two cards in one network: the kernel answers for both by one of them."""
    seen: list[tuple[Card, Subnet]] = []
    for card in every:
        for network in (*card.networks(4), *card.networks(6)):
            for other, theirs in seen:
                same = network.version == theirs.version and network.overlaps(theirs)
                if other is not card and same:
                    place.reading.remark(
                        place.path(card.where),
                        f"{network} is where {other.vlan or other.name} is, too: answers "
                        "leave by one of the two, and what comes in by the other may be dropped",
                        hint="make a bond of the two, or give each a network of its own",
                    )
        seen += [(card, one) for family in (4, 6) for one in card.networks(family)]


def _one_way(default: bool) -> str | None:  # noqa: FBT001 -- of a route
    return (
        "packets leave by one gateway; say where the others lead with routes" if default else None
    )


def _lost(card: Card, network: MachineNetwork, known: CloudInit, place: _Place) -> None:
    if card.vlan and len(card.vlan) > _LONGEST_NAME:
        place.wrong(
            place.path(_setting(card, "vlan")),
            f"the name {card.vlan} is longer than a kernel takes",
            expected=f"{_LONGEST_NAME} characters at most",
            hint="give the card's mac and leave its interface out: it gets a short name then",
        )
    for option in card.bond.options if card.bond else ():
        if option not in known.bond_options:
            place.wrong(
                place.path(_setting(card, f"bond.options.{option}")),
                f"{known} does not write this option out",
                expected=f"one of {', '.join(known.bond_options)}",
                hint=f"options bonding {option}=... in a file of /etc/modprobe.d does it",
            )
    if network.version == 2:  # noqa: PLR2004 -- the form's own number
        for feature, there in (
            ("bond-mtu", card.bond and card.mtu),
            ("vlan-mtu", card.vlan and card.mtu),
            ("ipv6-routes", any(route.to.version == 6 for route in card.routes)),  # noqa: PLR2004 -- the family
        ):
            if there and feature in known.lost:
                what = f"{known} does not bring {feature.replace('-', ' ')} through in version 2"
                place.wrong(place.path("version"), what, expected="version 1")
