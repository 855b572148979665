"""Artifacts that wait for their turn: by the hosts that they need, the largest first.

Where a host takes no more, all that need it wait, so that one look at each host is enough however
many they are. What failed for the moment rests until its time has come.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.bundle.download import Download

    Hosts = tuple[str, str]


class Waiting:
    """Hold them; ``hosts`` tells those of the source and of the place, while nothing moves."""

    def __init__(
        self, items: Iterable[Download], hosts: Callable[[Download], Hosts], now: float
    ) -> None:
        self._hosts = hosts
        self._numbers = count()
        self._ready: dict[Hosts, list[tuple[int, int, Download]]] = {}
        self._resting: list[tuple[float, int, Download]] = []
        for item in items:
            self.add(item, now)

    def __len__(self) -> int:
        return len(self._resting) + sum(map(len, self._ready.values()))

    def __iter__(self) -> Iterator[Download]:
        yield from (item for _, _, item in self._resting)
        for several in self._ready.values():
            yield from (item for _, _, item in several)

    def add(self, item: Download, now: float) -> None:
        begins = max(item.attempts.ready_at, item.placing.ready_at)
        number = next(self._numbers)
        if begins > now:
            heapq.heappush(self._resting, (begins, number, item))
        else:
            own = self._ready.setdefault(self._hosts(item), [])
            heapq.heappush(own, (-item.job.wanted.size, number, item))

    def take(self, may: Callable[[Download], bool], now: float) -> Download | None:
        """Return the largest that ``may`` go on now, out of the first one for each two hosts."""
        while self._resting and self._resting[0][0] <= now:
            self.add(heapq.heappop(self._resting)[2], now)
        firsts = sorted((own[0], hosts) for hosts, own in self._ready.items())
        for (_, _, item), hosts in firsts:
            if may(item):
                heapq.heappop(self._ready[hosts])
                if not self._ready[hosts]:
                    del self._ready[hosts]
                return item
        return None

    def soonest(self, free_at: Callable[[str], float], now: float) -> Iterator[float]:
        """Yield the moments to come at which one of them may perhaps go on."""
        if self._resting:
            yield self._resting[0][0]
        yield from (at for hosts in self._ready if (at := max(map(free_at, hosts))) > now)
