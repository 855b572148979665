"""What every step of locking shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from builder import threads
from builder.errors import UnavailableError, UsageError, did_you_mean
from builder.model.demand import KUBEADM
from builder.pipeline import names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from builder.errors import Fault
    from builder.model.catalog import Catalog
    from builder.model.cluster import Cluster
    from builder.model.demand import Demand
    from builder.model.lock import Lock
    from builder.report import Reporter
    from builder.sources.access import Access
    from builder.sources.store import Store

EVERYTHING = "all"
"""What ``--update`` takes to move whatever upstream has moved."""
_ATONCE = 8
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolving:
    """Hold one run's question, its way out, and what an earlier lock said."""

    cluster: Cluster
    catalog: Catalog
    wanted: Demand
    folder: Path
    """Of cluster.yaml; its local paths begin here."""
    access: Access
    kept: Store
    cache: Path
    before: Lock | None
    update: Mapping[str, set[str]]
    """By each word of ``--update``: what of the earlier lock it means, and the word itself."""
    reporter: Reporter
    _moved: set[str] = field(default_factory=set)

    def may_move(self, *own: str) -> bool:
        """Return whether an artifact that an earlier lock has may change; remember the question."""
        asked = {word for word, meant in self.update.items() if not meant.isdisjoint(own)}
        self._moved.update(asked)
        return self.before is None or EVERYTHING in self.update or bool(asked)

    def refuse_unused_updates(self) -> None:
        """Raise UsageError for names to update that no artifact has."""
        for name in sorted({*self.update} - self._moved - {EVERYTHING}):
            known = names.every(self.before) if self.before else ()
            raise UsageError(
                f"nothing in this cluster is called {name!r}, so it cannot be updated",
                hint=did_you_mean(name, known) or "`airseed inspect` lists what there is",
            )

    def each(
        self, what: str, items: Iterable[_Item], work: Callable[[_Item], _Answer]
    ) -> list[_Answer]:
        """Do the same for many items, a few at once, in their order; the first error wins."""
        todo = list(items)
        if not todo:
            return []
        with self.reporter.progress(what, len(todo), unit=what) as progress:

            def counted(item: _Item) -> _Answer:
                answer = work(item)
                progress.advance(1)
                return answer

            return threads.each(todo, counted, most=_ATONCE, cancel=self.access.client.cancel)

    def advised(self, error: UnavailableError, repositories: Collection[str]) -> UnavailableError:
        """Add what may be done where it is the repository of Kubernetes, or its key, that is gone.

        ``repositories`` are those that are of no use now.
        """
        repositories_wanted = {
            package.repository for package in self.wanted.packages if KUBEADM in package.needed_by
        }
        hint = error.fault.hint
        if not repositories_wanted.isdisjoint(repositories):
            hint = (
                f"{hint}; or have its packages built and signed with your own key: "
                f"kubernetes: {{version: {self.cluster.kubernetes}, packages: built}}"
            )
        return UnavailableError(
            error.fault.what,
            where=error.fault.where,
            expected=error.fault.expected,
            hint=hint,
            faults=error.faults,
        )

    def passed_over(self, name: str, source: str, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.reporter.warn(f"{name} comes from {source}: {fault}")
