"""What kubeadm reads on a node that runs: the cluster's documents, and the node's own part of them.

It is InitConfiguration on every node, however it came in, since kubeadm's phases read no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.kubeadm.join import join, local_endpoint
from builder.render.kubeadm.start import start

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

_TOKENS, _KEY = "bootstrapTokens", "certificateKey"
_SHARED = ("nodeRegistration", "patches")
"""What a node that joins says in the same words as one that starts a cluster."""


def running(plan: Plan, node: Node, *, admits: bool, host: str) -> tuple[dict[str, Any], ...]:
    """Return the documents; where it ``admits`` others they have the token, else no secret.

    A ``host`` is one more name of the API server, for the certificate.
    """
    first, *others = plan.once("running", lambda: start(plan, plan.first))
    own = {key: value for key, value in first.items() if key not in {_TOKENS, _KEY}}
    if plan.part(node) != "init":
        joined = join(plan, node, plan.part(node))
        endpoint = joined.get("controlPlane", {}).get("localAPIEndpoint")
        own = {key: own[key] for key in ("apiVersion", "kind")}
        own["localAPIEndpoint"] = endpoint or local_endpoint(node)
        own |= {key: joined[key] for key in _SHARED if key in joined}
    if admits:
        own[_TOKENS] = first[_TOKENS]
    cluster, *rest = others
    if host:
        server = cluster.get("apiServer") or {}
        names = dict.fromkeys((*(server.get("certSANs") or ()), host))
        cluster = {**cluster, "apiServer": {**server, "certSANs": [*names]}}
    return own, cluster, *rest
