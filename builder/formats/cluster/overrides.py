"""Where cluster.yaml has raw kubeadm documents, and whether anybody reads them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.formats.reading import WRONG, child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster, Node, Overrides

_JOIN = "JoinConfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One ``kubeadm:`` key, and whose documents it changes."""

    path: str
    overrides: Overrides
    starts: bool
    """Whether it reaches the first node."""
    joins: frozenset[str]
    """The roles of the joining nodes that it reaches."""
    whose: str


def overrides(cluster: Cluster) -> Iterator[Override]:
    joins = frozenset({"control-plane", "worker"})
    yield Override(
        path="kubeadm", overrides=cluster.kubeadm, starts=True, joins=joins, whose="the cluster"
    )
    for role, settings in () if cluster.roles is WRONG else cluster.roles.items():
        yield Override(
            path=f"roles.{role}.kubeadm",
            overrides=settings.kubeadm,
            starts=role == "control-plane",
            joins=frozenset({role}),
            whose=f"each {role}",
        )
    first: Node | None = None
    for index, node in enumerate(cluster.nodes):
        if node is WRONG or node.role is WRONG:
            return  # nobody knows who the first one is
        if first is None and node.role == "control-plane":
            first = node
        if node.kubeadm:
            yield Override(
                path=f"nodes[{index}].kubeadm",
                overrides=node.kubeadm,
                starts=node is first,
                joins=frozenset() if node is first else frozenset({node.role}),
                whose=str(node.name),
            )


def is_read(
    override: Override, name: str, document: Mapping[str, Any], path: str, reading: Reading
) -> bool:
    """Refuse a document that nobody reads, and a control plane's part in a worker's."""
    if name != _JOIN:
        if not override.starts:
            reading.wrong(
                path,
                f"{override.whose} joins the cluster and does not read {name}",
                expected=_JOIN,
                hint=f"write it as kubeadm.{name}, outside nodes and roles",
            )
        return override.starts
    if not override.joins:
        what = f"{override.whose} starts the cluster and does not read {name}"
        reading.wrong(path, what, expected="InitConfiguration")
        return False
    if "controlPlane" in document and "worker" in override.joins:
        reading.wrong(
            child(path, "controlPlane"),
            "would turn every worker into a control plane",
            hint="write it under roles.control-plane.kubeadm",
        )
    return True
