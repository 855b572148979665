"""What runs, as it was seeded or last changed: ``running.json`` beside the seeds.

``seeds`` writes it for nodes that are new, and ``changes`` compares it with cluster.yaml. A node
that has a seed keeps what it was seeded with: it ignores every later seed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from builder import owners
from builder.errors import UsageError
from builder.formats import running as running_format
from builder.model.change import CLUSTER_WIDE, NodeState, Running
from builder.model.digest import Digest
from builder.model.machine import NOTHING_SAID
from builder.render import kubeadm

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from builder.model.cluster import Node
    from builder.render.plan import Plan
    from builder.report import Reporter

NAME = "running.json"
_SEEDED = ("cluster", "endpoint", "kubernetes", "cni", "registry", "keeper", "documents")
"""What of the cluster its seeds decide; the lock's digest alone is nothing to be changed."""
_OF_NODES = ("InitConfiguration", "JoinConfiguration")
_NODE = "nodeRegistration"
_FORMS = {"apiVersion", "kind"}
_MADE = {"name", "criSocket"}
"""Of a node's registration: what has a place of its own in the record."""
_PAIR = {"name", "value"}


def read(folder: Path) -> Running | None:
    """Return what runs, or None where nothing was recorded.

    Raise DocumentError for a record that is damaged, StorageError for one that can't be read.
    """
    content = owners.read_own(folder / NAME, running_format.LARGEST)
    return running_format.read(content, str(folder / NAME)) if content is not None else None


def write(folder: Path, running: Running) -> None:
    """Write it where it differs. Raise StorageError."""
    content = running_format.write(running)
    owners.put_changed(folder / NAME, content, largest=running_format.LARGEST)


def seeded(
    folder: Path, plan: Plan, names: Collection[str], *, not_booted: bool, reporter: Reporter
) -> None:
    """Record what nodes are seeded with.

    Raise as :func:`read` and :func:`write`, and UsageError where a second cluster would begin.
    """
    before, now = None if not_booted else read(folder), state(plan)
    known = before.by_name if before else {}
    nodes = {**known}
    for node in now.nodes:
        earlier = known.get(node.name)
        if node.name in names and (earlier is None or earlier.generation != node.generation):
            nodes[node.name] = node
    anew = [name for name in known if known[name].generation < nodes[name].generation]
    early = [n.name for n in nodes.values() if n.name not in known] if before else []
    if plan.first.name in early and any(one.name in known for one in now.control_planes):
        raise UsageError(
            f"{plan.first.name} would begin a new cluster: it is the first control plane in "
            "cluster.yaml, and another one runs",
            where=f"nodes.{plan.first.name}",
            hint="list a control plane that runs before it, so that it joins; if none has booted "
            "yet: `airseed seeds --not-booted`",
        )
    order = [node.name for node in now.nodes if node.name in nodes]
    ordered = {name: nodes.pop(name) for name in order} | nodes
    kept = any(ordered[name] is known[name] for name in known)
    runs = replace(before if before and kept else now, nodes=tuple(ordered.values()))
    write(folder, runs)
    if runs.authority not in {"", now.authority}:
        reporter.warn(
            "the authority in secrets/ is not that of the cluster that runs: no machine can join "
            "it by these seeds",
            hint="put the secrets back with which the machines were seeded; if none has booted "
            "yet: `airseed seeds --not-booted`",
        )
    if anew and kept:
        reporter.warn(
            f"no change took the earlier {', '.join(anew)} out of the cluster",
            hint="if that was not done by hand: put `generation` back, `airseed seeds`, raise it "
            "again, and run what `airseed changes` says before these seeds are made",
        )
    if strangers := unheard(runs, early):
        reporter.warn(
            f"the machines that run do not know {', '.join(strangers)} as control planes behind "
            f"{runs.endpoint}, which they keep up",
            hint="apply that change first (`airseed changes`), then start these",
        )
    if early and before and kept and before.kubernetes != now.kubernetes:
        reporter.warn(
            f"{', '.join(early)} would join with Kubernetes {now.kubernetes}, and "
            f"{before.kubernetes} runs",
            hint="apply the change first (`airseed changes`), then write these seeds",
        )
    elif before and kept and not early and _differ(runs, now):
        reporter.warn(
            "what is recorded to run stays as it was: a machine that has booted ignores another "
            "seed",
            hint="`airseed changes` says what is to be done; if no machine has booted yet: "
            "`airseed seeds --not-booted`",
        )


def _differ(runs: Running, now: Running) -> bool:
    """Tell whether nodes that have a seed are to be otherwise than recorded."""
    seeded = tuple(node for node in now.nodes if node.name in runs.by_name)
    now = replace(runs, **{name: getattr(now, name) for name in _SEEDED}, nodes=seeded)
    return running_format.write(now) != running_format.write(runs)


def unheard(runs: Running, names: Collection[str]) -> list[str]:
    """Return which new control planes would carry the endpoint without the others knowing."""
    known = runs.keeper.get("planes", ())
    if not known:
        return []
    new = (node for node in runs.control_planes if node.name in names)
    return [node.name for node in new if not {*node.addresses} & {*known}]


def state(plan: Plan) -> Running:
    """Return what runs where all is as the plan has it."""
    cluster, choice, secrets = plan.cluster, plan.choice, plan.secrets
    documents = {str(one["kind"]): one for one in kubeadm.documents(plan, plan.first)}
    return Running(
        cluster=cluster.name,
        authority=secrets.authority.digest if secrets.authority else "",
        endpoint=str(plan.endpoint or ""),
        kubernetes=str(choice.kubernetes.version),
        cni=choice.cni,
        registry=str(cluster.registry or ""),
        sums=str(plan.sums),
        keeper=_keeper(plan),
        documents={kind: _plain(documents[kind]) for kind in CLUSTER_WIDE},
        nodes=tuple(_node(plan, node) for node in cluster.nodes),
    )


def _keeper(plan: Plan) -> dict[str, Any]:
    """Return what machines have to know of it to keep the endpoint up."""
    endpoint, keeper = plan.cluster.endpoint, plan.choice.keeper
    if endpoint is None or keeper is None:
        return {}
    planes = [str(node.address) for node in plan.cluster.control_planes if node.address]
    said = {
        "by": endpoint.by,
        "interface": endpoint.interface,
        "image": str(keeper.image or ""),
        "planes": planes,
    }
    return {key: value for key, value in said.items() if value}


def _node(plan: Plan, node: Node) -> NodeState:
    documents = {one["kind"]: one for one in kubeadm.documents(plan, node)}
    (own,) = (documents[kind] for kind in _OF_NODES if kind in documents)
    registration = {k: v for k, v in _plain(own[_NODE]).items() if k not in _MADE}
    usual = plan.choice.kubernetes.of.taints
    if [taint.get("key") for taint in registration.get("taints") or ()] == [*usual]:
        del registration["taints"]  # kubeadm's own, which another release has otherwise
    runtime = plan.choice.runtime
    return NodeState(
        name=node.name,
        role=node.role,
        addresses=tuple(str(address.ip) for address in node.addresses),
        generation=node.generation,
        kubernetes=str(plan.choice.kubernetes.version),
        runtime=f"{runtime.name} {runtime.version}",
        registration=registration,
        machine=plan.once(("machine", node.role, node.machine), partial(_digest, plan, node)),
    )


def _digest(plan: Plan, node: Node) -> str:
    """Return a digest of all that is said of a machine; the value itself may have secrets."""
    machine = plan.cluster.machine_of(node)
    sources = {machine.registry.ca, *(file.source for file in machine.files)}
    files = {name: Digest.of(plan.files[name]).hex for name in sources if name is not None}
    usual = asdict(NOTHING_SAID)
    said = {key: value for key, value in asdict(machine).items() if value != usual[key]}
    text = json.dumps([said, files], sort_keys=True, default=str)
    return str(Digest.of(text.encode()))


def _plain(value: Any) -> Any:
    """Return a document as every version of its API says it: arguments as a mapping."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _FORMS}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, dict) and item.keys() == _PAIR for item in value):
            return {item["name"]: item["value"] for item in value}
        return [_plain(item) for item in value]
    return value
