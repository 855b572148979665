"""The seed of one node: what its cloud-init finds at first boot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import DocumentError
from builder.render.cloudinit import network, size, userdata
from builder.render.engine import dumped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.errors import Fault
    from builder.model.cluster import Node
    from builder.model.machine import Machine
    from builder.render.plan import Plan

USER_DATA = "user-data"
META_DATA = "meta-data"
NETWORK_CONFIG = "network-config"
FILES = (USER_DATA, META_DATA, NETWORK_CONFIG)
"""All that a seed may have; the last one is not always there."""
_CLUSTER = "cluster.yaml"


def seed(plan: Plan, node: Node) -> Mapping[str, bytes]:
    """Render the documents of one node by name: user-data, meta-data and maybe network-config.

    There is no network-config where cluster.yaml says nothing about the node's card. User-data
    has secrets in it. Raise DocumentError with every fault in what cluster.yaml says of the
    machine, AirseedError where user-data is larger than its provider takes.
    """
    machine = plan.cluster.machine_of(node)
    faults = list(faults_of(plan, node, machine))
    if faults:
        raise DocumentError(_CLUSTER, faults)
    data = userdata.user_data(plan, node, machine)
    where = f"{USER_DATA} of {node.name}"
    documents = {
        USER_DATA: size.fitted(data, plan.choice.limit, where=where),
        # cloud-init starts over when instance-id changes, and at nothing else
        META_DATA: dumped(
            {
                "instance-id": f"{plan.cluster.name}-{node.name}-{node.generation}",
                "local-hostname": node.name,
            }
        ).encode("ascii"),
    }
    card = network.card(node, machine.network)
    if card is not None:
        documents[NETWORK_CONFIG] = network.written(card).encode("ascii")
    return documents


def faults_of(plan: Plan, node: Node, machine: Machine) -> Iterator[Fault]:
    """Yield what cannot be rendered of what cluster.yaml says about a machine."""
    for fault in network.faults(node, machine.network, plan.choice.cloud_init):
        path = f"nodes[{plan.cluster.nodes.index(node)}]"
        yield replace(fault, where=f"{path}.{fault.where}")
