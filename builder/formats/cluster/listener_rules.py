"""Two programs of a node can't listen at one port: what ``kubeadm:`` moves must be free there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.formats.cluster.network_rules import first_plane, said_to
from builder.formats.cluster.node_files import EXTRA, arguments, pod_ports, variables
from builder.formats.cluster.setting import ARGUMENT_PLACES
from builder.formats.reading import WRONG
from builder.host_port import BY_SCHEME
from builder.model.allowed import port_range
from builder.model.choice import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.formats.cluster.node_files import Read
    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster, Node
    from builder.model.listening import ListenAddress, ListeningProgram

    _Numbered = tuple[int, Node]

_CALICO = "calico-node"
_KUBELET = "kubelet"
_OF_NODES = ("InitConfiguration", "JoinConfiguration")
_API = "kube-apiserver"
_SERVICES = "service-node-port-range"
_USUAL_SERVICES = "like 30000-32767"


def check(
    cluster: Cluster, listeners: Iterable[ListeningProgram], reading: Reading, read: Read
) -> None:
    """Write down each value by which two programs would want one port of a node."""
    by = cluster.endpoint.by if cluster.endpoint else None
    none = cluster.cni is not WRONG and cluster.cni.name == NONE
    known = [
        one
        for one in listeners
        if one.of_endpoint in {None, by} and not (none and one.program == _CALICO)
    ]
    readers: dict[tuple[str, ListenAddress, str], list[Node]] = {}
    told: set[str] = set()
    first = first_plane([(i, one) for i, one in enumerate(cluster.nodes) if one is not WRONG])
    for index, node in enumerate(cluster.nodes):
        if node is WRONG:
            continue
        there: list[tuple[object, str, str, ListenAddress]] = [
            (one, one.program, *found)
            for one in known
            if one.role in {None, node.role}
            for found in _places(one, (index, node), first, cluster, read)
        ]
        for _, program, path, place in there:
            readers.setdefault((path, place, program), []).append(node)
        pods = pod_ports(cluster, index, node, read)
        there += [(one.path, one.pod, one.path, one.place) for one in pods]
        if first:
            own = [(program, place.port) for _, program, _, place in there]
            _services(cluster, first, (*own, *_servers(cluster, node)), node, reading, told)
        for number, (one, _, path, place) in enumerate(there):
            for another, other, taken, where in (*there[:number], *there[number + 1 :]):
                if path and path not in told and place.clashes(where) and another != one:
                    told.add(path)
                    what = f"{place.port} is where {other} listens on {node.name}"
                    hint = f"so does {taken}" if taken else None
                    reading.wrong(path, what, expected="a port of its own", hint=hint)
    for (path, place, program), those in readers.items():
        # of one machine not every address is known here
        without = [node.name for node in those if not place.is_on(node)] if len(those) > 1 else ()
        if path and path not in told and without:
            told.add(path)
            what = f"{program} could not listen on {without[0]}: it has no {place.address}"
            reading.wrong(path, what, expected="an address that every one of them has")


def _services(
    cluster: Cluster,
    first: _Numbered,
    taken: Iterable[tuple[str, int]],
    node: Node,
    reading: Reading,
    told: set[str],
) -> None:
    """Write down a range of Services' ports with one that a node's own program has.

    kube-proxy would lead it to the first Service that gets it, on loopback as well.
    """
    for path, text in _said(_API, _SERVICES, first, first, cluster):
        try:
            lowest, highest = port_range(text)
        except ValueError:
            continue  # told
        lost = {port: program for program, port in taken if lowest <= port <= highest}
        if lost and path not in told:
            told.add(path)
            whose = ", ".join(f"{port} of {lost[port]}" for port in sorted(lost))
            what = f"Services could take ports that {node.name} needs itself: {whose}"
            reading.wrong(path, what, expected=f"a range without them, {_USUAL_SERVICES}")


def _servers(cluster: Cluster, node: Node) -> Iterator[tuple[str, int]]:
    """Yield the site's servers that are on a node, by its address or name."""
    own = {node.name, *(str(address.ip) for address in node.addresses)}
    registry, seed = cluster.registry, cluster.seed
    urls = {
        "the registry": f"https://{registry.host}" if registry and registry is not WRONG else None,
        "seed.url": seed.url if seed is not WRONG else None,
    }
    for whose, url in urls.items():
        parts = urlsplit(url or "")
        if parts.hostname in own:
            yield whose, parts.port or BY_SCHEME.get(parts.scheme, 0)


def _places(
    listener: ListeningProgram,
    node: _Numbered,
    first: _Numbered | None,
    cluster: Cluster,
    read: Read,
) -> Iterator[tuple[str, ListenAddress]]:
    """Yield where a program listens on a node, each with the path that says so, or ""."""
    found = [one for by in listener.by for one in _said(listener.program, by, node, first, cluster)]
    if listener.program == _KUBELET:
        found += [
            (path, value)
            for path, variable, text in variables(cluster, *node, read)
            if variable == EXTRA
            for name, value in arguments(text, frozenset())
            if value is not None and name.replace("_", "-") in listener.by
        ]
    for path, text in found[-1:]:
        yield from ((path, place) for place in listener.said(text))
    if not found:
        yield "", listener.usual


def _said(
    program: str, by: str, node: _Numbered, first: _Numbered | None, cluster: Cluster
) -> Iterator[tuple[str, str]]:
    """Yield what documents of a node say, or those of the first control plane for all."""
    kind, dot, field = by.partition(".")
    places = ((kind, ()),) if dot else ARGUMENT_PLACES[program]
    for document, place in places:
        own = document in _OF_NODES
        to = node if own else first
        found = said_to(cluster, to, document, place, by if own else field or by) if to else None
        if found:
            yield found
