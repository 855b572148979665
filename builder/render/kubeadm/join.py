"""JoinConfiguration: what ``kubeadm join`` reads on every node but the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.model.cluster import API_PORT, SKIP_PHASES
from builder.render.kubeadm.overlay import overlaid
from builder.render.kubeadm.registration import register, registration

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Part, Plan

_KIND = "JoinConfiguration"
_PATIENCE = "5m0s"
"""How long a node waits for the first one; kubeadm's own default, written out."""


def join(plan: Plan, node: Node, part: Part) -> dict[str, Any]:
    configuration = plan.choice.kubernetes.configuration
    document: dict[str, Any] = {
        "apiVersion": configuration.api(_KIND),
        "kind": _KIND,
        "discovery": {"bootstrapToken": _token(plan)},
    }
    if configuration.at(_KIND, "discovery", "timeout"):
        document["discovery"]["timeout"] = _PATIENCE
    else:
        document["timeouts"] = {"discovery": _PATIENCE}
    if part == "control-plane":
        document["controlPlane"] = {
            "localAPIEndpoint": local_endpoint(node),
            "certificateKey": plan.secrets.certificate_key,
        }
    document["nodeRegistration"] = registration(plan.choice, node)
    document = overlaid(document, plan.cluster.kubeadm_of(node), configuration)
    document.pop(SKIP_PHASES, None)
    register(document, plan, node)
    return document


def local_endpoint(node: Node) -> dict[str, Any]:
    """Return where the API server of a node listens; a node without an address finds its own."""
    address = {"advertiseAddress": str(node.address)} if node.address else {}
    return {**address, "bindPort": API_PORT}


def _token(plan: Plan) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "apiServerEndpoint": str(plan.endpoint),
        "token": plan.secrets.token,
    }
    if plan.secrets.authority:
        fields["caCertHashes"] = [plan.secrets.authority.digest]
    else:  # the CA is not made yet; the token alone says that this is our cluster
        fields["unsafeSkipCAVerification"] = True
    return fields
