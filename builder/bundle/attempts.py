"""What was tried to get one artifact: which source is asked, and how that one has failed so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.errors import Fault


@dataclass(slots=True)
class Attempts:
    """Count attempts at one source after the other. Times are seconds of one monotonic clock."""

    turn: int = 0
    """Which source is asked."""
    afresh: bool = False
    """Whether this source was given the chance to send everything in one go."""
    failures: int = 0
    """At this source in a row, without progress."""
    failing_since: float | None = None
    """When the first of them began."""
    wasted: float = 0.0
    """Seconds that they waited in vain."""
    ready_at: float = 0.0
    """When the next one may begin."""
    faults: list[Fault] = field(default_factory=list)
    """Of the sources before, one each."""

    def fail(self, *, started: float, now: float, fed_at: float) -> None:
        """Count a failure; ``fed_at`` is when the last byte came, in this attempt or before."""
        self.failures += 1
        self.failing_since = self.failing_since or started
        self.wasted += now - max(started, fed_at)

    def calm(self) -> None:
        """Forget the failures: the source made progress, or speaks to us."""
        self.failures = 0
        self.failing_since = None
        self.wasted = 0.0

    def pass_on(self, fault: Fault) -> None:
        """Go to the next source, at once."""
        self.faults.append(fault)
        self.turn += 1
        self.afresh = False
        self.ready_at = 0.0
        self.calm()
