"""What runs a change on many machines: an Ansible playbook, its inventory, and a README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.engine import dumped, render, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.change import Change
    from builder.render.plan import Plan

_TEMPLATES = "changes"
_PAYLOAD = {"packages", "images"}
"""Steps that take something of the bundle."""


def playbook(change: Change) -> str:
    """Return the playbook; it asks for no Python on the machines."""
    return render(f"{_TEMPLATES}/playbook.yaml.j2", {"id": change.id})


def inventory(change: Change, addresses: Mapping[str, str]) -> str:
    """Return the machines that take part, in the order of their turns."""
    hosts: dict[str, Any] = {
        name: {"ansible_host": addresses[name]} if addresses.get(name) else {}
        for name in change.nodes
    }
    return dumped({"all": {"children": {"change": {"hosts": hosts}}}})


def readme(change: Change, plan: Plan, addresses: Mapping[str, str], document: str) -> str:
    """Return what the change is, and how it is run by hand; ``document`` is cluster.yaml's name."""
    planes = {node.name for node in change.after.control_planes}
    stages = [
        {
            "what": stage.what,
            "reason": stage.reason,
            "turns": [
                (turn.number, turn.node, turn.disturbance)
                for turn in stage.turns(planes, change.at_once)
            ],
        }
        for stage in change.stages
    ]
    return render(
        f"{_TEMPLATES}/README.md.j2",
        {
            "id": change.id,
            "cluster": plan.cluster.name,
            "document": document,
            "addresses": addresses,
            "leavers": " or ".join(
                n for s in change.stages for n, new in s.becomes.items() if not new
            ),
            "payload": _payload(change, plan),
            "sums": plan.sums.hex,
            "stages": stages,
            "first": change.nodes[0],
            "snapshot": change.stages[0].values.get("SNAPSHOT", ""),
        },
    )


def _payload(change: Change, plan: Plan) -> str:
    """Say how machines reach the bundle, if any stage takes something of it."""
    steps = (
        line for stage in change.stages for line in source(f"node/plans/{stage.plan}").splitlines()
    )
    if _PAYLOAD.isdisjoint(steps):
        return ""
    url, registry = plan.cluster.seed.url, plan.cluster.registry
    bundle = f"at {url}" if url else "as a read-only disk"
    return f"{bundle}, and from the registry {registry}" if registry else bundle
