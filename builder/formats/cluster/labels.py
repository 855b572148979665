"""Which labels a node may give itself: kubelet does not start with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KUBELET_OWN = {
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
}
_KUBELET_MAY = {
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
}
"""Labels below kubernetes.io that kubelet may set; it does not start with any other."""
_KUBELET_SPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")


def label_misfit(key: str) -> tuple[str, str] | None:
    """Say why kubelet refuses a label, and what to do instead; None when it takes it."""
    space = key.rpartition("/")[0]
    if key in _KUBELET_OWN:
        return f"kubelet sets {key} itself", "leave it out"
    if space == "node-role.kubernetes.io":
        return (
            "kubelet may not give itself a role",
            "use role: control-plane, or a label with a prefix of your own",
        )
    if (
        _below(space, ("kubernetes.io", "k8s.io"))
        and not _below(space, _KUBELET_SPACES)
        and key not in _KUBELET_MAY
    ):
        return (
            f"{space} is Kubernetes' own: kubelet would not start",
            "take a prefix of your own, like example.com/",
        )
    return None


def _below(space: str, parents: Iterable[str]) -> bool:
    return any(space == parent or space.endswith(f".{parent}") for parent in parents)
