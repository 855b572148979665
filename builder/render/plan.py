"""The plan: everything that rendering one cluster's seeds needs, and who plays which part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from builder.model.cluster import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from builder.model.choice import Choice
    from builder.model.cluster import Cluster, Node
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.machine import MachineFile
    from builder.model.secrets import Secrets

T = TypeVar("T")
Part = Literal["init", "control-plane", "worker"]
"""What a node does at first boot: start the cluster, or join it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One cluster, its lock and its secrets, ready to be rendered."""

    cluster: Cluster
    choice: Choice
    lock: Lock
    secrets: Secrets
    sums: Digest
    """Of the bundle's SHA256SUMS; what the node checks its payload against."""
    made_bytes: int
    """The largest file that the bundle makes itself; the lock knows the sizes of all others."""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Contents of the local files that cluster.yaml names, by the path that stands there."""
    edits: str = ""
    """What makes the bundle's manifests name images as nodes have them."""
    edited: Mapping[MachineFile, bytes] = field(default_factory=dict, repr=False)
    """The contents of machines' files that are manifests and had to be edited likewise."""
    made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False, init=False)
    """What :meth:`once` has made already."""

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """Make what many nodes share the first time only; ``what`` names it.

        The names must not grow with the number of nodes, or memory does.
        """
        if what not in self.made:
            self.made[what] = make()
        value: T = self.made[what]
        return value

    @property
    def first(self) -> Node:
        """Return the node on which kubeadm init runs."""
        return self.once("first", lambda: self.cluster.control_planes[0])

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the API is reached; without an endpoint that is the one control plane's address."""
        address = self.first.address
        return self.cluster.endpoint or (Endpoint(host=str(address)) if address else None)

    def part(self, node: Node) -> Part:
        if node.name == self.first.name:
            return "init"
        return "control-plane" if node.role == "control-plane" else "worker"
