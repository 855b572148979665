"""Other settings of Kubernetes' programs: certSANs, arguments, kubelet's and kube-proxy's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import Fault, few
from builder.model.change import Findings, Stage
from builder.pipeline.changes import refusals
from builder.pipeline.changes.kind import compare, taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from builder.model.change import Difference, Running
    from builder.pipeline.changes.kind import WantedState

PLAN = "configure"
_CLUSTER = "documents.ClusterConfiguration"
_OF_CONTROL_PLANES: Mapping[str, str] = {
    f"{_CLUSTER}.apiServer.certSANs": "certificate",
    f"{_CLUSTER}.apiServer.**": "apiserver",
    f"{_CLUSTER}.controllerManager.**": "controller-manager",
    f"{_CLUSTER}.scheduler.**": "scheduler",
    f"{_CLUSTER}.etcd.local.extra*.**": "etcd",
}
"""Which part of a control plane has to do with a value; the first pattern counts."""
_KUBELET, _PROXY = "documents.KubeletConfiguration.**", "documents.KubeProxyConfiguration.**"
_OWN = "nodes.*.registration.**"
AT_REGISTRATION = (
    "nodes.*.registration.taints",
    "nodes.*.registration.kubeletExtraArgs.node-labels",
    "nodes.*.registration.kubeletExtraArgs.register-with-taints",
)
"""What kubelet says of its node once, and never again."""
TAKES = (*_OF_CONTROL_PLANES, _KUBELET, _PROXY, _OWN)
_FELT: Mapping[str, str] = {
    "certificate": "nothing: the API server reads its certificate again",
    "apiserver": "its API server restarts",
    "controller-manager": "its controller manager restarts",
    "scheduler": "its scheduler restarts",
    "etcd": "its etcd restarts",
    "kubelet": "kubelet restarts, pods go on",
    "kube-proxy": "kube-proxy restarts everywhere, connections stay",
}
_SHOWN = 3
"""So many names of values fit a table."""


def changes(running: Running, wanted: WantedState) -> Findings:
    """Take settings over in one stage; who has none to take over takes no part."""
    differing = [d for d in compare(running, wanted.state) if taken(d, TAKES)]
    remarks = tuple(_remarks(d for d in differing if taken(d, AT_REGISTRATION)))
    differing = [d for d in differing if not taken(d, AT_REGISTRATION)]
    if not differing:
        return Findings(remarks=remarks)
    parts = _parts(running, wanted, differing)
    names = list(dict.fromkeys(_setting(d) for d in differing))
    target = wanted.state.by_name
    nodes = tuple(
        replace(node, registration=target[node.name].registration)
        if node.name in parts and node.name in target  # who is gone is another kind's
        else node
        for node in running.nodes
    )
    stage = Stage(
        plan=PLAN,
        nodes=tuple(parts),
        what=f"settings: {few(names, _SHOWN)}",
        reason=f"cluster.yaml says otherwise of {few([d.where for d in differing], refusals.FEW)}",
        own_disturbance={name: _felt(own) for name, own in parts.items()},
        own={name: {"PARTS": " ".join(own)} for name, own in parts.items()},
        words=PLAN,
        after=replace(running, documents=wanted.state.documents, nodes=nodes),
    )
    return Findings(stages=(stage,), remarks=remarks)


def _parts(
    running: Running, wanted: WantedState, differing: Sequence[Difference]
) -> dict[str, list[str]]:
    """Return what of each node is touched; the first control plane uploads what all go by."""
    shared = [_OF_CONTROL_PLANES[pattern] for d in differing if (pattern := _pattern(d))]
    everywhere = any(taken(d, (_KUBELET,)) for d in differing)
    own = {d.path[1] for d in differing if taken(d, (_OWN,))}
    planes = {node.name for node in running.control_planes}
    names = wanted.turns(running)
    parts: dict[str, list[str]] = {}
    for name in names:
        touched = list(dict.fromkeys(shared)) if name in planes else []
        if everywhere or name in own:
            touched.append("kubelet")
        if name == names[0] and any(taken(d, (_PROXY,)) for d in differing):
            touched.append("kube-proxy")
        if touched or name == names[0]:
            parts[name] = touched
    return parts


def _pattern(difference: Difference) -> str | None:
    return next((p for p in _OF_CONTROL_PLANES if taken(difference, (p,))), None)


def _felt(parts: Sequence[str]) -> str:
    felt = [part for part in parts if part != "certificate"] or parts
    return "; ".join(_FELT[part] for part in felt)


def _setting(difference: Difference) -> str:
    """Return how a person calls a value: ``apiServer.extraArgs.v``, ``KubeletConfiguration.x``."""
    path = difference.path
    if path[0] == "nodes":
        return ".".join(path[3:])
    return ".".join(path[2:] if path[1] == "ClusterConfiguration" else path[1:])


def _remarks(differing: Iterable[Difference]) -> Iterator[Fault]:
    nodes: dict[str, list[str]] = {}
    for one in differing:
        nodes.setdefault(".".join(one.path[3:]), []).append(one.path[1])
    for setting, names in nodes.items():
        yield Fault(
            where=f"{few(names, refusals.FEW)}: {setting}",
            what="kubelet gives a node its labels and taints when it registers, and never again",
            hint="kubectl label node NODE KEY=VALUE, or kubectl taint",
        )
