"""``nodeRegistration``: what a node says of itself when it enters the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.kubeadm import arguments

if TYPE_CHECKING:
    from builder.model.choice import Choice
    from builder.model.cluster import Node, Taint
    from builder.render.plan import Plan

_ARGUMENTS = ("nodeRegistration", "kubeletExtraArgs")
_LABELS = "node-labels"
_NODE_IP = "node-ip"
_IPV6 = 6


def registration(choice: Choice, node: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": node.name}
    if node.taints is not None:
        fields["taints"] = [_taint(taint) for taint in node.taints]
    fields["criSocket"] = choice.kubernetes.runtime(choice.runtime.name).socket
    return fields


def register(document: dict[str, Any], plan: Plan, node: Node) -> None:
    """Add the arguments of kubelet that come from the node itself, after all overrides.

    Labels add up with those that a raw document gives. The address is given only where kubelet
    might not find it: left alone it takes one IPv4 address, that of its own name.
    """
    choice = plan.choice
    configuration = choice.kubernetes.configuration
    own: dict[str, str] = {}
    if node.labels:
        before = arguments.get(document, _ARGUMENTS, _LABELS) or ""
        labels = dict(pair.partition("=")[::2] for pair in before.split(",") if pair)
        own[_LABELS] = ",".join(f"{k}={v}" for k, v in {**labels, **node.labels}.items())
    addresses = [address.ip for address in node.addresses]
    several = bool(plan.cluster.machine_of(node).network.cards) or len(addresses) > 1
    needed = several or any(address.version == _IPV6 for address in addresses)
    if addresses and needed and arguments.get(document, _ARGUMENTS, _NODE_IP) is None:
        both = choice.kubernetes.of.dual_stack.node_ips == "both"
        own[_NODE_IP] = ",".join(str(ip) for ip in (addresses if both else addresses[:1]))
    if own:
        arguments.put(document, _ARGUMENTS, own, configuration)


def _taint(taint: Taint) -> dict[str, str]:
    value = {"value": taint.value} if taint.value else {}
    return {"effect": taint.effect, "key": taint.key, **value}
