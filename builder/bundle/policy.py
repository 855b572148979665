"""The patience of a transfer, and how much it does at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.backoff import Backoff


@dataclass(frozen=True, kw_only=True)  # without slots, so that Policy.workers is the default
class Policy:
    """How patient a transfer is. Times are in seconds."""

    workers: int = 6
    backoff: Backoff = field(default_factory=Backoff)
    """At one source, before the next is asked."""
    outage: float = 90.0
    """Seconds that such attempts may wait in vain, all in all: a silent server takes long each."""
    patience: float = 600.0
    """How long a host may ask us to wait, all in all, before it is given up."""
    tick: float = 1.0
    """Between two calls of ``tick``."""
