"""What must hold for an endpoint: who may have its address, and where it can be carried."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING

from builder.formats.cluster.machine_rules import machines
from builder.formats.cluster.terms import LOOPBACK_NAMES
from builder.formats.reading import WRONG, child
from builder.model.card import cards, ends
from builder.model.cluster import API_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.reading import Reading
    from builder.model.cluster import Address, Cluster, Endpoint, Node, Subnet

Nodes = list[tuple[int, "Node"]]
_OWN = "an address"


def check_endpoint(nodes: Nodes, cluster: Cluster, reading: Reading) -> None:
    endpoint = cluster.endpoint
    if not endpoint:
        return
    planes = [(i, node) for i, node in nodes if node.role == "control-plane"]
    if endpoint.by is None:
        _elsewhere(endpoint, nodes, len(planes) > 1, reading)
        return
    if endpoint.port != API_PORT:
        reading.wrong(
            "endpoint.port",
            f"API servers listen on {API_PORT}, and nothing forwards {endpoint.port} to them",
            hint="leave it out",
        )
    for i, node in planes:
        if node.addresses == () and len(cluster.nodes) == 1:
            what = "is missing: whoever keeps the endpoint up must know it"
            reading.wrong(f"nodes[{i}].address", what)
    if len(planes) == 1:
        reading.remark(
            "endpoint",
            "there is one control plane: while it is away, nobody else answers",
            hint="that can change later: three control planes keep working without one",
        )
    if endpoint.address is None:
        _name(endpoint, nodes, cluster, reading)
    else:
        _address(endpoint.address, nodes, cluster, reading)
        for _, node in planes:
            _carried(endpoint.address, node, cluster, reading)


def _elsewhere(endpoint: Endpoint, nodes: Nodes, several: bool, reading: Reading) -> None:  # noqa: FBT001 -- one caller
    """Remark where what is to answer can't, or is one machine."""
    for _, node in nodes:
        own = endpoint.host == node.name or endpoint.address in [a.ip for a in node.addresses]
        if not own:
            continue
        if node.role == "worker":
            reading.remark("endpoint", f"{node.name} is a worker: no API server listens there")
        elif endpoint.port != API_PORT:
            reading.remark(
                "endpoint",
                f"{node.name}'s API server listens on {API_PORT}, not on {endpoint.port}",
            )
        if node.role == "control-plane" and several:
            reading.remark(
                "endpoint",
                f"{endpoint.host} is {node.name} itself: without that node the cluster "
                "cannot be reached (no high availability)",
                hint="take a free address and have the control planes carry it: "
                "endpoint: {address: ..., by: keepalived}",
            )


def _name(endpoint: Endpoint, nodes: Nodes, cluster: Cluster, reading: Reading) -> None:
    where = "endpoint.name"
    taken = {name for _, node in nodes if node.name for name in (node.name, _short(node.name))}
    if endpoint.host in taken:
        what = f"{endpoint.host} is a machine's own name, and resolves to that machine"
        reading.wrong(where, what, hint="take another name")
    elif endpoint.host in LOOPBACK_NAMES:
        reading.wrong(where, f"{endpoint.host} is a name that every machine has already")
    for path, machine in machines(cluster):
        for address, names in machine.hosts.items():
            if endpoint.host in names:
                what = f"{endpoint.host} is the endpoint's name, which local-proxy leads elsewhere"
                reading.wrong(child(f"{path}.hosts", address), what, hint="take it out")


def _short(name: str) -> str:
    return name.partition(".")[0]


def _address(address: Address, nodes: Nodes, cluster: Cluster, reading: Reading) -> None:
    for i, node in nodes:
        for taken, what in _taken(node, cluster):
            if taken != address:
                continue
            own = what == _OWN
            reading.wrong(
                "endpoint.address",
                f"{address} is {what} of {node.name} (nodes[{i}])",
                expected="an address that no machine has",
                hint=f"to have {node.name} alone answer: endpoint: {address}" if own else None,
            )
            return


def _taken(node: Node, cluster: Cluster) -> Iterator[tuple[Address, str]]:
    """Yield the addresses that are known to be somebody's, and what they are to a machine."""
    yield from ((one.ip, _OWN) for one in node.addresses)
    if _is_open(node, cluster):
        return
    network = cluster.machine_of(node).network
    yield from ((one.ip, _OWN) for card in network.cards for one in card.addresses or ())
    for card in (network, *network.cards):
        for router in (*card.gateways, *(route.via for route in card.routes)):
            yield router, "a router"
    yield from ((server, "a name server") for server in network.nameservers)


def _carried(address: Address, node: Node, cluster: Cluster, reading: Reading) -> None:
    """Check that an address is in a network of the card that is to carry it."""
    if not node.addresses:
        return
    if node.addresses[0].ip.version != address.version:
        reading.wrong(
            "endpoint.address",
            f"{node.name} speaks IPv{node.addresses[0].ip.version} with the other control planes",
            expected=f"an IPv{node.addresses[0].ip.version} address",
        )
        return
    networks = [*_networks(node, address.version, cluster)]
    around = [network for network in networks if address in network]
    if address in [end for network in around for end in ends(network)]:
        reading.wrong(
            "endpoint.address",
            f"{address} is that of the network {_listed(around)} itself, or of all in it",
            expected="an address that a machine may have",
        )
    elif networks and not around:
        reading.wrong(
            "endpoint.address",
            f"{address} is in no network of {node.name}'s card ({_listed(networks)})",
            expected="an address in a network that all control planes are in",
            hint="ARP reaches no further; over routers take local-proxy, or a load balancer",
        )


def _networks(node: Node, family: int, cluster: Cluster) -> Iterator[Subnet]:
    """Yield what is known of the networks of the card that is to carry the address."""
    card = cluster.endpoint.interface if cluster.endpoint else None
    known = () if _is_open(node, cluster) else cards(node, cluster.machine_of(node).network)
    carrying = [one for one in known if card in {one.name, one.vlan}]
    for one in carrying:
        yield from one.networks(family)
    if carrying:
        return
    if card in {None, node.interface}:
        for own in node.addresses:
            if own.prefix is not None and own.ip.version == family:
                yield ip_interface(str(own)).network


def _is_open(node: Node, cluster: Cluster) -> bool:
    """Tell whether something that is said about the machine could not be read."""
    own = (node.machine, cluster.machine, cluster.roles)
    if WRONG in own or any(one.machine is WRONG for one in cluster.roles.values()):
        return True
    return cluster.machine_of(node).network is WRONG


def _listed(networks: list[Subnet]) -> str:
    return " and ".join(map(str, networks))
