"""How first boot stands on one node: what ``result.json`` says, or what a console showed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["running", "waiting", "failed", "done", "unknown"]
STATES: tuple[State, ...] = ("running", "waiting", "failed", "done")
"""What a node may say of itself; ``unknown`` is one of which nothing was read."""
FORMAT = 1
_ORDER = ("failed", "unknown", "waiting", "running", "done")


ROTATED = "kubelet-client"
"""Kubelet has its own renewed by itself, so what was recorded of that is the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Hold one node's state; what the source did not say is empty or None."""

    node: str
    cluster: str = ""
    role: str = ""
    state: State
    plan: str = "first-boot"
    """The plan it speaks of; a console does not say."""
    change: str = ""
    """The id of the change that it goes through."""
    stage: str = ""
    kubernetes: str = ""
    """The release of the seed, or of the stage."""
    step: str = ""
    attempt: int = 1
    exit_code: int | None = None
    message: str = ""
    hint: str = ""
    waiting_for: str = ""
    last_said: str = ""
    """What it waits for said last, or the step itself."""
    since: int | None = None
    """Seconds from the beginning of this wait, or of the step, to the last thing that was said."""
    trouble: str = ""
    """What is wrong beside the work of the plan, such as images that are gone."""
    trouble_hint: str = ""
    seconds: int | None = None
    """From the beginning of first boot to the last thing that was said."""

    certificates: Mapping[str, int] = field(default_factory=dict, hash=False)
    """When each ends, by its file, in seconds since 1970."""

    @property
    def first_end(self) -> tuple[str, int] | None:
        """Return which certificate ends first of those that do not renew themselves, and when."""
        lasting = (one for one in self.certificates.items() if ROTATED not in one[0])
        return min(lasting, key=lambda one: one[1], default=None)

    @property
    def urgency(self) -> tuple[bool, int, str]:
        """Sort by this to have first what wants attention."""
        return not self.trouble, _ORDER.index(self.state), self.node
