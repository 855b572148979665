"""An Ansible inventory of the cluster, for whatever is done with its machines later on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.engine import dumped

if TYPE_CHECKING:
    from builder.model.cluster import Cluster, Node


def render(cluster: Cluster) -> str:
    """Return the inventory as YAML; nodes stand in the order of cluster.yaml.

    Groups: ``control_plane``, ``worker``, and ``first``, the node that starts the cluster.
    """
    planes = cluster.control_planes
    groups = {"first": planes[:1], "control_plane": planes, "worker": cluster.workers}
    shared = {
        "airseed_cluster": cluster.name,
        "airseed_kubernetes": str(cluster.kubernetes),
        **({"airseed_endpoint": str(cluster.endpoint)} if cluster.endpoint else {}),
    }
    document = {
        "all": {
            "hosts": {node.name: _host(node) for node in cluster.nodes},
            "vars": shared,
            "children": {
                name: {"hosts": {node.name: {} for node in nodes}} for name, nodes in groups.items()
            },
        }
    }
    return dumped(document)


def _host(node: Node) -> dict[str, Any]:
    addresses = [str(address.ip) for address in node.addresses]
    return {
        **({"ansible_host": addresses[0], "airseed_addresses": addresses} if addresses else {}),
        "airseed_generation": node.generation,
    }
