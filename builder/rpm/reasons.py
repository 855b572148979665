"""Why each package is in: what asks for it, and what in the base would break without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.rpm.universe import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.rpm.universe import Universe


def add_reasons(universe: Universe, transaction: Any, reasons: dict[int, set[str]]) -> None:
    """Add the names of those that need each new package to ``reasons``, by solvable id."""
    change = _Change(universe, transaction)
    for solvable in change.new:
        for needed in change.needed(solvable):
            if needed in reasons and needed != solvable.id:
                reasons[needed].add(solvable.name)
    for solvable in change.new:
        if not reasons[solvable.id]:
            causes = set(change.forced(solvable)) or set(change.kept_requirers(solvable))
            reasons[solvable.id] = causes - {solvable.name} or {BASE}


class _Change:
    def __init__(self, universe: Universe, transaction: Any) -> None:
        self._solv = universe.solv
        self._pool = universe.pool
        self._transaction = transaction
        self.new: list[Any] = list(transaction.newsolvables())
        self._kept = {solvable.id for solvable in transaction.keptsolvables()}
        self._after = self._kept | {solvable.id for solvable in self.new}
        self._heirs: dict[int, set[str]] = {}
        for solvable in self.new:
            for old in transaction.allothersolvables(solvable):
                self._heirs.setdefault(old.id, set()).add(solvable.name)
        self._providers: dict[int, list[int]] = {}

    def needed(self, solvable: Any) -> Iterator[int]:
        """Return the ids of those that fulfil a requirement which nothing in the base fulfils."""
        for dep in self._requires(solvable):
            providers = self._provided_by(dep)
            if self._kept.isdisjoint(providers):
                yield from providers

    def forced(self, solvable: Any) -> Iterator[str]:
        """Return the names of those that make an old package of the base give way to this one."""
        for old in self._transaction.allothersolvables(solvable):
            for dep in self._requires(old):
                providers = self._provided_by(dep)
                if self._after.isdisjoint(providers):
                    for provider in providers:
                        yield from self._heirs.get(provider, ())
            for other in self.new:
                for dep in other.lookup_deparray(self._solv.SOLVABLE_CONFLICTS, 0):
                    if old.id in self._provided_by(dep):
                        yield other.name

    def kept_requirers(self, solvable: Any) -> Iterator[str]:
        """Return packages of the base that stay and now need this one."""
        for old in self._pool.installed.solvables:
            if old.id in self._kept:
                for dep in self._requires(old):
                    providers = self._provided_by(dep)
                    if solvable.id in providers and self._kept.isdisjoint(providers):
                        yield old.name

    def _requires(self, solvable: Any) -> list[Any]:
        dependencies: list[Any] = solvable.lookup_deparray(self._solv.SOLVABLE_REQUIRES, 0)
        return dependencies

    def _provided_by(self, dep: Any) -> list[int]:
        if dep.id not in self._providers:
            self._providers[dep.id] = [solvable.id for solvable in self._pool.whatprovides(dep)]
        return self._providers[dep.id]
