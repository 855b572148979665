"""Two programs of a node can't listen at one port: what ``kubeadm:`` moves must be free there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster.network_rules import first_plane, said_to
from builder.formats.cluster.node_files import EXTRA, arguments, pod_ports, variables
from builder.formats.cluster.setting import ARGUMENT_PLACES
from builder.formats.reading import WRONG
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
