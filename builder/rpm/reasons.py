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
    for one in change.new:
        for found in change.needed(one):
            if found in reasons and found != one.id:
                reasons[found].add(one.name)
    for one in change.new:
        if not reasons[one.id]:
            causes = set(change.forced(one)) or set(change.kept_requirers(one))
            reasons[one.id] = causes - {one.name} or {BASE}


class _Change:
    """Holds what a transaction adds, keeps and takes away."""

    def __init__(self, universe: Universe, transaction: Any) -> None:
        self._solv = universe.solv
        self._pool = universe.pool
        self._transaction = transaction
        self.new: list[Any] = list(transaction.newsolvables())
        self._kept = {one.id for one in transaction.keptsolvables()}
        self._after = self._kept | {one.id for one in self.new}
        self._heirs: dict[int, set[str]] = {}
        for one in self.new:
            for old in transaction.allothersolvables(one):
                self._heirs.setdefault(old.id, set()).add(one.name)
        self._providers: dict[int, list[int]] = {}

    def needed(self, one: Any) -> Iterator[int]:
        """Give the ids of those that fulfil a requirement which nothing in the base fulfils."""
        for dep in self._requires(one):
            providers = self._provided_by(dep)
            if not any(found in self._kept for found in providers):
                yield from providers

    def forced(self, one: Any) -> Iterator[str]:
        """Give the names of those that make an old package of the base give way to this one."""
        for old in self._transaction.allothersolvables(one):
            for dep in self._requires(old):
                providers = self._provided_by(dep)
                if not any(found in self._after for found in providers):
                    for found in providers:
                        yield from self._heirs.get(found, ())
            for other in self.new:
                for dep in other.lookup_deparray(self._solv.SOLVABLE_CONFLICTS, 0):
                    if old.id in self._provided_by(dep):
                        yield other.name

    def kept_requirers(self, one: Any) -> Iterator[str]:
        """Give packages of the base that stay and now need this one."""
        for old in self._pool.installed.solvables:
            if old.id in self._kept:
                for dep in self._requires(old):
                    providers = self._provided_by(dep)
                    if one.id in providers and not any(found in self._kept for found in providers):
                        yield old.name

    def _requires(self, one: Any) -> list[Any]:
        found: list[Any] = one.lookup_deparray(self._solv.SOLVABLE_REQUIRES, 0)
        return found

    def _provided_by(self, dep: Any) -> list[int]:
        if dep.id not in self._providers:
            self._providers[dep.id] = [one.id for one in self._pool.whatprovides(dep)]
        return self._providers[dep.id]
