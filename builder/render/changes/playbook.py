"""What runs a change on many machines: an Ansible playbook, its inventory, and a README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.engine import dumped, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.change import Change

_TEMPLATES = "changes"


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


def readme(change: Change, cluster: str) -> str:
    """Return what the change is, and how it is run by hand."""
    planes = {node.name for node in change.after.control_planes}
    stages = [
        {
            "what": stage.what,
            "reason": stage.reason,
            "turns": [
                (turn, name, stage.disturbance.get(_role(name, planes), "nothing"))
                for turn, name in stage.turns(planes, change.at_once)
            ],
        }
        for stage in change.stages
    ]
    return render(
        f"{_TEMPLATES}/README.md.j2",
        {
            "id": change.id,
            "cluster": cluster,
            "stages": stages,
            "first": change.nodes[0],
            "snapshot": change.stages[0].values.get("SNAPSHOT", ""),
        },
    )


def _role(name: str, planes: set[str]) -> str:
    return "control-plane" if name in planes else "worker"
