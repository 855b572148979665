"""What runs, and what of it a change makes otherwise: values of ``airseed changes``.

What runs (:class:`Running`) is made from a cluster as it is seeded, and what is wanted is the same,
made from cluster.yaml as it is now; so every difference between the two has a path and two values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from builder.errors import Fault
    from builder.model.cluster import Role

FORMAT = 1
BUNDLE = "bundle"
"""Where another bundle is told of."""
CLUSTER_WIDE = ("ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration")
"""kubeadm's documents that are about all nodes."""
_SAID = {"documents": "kubeadm", "keeper": "endpoint", "sums": BUNDLE}
_NOTHING = (None, "")
"""What says nothing; false, 0 and an empty list say something."""
_OF_NODE = 2
"""How long a path to a node is."""
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """Hold what one machine is, by its seed or by the last change that it went through."""

    name: str
    role: Role
    addresses: tuple[str, ...] = ()
    generation: int = 1
    kubernetes: str
    runtime: str
    """Name and version: ``docker 19.03.9``."""
    registration: Document = field(default_factory=dict, hash=False)
    """What kubeadm's documents say of this node alone."""
    machine: str = ""
    """The digest of all that cluster.yaml says of the machine beside Kubernetes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Hold what is known of a cluster that runs; nothing in it is secret."""

    cluster: str
    authority: str
    """The digest of its authority's public key; empty where the first node makes that."""
    endpoint: str
    kubernetes: str
    cni: str
    registry: str
    sums: str
    """The digest of the bundle's SHA256SUMS."""
    keeper: Document = field(default_factory=dict, hash=False)
    """What keeps the endpoint up where machines do: ``by``, and for whom."""
    documents: Mapping[str, Document] = field(default_factory=dict, hash=False)
    """kubeadm's documents of the whole cluster, by kind, as :func:`builder.render` makes them."""
    applied: tuple[str, ...] = ()
    """The ids of the changes that it went through."""
    written: str = ""
    """The id of the last change that was written for it: its number is never given again."""
    nodes: tuple[NodeState, ...]

    @property
    def by_name(self) -> dict[str, NodeState]:
        return {node.name: node for node in self.nodes}

    @property
    def control_planes(self) -> tuple[NodeState, ...]:
        return tuple(node for node in self.nodes if node.role == "control-plane")

    @property
    def workers(self) -> tuple[NodeState, ...]:
        return tuple(node for node in self.nodes if node.role == "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Hold one value that is not what runs; None is one that is not there."""

    path: tuple[str, ...]
    """Through :class:`Running`: ``documents ClusterConfiguration apiServer certSANs``."""
    before: Any = None
    after: Any = None

    @property
    def where(self) -> str:
        """Return the place in words of cluster.yaml."""
        first, *below = self.path
        return ".".join((_SAID.get(first, first), *below))


class Turn(NamedTuple):
    number: int
    node: str
    role: Role
    disturbance: str
    """What is expected to be felt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Hold one plan of the nodes' runner, as all that take part in it run it."""

    plan: str
    """Its file in ``cloudinit-templates/node/plans``."""
    nodes: tuple[str, ...]
    """Who takes part, in the order of their turns: control planes first."""
    what: str
    """In a table: ``Kubernetes 1.18.5 -> 1.19.5``."""
    reason: str
    words: str
    """For the change's id: ``upgrade-1.19.5``."""
    disturbance: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is expected to be felt, by role."""
    own_disturbance: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is felt of single nodes, by name, over that of their role."""
    values: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of its env file, beside those of ``node.env`` and those that every stage has."""
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """Values of single nodes, by name, over the others."""
    plans: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Plans of single nodes that run another one."""
    renamed: Mapping[str, str] = field(default_factory=dict, hash=False)
    """New names by the old ones, under which machines still take part."""
    anew: bool = False
    """Whether machines join by a token and certificates of this change, also such as were lost."""
    after: Running
    """What runs when it is done."""

    @property
    def reporting(self) -> tuple[str, ...]:
        """Return who says in the end that it is through: not who leaves, and new names."""
        known = self.after.by_name
        names = (self.renamed.get(name, name) for name in self.nodes)
        return tuple(name for name in names if name in known)

    @property
    def becomes(self) -> dict[str, str]:
        """Return new names by the old ones; none for who leaves."""
        known = self.after.by_name
        return {name: self.renamed.get(name, "") for name in self.nodes if name not in known}

    def plan_of(self, name: str) -> str:
        return self.plans.get(name, self.plan)

    def turns(self, planes: Collection[str], at_once: int) -> Iterator[Turn]:
        """Yield the turns of all who take part: control planes have one each."""
        first = [name for name in self.nodes if name in planes]
        others = [name for name in self.nodes if name not in planes]
        for number, name in enumerate(first, 1):
            yield Turn(number, name, "control-plane", self._felt(name, "control-plane"))
        for place, name in enumerate(others):
            number = len(first) + 1 + place // at_once
            yield Turn(number, name, "worker", self._felt(name, "worker"))

    def _felt(self, name: str, role: Role) -> str:
        return self.own_disturbance.get(name) or self.disturbance.get(role, "nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Hold stages that are gone through as one, by an id that no other change of the cluster has.

    The digest is over all that decides what the machines do, so two changes of one name that are
    not the same are told apart.
    """

    id: str
    digest: str
    stages: tuple[Stage, ...]
    at_once: int = 1
    asked: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The options that it was asked for by, beside cluster.yaml."""

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.nodes))

    @property
    def after(self) -> Running:
        return self.stages[-1].after


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Hold what one kind of change, or all of them, have to say."""

    stages: tuple[Stage, ...] = ()
    faults: tuple[Fault, ...] = ()
    """Why it can't be done; nothing is written then."""
    remarks: tuple[Fault, ...] = ()
    """What differs and is no change of a machine that runs."""


def differences(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Yield where two states differ.

    Mappings are gone through, also where one side has none; a node that comes or goes is one
    value, as anything else is.
    """
    sides = [{} if value is None and len(path) != _OF_NODE else value for value in (before, after)]
    if all(isinstance(side, Mapping) for side in sides):
        for key in dict.fromkeys(name for side in sides for name in side):
            yield from differences(sides[0].get(key), sides[1].get(key), (*path, key))
    elif before != after and not (before in _NOTHING and after in _NOTHING):
        yield Difference(path=path, before=before, after=after)
