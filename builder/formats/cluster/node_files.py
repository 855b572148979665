"""What the user's files say on a node as ``kubeadm:`` would: kubelet's arguments, and ports.

A static pod listens as the cluster's own programs do, and ``KUBELET_EXTRA_ARGS`` come last on
kubelet's command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError
from builder.formats.cluster import unit_files
from builder.formats.reading import WRONG
from builder.formats.text import yaml_documents
from builder.host_port import LAST_PORT
from builder.model.arguments import is_address
from builder.model.catalog.paths import is_static_pod, real
from builder.model.listening import ListenAddress, port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.model.cluster import Cluster, Node
    from builder.model.machine import MachineFile

    Read = Callable[[MachineFile], str | None]
    """Gives what a file holds; None where that is not known."""

_KUBELET = "/etc/sysconfig/kubelet"
EXTRA = "KUBELET_EXTRA_ARGS"
OTHERS = ("KUBELET_KUBECONFIG_ARGS", "KUBELET_CONFIG_ARGS", "KUBELET_KUBEADM_ARGS")
"""What kubelet's unit and kubeadm fill; the file is read after them."""
_VARIABLES = ("/etc/sysconfig/", "/etc/default/")
_ASSIGNED = re.compile(r"^[ \t]*(\w+)=(.*?)[ \t]*$", re.MULTILINE)
_QUOTED = re.compile(r"([\"'])(.*)\1", re.DOTALL)
_ARGUMENT = re.compile(r"--?([^-=][^=]*)(?:=(.*))?", re.DOTALL)


def is_looked_at(path: str) -> bool:
    variables = path.endswith(".env") or real(path).startswith(_VARIABLES)
    return is_static_pod(path) or variables or unit_files.is_kubelets(path)


def inline(file: MachineFile) -> str | None:
    """Read what cluster.yaml itself has of a file."""
    return file.content


def placed(cluster: Cluster, index: int, node: Node) -> Iterator[tuple[str, MachineFile]]:
    """Yield the files that a node of a cluster with gaps gets, each after its path there."""
    machines = [("machine", cluster.machine)]
    if cluster.roles is not WRONG and node.role in cluster.roles:
        machines.append((f"roles.{node.role}.machine", cluster.roles[node.role].machine))
    machines.append((f"nodes[{index}].machine", node.machine))
    found: dict[str, tuple[str, MachineFile]] = {}
    for place, machine in machines:
        for number, file in enumerate(() if machine is WRONG else machine.files):
            if file is not WRONG:
                key = "content" if file.source is None else "source"
                found[file.path] = f"{place}.files[{number}].{key}", file
    yield from found.values()


def variables(
    cluster: Cluster, index: int, node: Node, read: Read
) -> Iterator[tuple[str, str, str]]:
    """Yield path, name and value of what a node's files assign for kubelet.

    What its unit says in the command itself counts as said with EXTRA.
    """
    there = [*placed(cluster, index, node)]
    units = {path: read(file) or "" for path, file in there if unit_files.is_kubelets(file.path)}
    named = {_KUBELET, *(name for text in units.values() for name in unit_files.files(text))}
    for path, file in there:
        if path in units:
            yield from ((path, *pair) for pair in unit_files.assigned(units[path]))
            yield from ((path, EXTRA, text) for text, _ in unit_files.commands(units[path]))
        elif real(file.path) in named:
            text = re.sub(r"\\\n", "", read(file) or "")
            for name, value in dict(_ASSIGNED.findall(text)).items():
                quoted = _QUOTED.fullmatch(value)
                yield path, name, quoted[2] if quoted else value


def lost(cluster: Cluster, index: int, node: Node, read: Read) -> Iterator[tuple[str, str]]:
    """Yield path and name of what kubeadm gives kubelet and a node's file takes away."""
    for path, file in placed(cluster, index, node):
        text = (read(file) or "") if unit_files.is_kubelets(file.path) else ""
        for _, taken in unit_files.commands(text):
            yield from ((path, f"${name}") for name in OTHERS if name not in taken)
        if unit_files.comes_last(file.path):
            yield from ((path, f"{key}= of kubeadm's") for key in unit_files.emptied(text))


def arguments(text: str, flags: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    """Yield name and value of each argument; a word that is of none comes with None.

    ``flags`` need no value. systemd splits at blanks, whatever is in quotes.
    """
    words = text.split()
    while words:
        word = words.pop(0)
        match = _ARGUMENT.fullmatch(word)
        if match is None:
            yield word, None
        elif match[2] is not None:
            yield match[1], match[2]
        elif match[1].replace("_", "-") in flags:
            yield match[1], "true"
        else:
            yield match[1], words.pop(0) if words else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPort:
    path: str
    pod: str
    place: ListenAddress


def pod_ports(cluster: Cluster, index: int, node: Node, read: Read) -> Iterator[PodPort]:
    """Yield where the user's static pods listen in a node's own network.

    A probe's port is not counted: it may ask another program, as that of a load balancer does.
    """
    for path, file in placed(cluster, index, node):
        text = read(file) if is_static_pod(file.path) else None
        pod = _pod(text) if text else {}
        spec = _mapping(pod.get("spec"))
        name = str(_mapping(pod.get("metadata")).get("name") or file.path)[:80]
        for key in ("initContainers", "containers"):
            for container in map(_mapping, _list(spec.get(key))):
                for one in map(_mapping, _list(container.get("ports"))):
                    place = _listens(one, shared=spec.get("hostNetwork") is True)
                    if place is not None:
                        yield PodPort(path=path, pod=f"the static pod {name}", place=place)


def _listens(given: dict[str, Any], *, shared: bool) -> ListenAddress | None:
    number = given.get("hostPort") or (given.get("containerPort") if shared else None)
    if given.get("protocol", "TCP") != "TCP" or not isinstance(number, int):
        return None
    if not 0 < number <= LAST_PORT:
        return None  # kubelet takes no such pod
    address = given.get("hostIP")
    everywhere = port(str(number))
    return (
        ListenAddress(str(address), number) if address and is_address(str(address)) else everywhere
    )


def _pod(text: str) -> dict[str, Any]:
    try:
        documents = yaml_documents(text, "", manifest=True)
    except DocumentError:
        return {}  # told where manifests are read
    return _mapping(documents[0].value) if documents else {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
