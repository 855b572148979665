"""How the first boots of a cluster's machines stand, by what each posted last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from builder.model.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping


_OVERTAKEN = 10
"""Seconds by which a post that was overtaken may be older: machines give each five to arrive. What
is older than that was written after the machine's clock was set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a machine posted of itself, and when that came."""

    result: Result
    received: float
    """Seconds since 1970, by the clock of who heard it."""
    posted: Mapping[str, Any] = field(repr=False)
    """The members of its ``result.json`` that are kept."""

    def is_older_than(self, other: Heard) -> bool:
        """Tell whether the machine wrote it before the other, in the same run: posts overtake."""
        same = self.posted.get("started") == other.posted.get("started")
        behind = other.posted.get("updated", 0) - self.posted.get("updated", 0)
        return same and 0 < behind <= _OVERTAKEN

    def at(self, now: float) -> Result:
        """Return the result with ``since`` counted up to now where it still goes on."""
        if self.result.since is None or self.result.state not in {"running", "waiting"}:
            return self.result
        passed = max(0, round(now - self.received))
        return replace(self.result, since=self.result.since + passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """Hold how all nodes of a cluster stand at one moment."""

    cluster: str
    now: float
    nodes: Mapping[str, str]
    """Roles by name."""
    heard: Mapping[str, Heard]

    @property
    def results(self) -> list[Result]:
        """Return a result a node, what wants attention first."""
        found = [
            self.heard[node].at(self.now)
            if node in self.heard
            else Result(node=node, role=role, state="unknown", message="nothing was heard of it")
            for node, role in self.nodes.items()
        ]
        return sorted(found, key=lambda result: result.urgency)
