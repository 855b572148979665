"""Which address ranges of a cluster go together: families, sizes, overlaps.

The sizes are kubeadm's and kube-apiserver's own limits (kubeadm's validation.go: 20 bits for
services, at least ten of them, node ranges of /24 or /64 and 16 bits between), so that a range
that would fail on the first node fails here.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from builder.formats.reading import WRONG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster, Network, Node, Subnet

_SERVICE_BITS = 20
_FEWEST_SERVICES = 10
_NODE_MASK = {4: 24, 6: 64}
_MASK_DISTANCE = 16


def check_networks(cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    network = cluster.network
    if network is WRONG:
        return
    for key, subnets in (("pods", network.pods), ("services", network.services)):
        if len(subnets) == 2 and subnets[0].version == subnets[1].version:  # noqa: PLR2004 -- a pair
            reading.wrong(
                f"network.{key}",
                f"two IPv{subnets[0].version} subnets",
                expected="one subnet, or one IPv4 and one IPv6 subnet",
            )
    _services(network, reading)
    _pods(cluster, nodes, reading)
    _families(network, nodes, reading)
    _overlaps(network, reading)
    _inside(cluster, nodes, reading)


def _placed(key: str, subnets: tuple[Subnet, ...]) -> Iterator[tuple[str, Subnet]]:
    for i, subnet in enumerate(subnets):
        yield (f"network.{key}[{i}]" if len(subnets) > 1 else f"network.{key}"), subnet


def _services(network: Network, reading: Reading) -> None:
    for path, subnet in _placed("services", network.services):
        bits = subnet.max_prefixlen
        if bits - subnet.prefixlen > _SERVICE_BITS:
            reading.wrong(
                path,
                f"{subnet} is too large for kube-apiserver",
                expected=f"a /{bits - _SERVICE_BITS} or smaller",
                hint=f"write {subnet.network_address}/{bits - _SERVICE_BITS}",
            )
        elif subnet.num_addresses < _FEWEST_SERVICES:
            reading.wrong(
                path,
                f"{subnet} has no tenth address, which is the cluster's DNS",
                expected=f"a /{bits - 4} or larger",
            )


def _pods(cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    """Check that each node gets a range, of the size that kube-controller-manager is told."""
    count = len(cluster.nodes)
    for path, subnet in _placed("pods", cluster.network.pods):
        where, mask = _node_mask(cluster, nodes, subnet, reading)
        if mask is None:
            continue
        needed = mask - max(count - 1, 0).bit_length()
        if where and mask < subnet.prefixlen:
            what = f"a /{mask} for each node is larger than {path} ({subnet})"
            least = subnet.prefixlen + max(count - 1, 0).bit_length()
            reading.wrong(where, what, expected=f"{least} or more")
        elif subnet.prefixlen < mask - _MASK_DISTANCE:
            reading.wrong(
                where or path,
                f"{subnet} is too large: kube-controller-manager cuts at most "
                f"{1 << _MASK_DISTANCE:,} node ranges of /{mask} from it",
                expected=f"{subnet.prefixlen + _MASK_DISTANCE} or less"
                if where
                else f"a /{mask - _MASK_DISTANCE} or smaller",
            )
        elif subnet.prefixlen > needed:
            ranges = 1 << (mask - subnet.prefixlen) if subnet.prefixlen <= mask else 0
            least = subnet.prefixlen + max(count - 1, 0).bit_length()
            reading.wrong(
                where or path,
                f"{subnet} has room for {ranges} of {count} nodes, each of which takes a /{mask}",
                expected=f"{least} or more" if where else f"a /{needed} or larger",
            )


_OTHER = {4: 6, 6: 4}
_MASK = "node-cidr-mask-size"
_MANAGER = ("controllerManager", "extraArgs")


def _node_mask(
    cluster: Cluster, nodes: list[tuple[int, Node]], subnet: Subnet, reading: Reading
) -> tuple[str | None, int | None]:
    """Return how large a node's range is, after where ``kubeadm:`` says so; None if it is wrong.

    None, too, where kube-controller-manager cuts no ranges.
    """

    def argument(name: str) -> tuple[str, str] | None:
        return said(cluster, nodes, "ClusterConfiguration", _MANAGER, name)

    own, both = argument(f"{_MASK}-ipv{subnet.version}"), argument(_MASK)
    other = None if cluster.network.dual else argument(f"{_MASK}-ipv{_OTHER[subnet.version]}")
    cuts = argument("allocate-node-cidrs")
    if cuts is not None and cuts[1].lower() in {"0", "f", "false"}:
        return None, None
    if other is not None:
        expected = f"{_MASK}, or {_MASK}-ipv{subnet.version}"
        reading.wrong(other[0], f"is not allowed with IPv{subnet.version} alone", expected=expected)
    elif own is not None and both is not None and not cluster.network.dual:
        reading.wrong(own[0], f"is not allowed beside {_MASK}", expected="one of the two")
        return None, None
    for name, found in ((f"{_MASK}-ipv{subnet.version}", own), (_MASK, both)):
        if found is None:
            continue
        where, text = found
        if name == _MASK and cluster.network.dual:
            expected = f"{_MASK}-ipv4 and {_MASK}-ipv6"
            if subnet is cluster.network.pods[0]:
                reading.wrong(where, "is not allowed with two families", expected=expected)
            return None, None
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= subnet.max_prefixlen):
            expected = f"a whole number from 1 to {subnet.max_prefixlen}, in quotes"
            reading.wrong(where, f"{text[:40]!r} is not the size of a network", expected=expected)
            return None, None
        return where, int(text)
    return None, _NODE_MASK[subnet.version]


def said(
    cluster: Cluster, nodes: list[tuple[int, Node]], kind: str, place: tuple[str, ...], name: str
) -> tuple[str, str] | None:
    """Return what ``kubeadm:`` gives the first control plane's program, after its path."""
    first = first_plane(nodes)
    return said_to(cluster, first, kind, place, name) if first else None


def first_plane(nodes: list[tuple[int, Node]]) -> tuple[int, Node] | None:
    """Return the first control plane; None where that can't be known."""
    if any(node.role is WRONG for _, node in nodes):
        return None
    return next((one for one in nodes if one[1].role == "control-plane"), None)


def said_to(
    cluster: Cluster, to: tuple[int, Node], kind: str, place: tuple[str, ...], name: str
) -> tuple[str, str] | None:
    """Return what ``kubeadm:`` gives a program of one node, after its path."""
    index, node = to
    if WRONG in (cluster.kubeadm, cluster.roles, node.role, node.kubeadm):
        return None
    if any(own.kubeadm is WRONG for own in cluster.roles.values()):
        return None
    found = cluster.argument(node, kind, place, name)
    if found is None:
        return None
    tops = ("kubeadm", f"roles.{node.role}.kubeadm", f"nodes[{index}].kubeadm")
    return ".".join((tops[found[0]], kind, *place)) + found[1], found[2]


def _families(network: Network, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    pods: list[int] = [subnet.version for subnet in network.pods]
    services: list[int] = [subnet.version for subnet in network.services]
    if pods and services and pods[0] != services[0]:
        turned = len(pods) > 1 or len(services) > 1
        reading.wrong(
            "network",
            f"pods begin with IPv{pods[0]}, services with IPv{services[0]}",
            expected="the same main family",
            hint="give both lists the same order" if turned else None,
        )
    elif len(services) > len(pods) > 0:
        reading.wrong(
            "network.pods",
            f"services have two families, pods only IPv{pods[0]}",
            expected="a subnet of each family",
            hint=f"add an IPv{services[1]} subnet for pods",
        )
    elif len(pods) > len(services) > 0:
        reading.remark(
            "network.services",
            f"pods have two families, services only IPv{services[0]}",
            hint=f"add an IPv{pods[1]} subnet for services, unless you mean it",
        )
    if pods:
        _node_families(pods, nodes, reading)


def _node_families(pods: list[int], nodes: list[tuple[int, Node]], reading: Reading) -> None:
    for i, node in nodes:
        own = {address.ip.version for address in node.addresses}
        lacking = [version for version in pods if version not in own]
        if own and pods[0] in lacking:
            reading.wrong(
                f"nodes[{i}].address",
                f"no IPv{pods[0]} address, but the cluster's main family is IPv{pods[0]}",
                expected=f"an IPv{pods[0]} address",
            )
        elif own and lacking:
            reading.remark(
                f"nodes[{i}].address",
                f"no IPv{lacking[0]} address, but pods have IPv{lacking[0]} addresses too",
                hint="give a list of one IPv4 and one IPv6 address",
            )


def _overlap(subnet: Subnet, other: Subnet) -> bool:
    return subnet.version == other.version and subnet.overlaps(other)


def _overlaps(network: Network, reading: Reading) -> None:
    for path, pods in _placed("pods", network.pods):
        for other, services in _placed("services", network.services):
            if _overlap(pods, services):
                reading.wrong(
                    path,
                    f"{pods} overlaps {other} ({services})",
                    expected="ranges that share no address",
                    hint=_other_range(path, reading),
                )


def _inside(cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    """Check that no machine lies in a range that the cluster keeps for itself."""
    machines = [
        (f"nodes[{i}].address", str(address), ip_network(str(address), strict=False))
        for i, node in nodes
        for address in node.addresses
    ]
    address = cluster.endpoint.address if cluster.endpoint else None
    owned = {own.ip for _, node in nodes for own in node.addresses}
    if address is not None and address not in owned:
        machines.append(("endpoint", str(address), ip_network(str(address))))
    ranges = [
        *_placed("pods", cluster.network.pods),
        *_placed("services", cluster.network.services),
    ]
    for path, text, own in machines:
        for key, subnet in ranges:
            if _overlap(own, subnet):
                inside = "lies in" if own.subnet_of(subnet) else "has a network that overlaps"  # type: ignore[arg-type] # one family, see _overlap
                reading.wrong(
                    path,
                    f"{text} {inside} {key} ({subnet})",
                    expected="addresses that the cluster does not use itself",
                    hint=_instead(path, key, reading),
                )


def _instead(path: str, key: str, reading: Reading) -> str:
    other = _other_range(key, reading)
    return (
        f"take another address, or {other.removeprefix('take ')}" if path == "endpoint" else other
    )


def _other_range(path: str, reading: Reading) -> str:
    """Return advice that names the default when the document does not say the range itself."""
    if path in reading.lines:
        return f"take another range for {path}"
    return f"set {path}: the default is not free here"
