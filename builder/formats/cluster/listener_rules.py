"""Two programs of a node can't listen at one port: what ``kubeadm:`` moves must be free there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.formats.cluster.network_rules import first_plane, said_to
from builder.formats.cluster.node_files import EXTRA, arguments, pod_ports, variables
from builder.formats.cluster.setting import ARGUMENT_PLACES
from builder.formats.reading import WRONG
from builder.host_port import BY_SCHEME
from builder.model.allowed import port_range
from builder.model.choice import CALICO, NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.formats.cluster.node_files import Read
    from builder.formats.reading import Reading
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster, Node
    from builder.model.listening import ListenAddress, ListeningProgram

    _Numbered = tuple[int, Node]

_CALICO = "calico-node"
_OPENED = f"{CALICO}-"
"""What it needs open is listed by how it is installed."""
_KUBELET = "kubelet"
_OF_NODES = ("InitConfiguration", "JoinConfiguration")
_API = "kube-apiserver"
_SERVICES = "service-node-port-range"
_EVERY = "every"
"""Of what firewalls let through, the ports of Services."""


def check(cluster: Cluster, release: KubernetesRelease, reading: Reading, read: Read) -> None:
    """Write down each value by which two programs would want one port of a node."""
    by = cluster.endpoint.by if cluster.endpoint else None
    none = cluster.cni is not WRONG and cluster.cni.name == NONE
    known = [
        one
        for one in release.listeners
        if one.of_endpoint in {None, by} and not (none and one.program == _CALICO)
    ]
    readers: dict[tuple[str, ListenAddress, str], list[Node]] = {}
    told: set[object] = set()
    first = first_plane([(i, one) for i, one in enumerate(cluster.nodes) if one is not WRONG])
    services = _Services.of(cluster, first, release.ports) if first else None
    plugin = () if none else tuple(_opened(release.ports))
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
        own = (*((place.port, program) for _, program, _, place in there), *plugin)
        pods = [*pod_ports(cluster, index, node, read)]
        there += [(one.path, one.pod, one.path, one.place) for one in pods]
        if services:
            others = ((one.path, one.place.port, one.pod) for one in pods)
            services.check(node, own, (*others, *_servers(cluster, node)), reading, told)
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


def _opened(ports: Mapping[str, Iterable[str]]) -> Iterator[tuple[int, str]]:
    """Yield the ports that the network plugin needs open, of either protocol."""
    for key, opened in ports.items():
        for one in opened if key.startswith(_OPENED) else ():
            if "/" in one:
                yield port_range(one.partition("/")[0])[0], CALICO


@dataclass(frozen=True, slots=True, kw_only=True)
class _Services:
    """The ports of Services; kube-proxy leads each to whose it is, on loopback as well."""

    usual: str
    said: str
    path: str
    """Where ``kubeadm:`` says it, else empty."""

    @classmethod
    def of(
        cls, cluster: Cluster, first: _Numbered, ports: Mapping[str, Iterable[str]]
    ) -> _Services:
        usual = next(iter(ports.get(_EVERY, ())), "").partition("/")[0]
        path, said = next(_said(_API, _SERVICES, first, first, cluster), ("", usual))
        return cls(usual=usual, said=said, path=path)

    def check(
        self,
        node: Node,
        own: Iterable[tuple[int, str]],
        others: Iterable[tuple[str, int, str]],
        reading: Reading,
        told: set[object],
    ) -> None:
        """Write down which of its ports a node needs: its ``own`` programs, or the user's."""
        try:
            lowest, highest = port_range(self.said)
        except ValueError:
            return  # told
        lost = {port: program for port, program in own if lowest <= port <= highest}
        taken = [one for one in others if lowest <= one[1] <= highest]
        if self.said != self.usual:
            lost.update((port, whose) for _, port, whose in taken)
        if lost and self.path not in told:
            told.add(self.path)
            whose = ", ".join(f"{port} of {lost[port]}" for port in sorted(lost))
            what = f"Services could take ports that {node.name} needs itself: {whose}"
            reading.wrong(self.path, what, expected=f"a range without them, like {self.usual}")
        for path, port, whose in () if lost else taken:
            if (path, port) not in told:
                told.add((path, port))
                what = f"a Service could get {port} of {whose} on {node.name}, and take it over"
                reading.remark(path, what, expected=f"a port outside {self.usual}")


def _servers(cluster: Cluster, node: Node) -> Iterator[tuple[str, int, str]]:
    """Yield path, port and name of the site's servers on a node, by its address or name."""
    own = {node.name, *(str(address.ip) for address in node.addresses)}
    registry, seed = cluster.registry, cluster.seed
    urls = {
        "registry": f"https://{registry.host}" if registry and registry is not WRONG else None,
        "seed.url": seed.url if seed is not WRONG else None,
    }
    for path, url in urls.items():
        parts = urlsplit(url or "")
        if parts.hostname in own:
            port = parts.port or BY_SCHEME.get(parts.scheme, 0)
            yield path, port, path if "." in path else f"the {path}"


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
