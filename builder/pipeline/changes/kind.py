"""What every kind of change is given: what runs, what is wanted, and how to render between both.

A module of this folder is one kind. It has ``TAKES``, patterns of the differences that it deals
with, and ``changes(running, wanted)``, which returns the stages that lead from what runs to what is
wanted, and why they can't be gone. Kinds are asked in order, each about what the one before leaves.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from builder.model.change import Difference, NodeState, Running, differences
from builder.model.cluster import Runtime
from builder.model.version import Version
from builder.pipeline import rendering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.pipeline.workspace import Workspace
    from builder.render.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold what is asked for on the command line, beside what cluster.yaml says."""

    keep_docker: bool = False
    """Whether docker stays on machines that leave it."""
    renew: int | None = None
    """Renew certificates that end within so many days."""
    restore: Path | None = None
    """A snapshot from which the whole cluster begins again."""

    @property
    def asked(self) -> dict[str, Any]:
        """Return what a change has to be asked for by again, until it is through."""
        said: dict[str, Any] = {"keepDocker": True} if self.keep_docker else {}
        return said if self.renew is None else {**said, "renew": self.renew}

    def filled(self, asked: Mapping[str, Any]) -> Options:
        """Return these, and what was asked for before where they say nothing."""
        renew = asked.get("renew") if self.renew is None else self.renew
        return replace(self, keep_docker=self.keep_docker or "keepDocker" in asked, renew=renew)


@dataclass(frozen=True, kw_only=True)
class WantedState:
    workspace: Workspace
    plan: Plan
    """As `airseed seeds` would render it."""
    state: Running
    """What would run then."""
    options: Options = field(default_factory=Options)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names in the order of turns: control planes, then workers, as cluster.yaml has them."""
        return tuple(n.name for n in (*self.state.control_planes, *self.state.workers))

    def turns(self, running: Running) -> tuple[str, ...]:
        """Return all who run, in the order of their turns; those that are to go come last."""
        names = [node.name for node in (*running.control_planes, *running.workers)]
        place = {name: number for number, name in enumerate(self.order)}
        planes = {node.name for node in running.control_planes}
        return tuple(sorted(names, key=lambda n: (n not in planes, place.get(n, len(place)))))

    def at(self, state: Running) -> Plan:
        """Return a plan that renders the releases of a state on the way."""
        plan = self.plan
        for hop in self.workspace.hops:
            if hop.release == state.kubernetes:
                plan = rendering.at_hop(self.workspace, plan, hop)
        catalog = self.workspace.catalog
        version = Version.parse(state.kubernetes)
        name, _, release = state.control_planes[0].runtime.partition(" ")
        kubernetes, runtime = catalog.kubernetes(version), catalog.runtime(name, release)
        choice = replace(plan.choice, kubernetes=kubernetes, runtime=runtime)
        said = Runtime(name=name, version=release)
        cluster = replace(plan.cluster, kubernetes=version, runtime=said)
        return replace(plan, cluster=cluster, choice=choice)


def flat(running: Running) -> dict[str, Any]:
    """Return a state as one mapping, nodes by name, so that it can be compared."""
    # without a keeper a state is what it was before there were any, as are digests of changes
    left = {"nodes", "applied", "written", *(() if running.keeper else ("keeper",))}
    fields = {name: getattr(running, name) for name in Running.__slots__ if name not in left}
    nodes = {
        node.name: {name: getattr(node, name) for name in NodeState.__slots__ if name != "name"}
        for node in running.nodes
    }
    return {**fields, "nodes": nodes}


def compare(running: Running, wanted: Running) -> tuple[Difference, ...]:
    """Return what differs; a certificate's names are the same in any order."""
    found = differences(flat(running), flat(wanted))
    return tuple(one for one in found if not _is_order(one))


def adopt(running: Running, wanted: Running, patterns: Iterable[str]) -> Running:
    """Return what runs once the differences that patterns are about are no more."""
    fields = deepcopy(flat(running))
    for one in compare(running, wanted):
        if taken(one, patterns):
            inner = fields
            for key in one.path[:-1]:
                inner = inner.setdefault(key, {})
            if one.after is None:
                del inner[one.path[-1]]
            else:
                inner[one.path[-1]] = one.after
    nodes = tuple(NodeState(name=name, **said) for name, said in fields.pop("nodes").items())
    return Running(**fields, applied=running.applied, nodes=nodes)


def taken(difference: Difference, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns is about a difference.

    ``*`` stands for anything in one part of a path, ``**`` at the end for all that is below.
    """
    return any(_fits(difference.path, pattern.split(".")) for pattern in patterns)


def _is_order(one: Difference) -> bool:
    names = (one.before, one.after)
    if not one.path[-1].endswith("SANs") or not all(isinstance(side, list) for side in names):
        return False
    return sorted(map(str, one.before)) == sorted(map(str, one.after))


def _fits(path: Sequence[str], parts: Sequence[str]) -> bool:
    if parts[-1] == "**":
        parts = parts[:-1]
        path = path[: len(parts)]
    return len(path) == len(parts) and all(map(fnmatchcase, path, parts))
