"""How far a piece of work is, how fast, and how long it still takes."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from builder.cli.amounts import duration, quantity

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOW = 10.0
"""Seconds that the rate is taken over: long enough to be calm, short enough to be true."""
_SPACING = 0.25
_DAY = 86_400.0


class Meter:
    """Count what is done, from any thread; what was cached does not count as speed."""

    def __init__(
        self, total: int | None, unit: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.unit = unit
        self.fetched = 0
        self.cached = 0
        self._clock = clock
        self._begun = clock()
        self._moved = self._begun
        self._samples = deque([(self._begun, 0)])
        self._lock = Lock()

    def advance(self, amount: int, *, cached: bool) -> None:
        """Add what is done; a negative amount takes back what has to be done again."""
        with self._lock:
            if amount > 0:
                self._moved = self._clock()
            if cached:
                self.cached += amount
                return
            self.fetched += amount
            now = self._clock()
            if now - self._samples[-1][0] >= _SPACING:
                self._samples.append((now, self.fetched))
            while len(self._samples) > 1 and self._samples[1][0] < now - _WINDOW:
                self._samples.popleft()

    @property
    def done(self) -> int:
        return self.fetched + self.cached

    @property
    def elapsed(self) -> float:
        return self._clock() - self._begun

    @property
    def rate(self) -> float:
        """Return the units a second over the last seconds; 0 when it is too early to tell."""
        with self._lock:
            then, before = self._samples[0]
            passed = self._clock() - then
            return max(0.0, (self.fetched - before) / passed) if passed >= _SPACING else 0.0

    @property
    def standing(self) -> str:
        """Describe progress: ``1.2 GB of 3.4 GB (35 %), 45.0 MB/s, 50 s left``."""
        parts = [quantity(self.done, self.unit)]
        if self.total:
            share = min(100, max(0, 100 * self.done // self.total))
            done = parts[0] if self.unit == "B" else str(self.done)
            parts = [f"{done} of {quantity(self.total, self.unit)} ({share} %)"]
        idle = self._clock() - self._moved
        if idle >= _WINDOW and self.total and self.total > self.done:
            return ", ".join([*parts, f"stalled for {duration(idle)}"])
        rate = self.rate
        if rate and self.unit == "B":
            parts.append(f"{quantity(rate, self.unit)}/s")
        if rate and self.total and self.total > self.done:
            left = (self.total - self.done) / rate
            parts.append(f"{duration(left) if left < _DAY else 'more than a day'} left")
        return ", ".join(parts)

    @property
    def summary(self) -> str:
        """Summarize what was done: ``3.4 GB in 1 min 3 s (2.1 GB fetched, 1.3 GB cached)``."""
        text = f"{quantity(self.done, self.unit)} in {duration(self.elapsed)}"
        if not self.cached:
            return text
        unit = self.unit if self.unit == "B" else ""
        fetched, cached = quantity(self.fetched, unit), quantity(self.cached, unit)
        return f"{text} ({fetched} fetched, {cached} cached)"
