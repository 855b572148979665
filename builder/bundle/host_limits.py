"""How many downloads each host bears at once, learned from its answers.

Additive increase, multiplicative decrease, as TCP does it: every success lets a little more
through, a refusal or a timeout halves it (once for all downloads that ran at that moment), and
Retry-After stops the whole host. A host that refuses for too long, or from which nothing at all
came while one artifact used up its attempts, is given up for all artifacts. Not safe between
threads by itself: its caller holds a lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Host:
    limit: float
    active: int = 0
    paused_until: float = 0.0
    refused_at: float | None = None
    """The first refusal since the last success after a pause."""
    halved_at: float = -1.0
    alive_at: float = -1.0
    """The last sign of life: bytes of a body."""
    lost_at: float = -1.0
    """When it was given up; a later sign of life takes that back."""
    lost: str = ""
    """What was wrong then."""


@dataclass(slots=True)
class HostLimits:
    """Hand out slots at hosts; ``most`` is the number that one host never exceeds.

    All times are seconds of one monotonic clock. The empty name is the local disk, which has
    slots without end.
    """

    most: int
    _hosts: dict[str, _Host] = field(default_factory=dict)

    def acquire(self, name: str, now: float) -> bool:
        host = self._host(name)
        if name and (host.active >= int(host.limit) or host.paused_until > now):
            return False
        host.active += 1
        return True

    def release(self, name: str) -> None:
        self._host(name).active -= 1

    def succeeded(self, name: str, *, now: float) -> None:
        """Let a little more through; what was under way before a refusal does not end that."""
        host = self._host(name)
        host.limit = min(host.limit + 1 / host.limit, float(self.most))
        if host.paused_until <= now:
            host.refused_at = None

    def lives(self, name: str, at: float) -> None:
        host = self._host(name)
        host.alive_at = max(host.alive_at, at)

    def lose(self, name: str, why: str, *, since: float, now: float) -> None:
        """Give a host up, unless it gave a sign of life after ``since``."""
        host = self._host(name)
        if name and host.alive_at < since:
            host.lost, host.lost_at = why, now

    def failed(self, name: str, *, started: float, now: float) -> None:
        """Halve what goes through, unless that happened after this download had started."""
        host = self._host(name)
        if started > host.halved_at:
            host.limit = max(1.0, host.limit / 2)
            host.halved_at = now

    def refused(self, name: str, *, now: float, until: float) -> None:
        """Let nothing more begin before a moment, as the host has asked."""
        host = self._host(name)
        host.paused_until = max(host.paused_until, until)
        if host.refused_at is None:
            host.refused_at = now

    def given_up(self, name: str, patience: float) -> str:
        """Return why a host is not asked any more; empty while it is.

        ``patience`` is how many seconds it may go on refusing.
        """
        host = self._host(name)
        if host.refused_at is not None and host.paused_until - host.refused_at > patience:
            return f"asks to wait for more than {patience:.0f} s"
        return host.lost if host.lost_at > host.alive_at else ""

    def waits(self, now: float) -> str:
        """Return which hosts have asked to wait, and for how long still; empty when none has."""
        rests = {name: host.paused_until - now for name, host in self._hosts.items() if name}
        return ", ".join(
            f"waiting {rest:.0f} s for {name}" for name, rest in sorted(rests.items()) if rest >= 1
        )

    def free_at(self, name: str) -> float:
        """Return the moment when a pause ends; it may have passed."""
        return self._host(name).paused_until if name else 0.0

    def _host(self, name: str) -> _Host:
        return self._hosts.setdefault(name, _Host(limit=float(self.most)))
