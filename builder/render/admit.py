"""The script that lets a late node into a cluster that is up already.

At first boot everybody joins by the token that the first node made. When the window is closed, or
token and certificate key were rotated, this script tells the cluster of the node's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.render.engine import quoted, source
from builder.render.kubeadm import documents

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

NAME = "admit.sh"
_SOURCE = "actions/admit.sh"


def script(plan: Plan, node: Node) -> str | None:
    """Return the script of a node, which has its secrets, or None for the first one."""
    part = plan.part(node)
    if part == "init":
        return None
    values = {
        "NODE": node.name,
        "ROLE": part,
        "KUBERNETES": str(plan.cluster.kubernetes),
        "API": documents(plan, node)[0]["apiVersion"],
        "HOURS": str(plan.cluster.seed.window),
        "TOKEN": plan.secrets.token,
        "CERTIFICATE_KEY": plan.secrets.certificate_key if part == "control-plane" else "",
    }
    head = "".join(f"{name}={quoted(value)}\n" for name, value in values.items())
    return f"#!/bin/bash\n{head}{plan.once(NAME, lambda: source(_SOURCE))}"
