"""The seed of one node: what its cloud-init finds at first boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.render.cloudinit import network, size, userdata
from builder.render.engine import dumped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.cluster import Node
    from builder.render.plan import Plan

USER_DATA = "user-data"
META_DATA = "meta-data"
NETWORK_CONFIG = "network-config"
FILES = (USER_DATA, META_DATA, NETWORK_CONFIG)
"""All that a seed may have; the last one is not always there."""


def seed(plan: Plan, node: Node) -> Mapping[str, bytes]:
    """Render the documents of one node by name: user-data, meta-data and maybe network-config.

    There is no network-config where cluster.yaml says nothing about the node's card. User-data
    has secrets in it. Raise AirseedError where it is larger than its provider takes.
    """
    machine = plan.cluster.machine_of(node)
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
    configuration = network.written(node, machine.network)
    if configuration is not None:
        documents[NETWORK_CONFIG] = configuration.encode("ascii")
    return documents
