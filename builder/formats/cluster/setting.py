"""One value of a raw kubeadm document, and where programs' arguments stand in such documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.reading import Reading
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster

ARGUMENT_PLACES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "kube-apiserver": (("ClusterConfiguration", ("apiServer", "extraArgs")),),
    "kube-controller-manager": (("ClusterConfiguration", ("controllerManager", "extraArgs")),),
    "kube-scheduler": (("ClusterConfiguration", ("scheduler", "extraArgs")),),
    "kubelet": (
        ("InitConfiguration", ("nodeRegistration", "kubeletExtraArgs")),
        ("JoinConfiguration", ("nodeRegistration", "kubeletExtraArgs")),
    ),
    "etcd": (("ClusterConfiguration", ("etcd", "local", "extraArgs")),),
}
"""Where ``kubeadm:`` has a program's arguments: kinds of documents, each with a place in it."""


def argument_of(field: str) -> str:
    """Return the argument that says what a field of a program's own document says."""
    return re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", field.replace(".", "-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    value: Any
    path: str
    cluster: Cluster
    release: KubernetesRelease
    reading: Reading

    @property
    def words(self) -> list[str]:
        """Return what stands between commas, as arguments have several values."""
        return [word.strip() for word in str(self.value).split(",")]

    @property
    def entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the entries of a list, each with its place in it; none of anything else."""
        for number, entry in enumerate(self.value if isinstance(self.value, list) else ()):
            yield f"[{number}]", entry

    def wrong(
        self, what: str, *, at: str = "", expected: str | None = None, hint: str | None = None
    ) -> None:
        """Write a fault down, of the value or of what is ``at`` a place in it."""
        self.reading.wrong(f"{self.path}{at}", what, expected=expected, hint=hint)
