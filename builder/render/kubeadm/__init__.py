"""kubeadm's documents of one node, for the API version that its release reads.

What is generated here is as little as is needed; the raw documents of cluster.yaml are laid over
it (:mod:`builder.render.kubeadm.overlay`). Their fields were checked when cluster.yaml was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.kubeadm.join import join
from builder.render.kubeadm.start import start
from builder.render.kubeadm.text import written

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

__all__ = ["documents", "text"]


def documents(plan: Plan, node: Node) -> tuple[dict[str, Any], ...]:
    """Return the documents that ``kubeadm init`` or ``kubeadm join`` reads on a node.

    The first node has those of the whole cluster, any other one JoinConfiguration. They hold
    secrets.
    """
    part = plan.part(node)
    return start(plan, node) if part == "init" else (join(plan, node, part),)


def text(plan: Plan, node: Node) -> str:
    """Return the documents of a node as one YAML file; it is as secret as they are."""
    return written(documents(plan, node))
