"""What ``kubeadm init`` reads on the first node: its own document and those of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.model.cluster import API_PORT, SKIP_PHASES
from builder.model.image_names import ImageNames
from builder.render.kubeadm import arguments, eviction
from builder.render.kubeadm.join import local_endpoint
from builder.render.kubeadm.overlay import overlaid
from builder.render.kubeadm.registration import register, registration

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

CGROUP_DRIVER = "systemd"
"""Of kubelet and of the runtime, which must have the same; cluster.yaml may not say another."""
_CERTIFICATES = "/etc/kubernetes/pki"
_GROUP = "system:bootstrappers:kubeadm:default-node-token"
"""Only this group may read the uploaded certificates."""
_NEVER = 100
"""Percent of a full disk at which images are collected: none of them could be pulled again."""


def start(plan: Plan, node: Node) -> tuple[dict[str, Any], ...]:
    """Return the documents of the first node, in the order in which kubeadm's makers show them."""
    configuration = plan.choice.kubernetes.configuration
    overrides = plan.cluster.kubeadm_of(node)
    made = {
        "InitConfiguration": _init(plan, node),
        "ClusterConfiguration": _cluster(plan),
        "KubeProxyConfiguration": {"clusterCIDR": ",".join(map(str, plan.cluster.network.pods))},
        "KubeletConfiguration": _kubelet(plan),
    }
    documents = tuple(
        overlaid(
            {"apiVersion": configuration.api(kind), "kind": kind, **made}, overrides, configuration
        )
        for kind, made in made.items()
    )
    documents[0].pop(SKIP_PHASES, None)
    register(documents[0], plan, node)
    if plan.cluster.network.dual and plan.choice.kubernetes.of.dual_stack.gate:
        _open(plan.choice.kubernetes.of.dual_stack.gate, documents, plan)
    return documents


def _init(plan: Plan, node: Node) -> dict[str, Any]:
    name = registration(plan.choice, node)
    taints = plan.choice.kubernetes.of.taints
    if node.taints is None and taints:
        name["taints"] = [{"effect": "NoSchedule", "key": key} for key in taints]
    return {
        "bootstrapTokens": [
            {
                "token": plan.secrets.token,
                "ttl": f"{plan.cluster.seed.window}h0m0s",
                "usages": ["signing", "authentication"],
                "groups": [_GROUP],
            }
        ],
        "certificateKey": plan.secrets.certificate_key,
        "localAPIEndpoint": local_endpoint(node),
        "nodeRegistration": name,
    }


def _cluster(plan: Plan) -> dict[str, Any]:
    cluster = plan.cluster
    names = ImageNames(cluster.registry).kubeadm(plan.choice.kubernetes.images)
    fields: dict[str, Any] = {
        "clusterName": cluster.name,
        "etcd": {"local": names.etcd},
        "networking": {
            "dnsDomain": cluster.network.domain,
            "serviceSubnet": ",".join(map(str, cluster.network.services)),
            "podSubnet": ",".join(map(str, cluster.network.pods)),
        },
        "kubernetesVersion": f"v{cluster.kubernetes}",
        "certificatesDir": _CERTIFICATES,
        "imageRepository": names.repository,
    }
    if cluster.endpoint:
        usual = cluster.endpoint.port == API_PORT
        fields["controlPlaneEndpoint"] = cluster.endpoint.host if usual else str(cluster.endpoint)
    if names.dns:
        fields["dns"] = names.dns
    return fields


def _kubelet(plan: Plan) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "clusterDNS": [str(plan.cluster.network.dns)],
        "cgroupDriver": CGROUP_DRIVER,
    }
    if plan.cluster.registry is None:
        fields["imageGCHighThresholdPercent"] = _NEVER
        fields["evictionHard"] = eviction.limits(plan)
    return fields


def _open(gate: str, documents: tuple[dict[str, Any], ...], plan: Plan) -> None:
    """Open the gate of dual-stack everywhere; kubeadm does so only where nobody sets gates."""
    _, cluster, proxy, kubelet = documents
    for document in (cluster, proxy, kubelet):
        document["featureGates"] = {gate: True, **(document.get("featureGates") or {})}
    for component in ("apiServer", "controllerManager", "scheduler"):
        path = (component, "extraArgs")
        arguments.open_gate(cluster, path, gate, plan.choice.kubernetes.configuration)
