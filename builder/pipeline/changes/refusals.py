"""What differs and is done by no kind of change: refused with the reason, or no matter here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import Fault, few
from builder.model.change import Findings
from builder.pipeline.changes.kind import taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.model.change import Difference

FEW = 5
"""Nodes that are named where many differ alike."""
_CLUSTER = "documents.ClusterConfiguration"
_ANEW = "seed a new cluster, and move the workloads"
_REFUSED: Mapping[tuple[str, ...], tuple[str, str, str]] = {
    # by patterns: where cluster.yaml says it, why it can't be done, and what to do instead
    ("cluster", f"{_CLUSTER}.clusterName"): (
        "name",
        "the name of a cluster that runs can't be changed: kubeconfigs and machines have it",
        "write the old name again; a kubeconfig may call it otherwise",
    ),
    ("authority",): (
        "pki",
        "the authority can't be changed on a cluster that runs: no machine would trust another",
        "write pki as it was, and put the secrets back with which the machines were seeded",
    ),
    (
        f"{_CLUSTER}.networking.podSubnet",
        "documents.KubeProxyConfiguration.clusterCIDR",
    ): (
        "network.pods",
        "the pod subnets can't be changed while pods have addresses in them",
        _ANEW,
    ),
    (f"{_CLUSTER}.networking.serviceSubnet", "documents.KubeletConfiguration.clusterDNS"): (
        "network.services",
        "the service subnets can't be changed: every Service keeps its address for life",
        _ANEW,
    ),
    (f"{_CLUSTER}.networking.dnsDomain", "documents.KubeletConfiguration.clusterDomain"): (
        "network.domain",
        "the DNS domain can't be changed: every pod that runs and every certificate has it",
        _ANEW,
    ),
    ("registry", f"{_CLUSTER}.imageRepository", f"{_CLUSTER}.dns.imageRepository"): (
        "registry",
        "the registry can't be changed on machines that run: what they have is named after it",
        "write the old registry again; a mirror under its name is no change",
    ),
    ("nodes.*.addresses",): (
        "nodes",
        "a machine that runs can't get another address: certificates and etcd have it",
        "remove the node, then add it with the new address and another generation",
    ),
    ("nodes.*.role",): (
        "nodes",
        "a machine that runs can't get another role",
        "remove the node, then add it with the new role and another generation",
    ),
    (f"{_CLUSTER}.certificatesDir", f"{_CLUSTER}.etcd.local.dataDir"): (
        "kubeadm.ClusterConfiguration",
        "the places of certificates and data can't be changed on machines that run",
        "write the old path again",
    ),
}
_ANOTHER_FAMILY = (
    "network",
    "a cluster that runs gets no second family: a node has its pod ranges for life",
    "seed a new cluster with both families, and move the workloads",
)
_SUBNETS = (f"{_CLUSTER}.networking.*Subnet", "documents.KubeProxyConfiguration.clusterCIDR")
_ELSEWHERE: Mapping[tuple[str, ...], str] = {
    ("sums",): "the bundle is another one: nodes that join get it, machines that run keep theirs",
    ("nodes.*.machine",): "what is said of a machine is laid down at its first boot, not later",
}
_OF_NEW = tuple(pattern for patterns in _ELSEWHERE for pattern in patterns)


def apart(left: Iterable[Difference]) -> Findings:
    """Put differences into words that no kind of change takes."""
    faults: dict[tuple[str, ...], Fault] = {}
    said: dict[str, list[str]] = {}
    for one in left:
        known = next((p for p in _REFUSED if taken(one, p)), None)
        if reason := next((why for p, why in _ELSEWHERE.items() if taken(one, p)), ""):
            said.setdefault(reason, []).append(_node(one) or one.where)
        elif known is None:
            faults[one.path] = _unknown(one)
        else:
            place, what, hint = _REFUSED[known]
            node = _node(one)
            if _adds_a_family(one):
                known, node, (place, what, hint) = _SUBNETS, "", _ANOTHER_FAMILY
            where = ".".join(filter(None, (place, node)))
            faults.setdefault((*known, node), _fault(one, where, what, hint))
    remarks = (Fault(where=few(where, FEW), what=what) for what, where in said.items())
    return Findings(faults=tuple(faults.values()), remarks=tuple(remarks))


def left(differing: Iterable[Difference]) -> Iterator[Fault]:
    """Refuse what differs still when all stages are through, and is no matter of new machines."""
    yield from (_unknown(one) for one in differing if not taken(one, ("nodes.*", *_OF_NEW)))


def of_all(differing: Iterable[Difference]) -> Iterator[str]:
    """Yield the places of what is a matter of machines that run, too."""
    yield from (one.where for one in differing if not taken(one, _OF_NEW))


def _adds_a_family(one: Difference) -> bool:
    if taken(one, ("nodes.*.addresses",)):
        return [*one.after][: len(one.before)] == [*one.before]
    return taken(one, _SUBNETS) and str(one.after).startswith(f"{one.before},")


def _unknown(one: Difference) -> Fault:
    """Refuse what nobody has thought of."""
    what, hint = "can't be changed on a cluster that runs", "write the old value again"
    return _fault(one, one.where, what, hint)


def _node(one: Difference) -> str:
    return one.path[1] if one.path[0] == "nodes" else ""


def _fault(one: Difference, where: str, what: str, hint: str) -> Fault:
    expected = _shown(one.before) if one.before not in (None, "", {}) else "nothing there"
    return Fault(where=where, what=what, expected=expected, hint=hint)


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text[:80]
