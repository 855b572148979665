"""What ``publish`` and ``mirror`` do alike with a registry: plan, fill, write down, prune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.destinations.mapping import mapping
from builder.destinations.record import Names, PublishedRecord, names_of
from builder.destinations.registry import RegistryDestination
from builder.errors import FetchError
from builder.oci.push import Pusher
from builder.oci.uploads import Uploads
from builder.sources import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.bundle.source import Supply
    from builder.destinations.record import Pruned, Stale
    from builder.destinations.registry import Pushed, RegistryPlan
    from builder.model.artifact import Blob
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.registry import Registry
    from builder.report import Reporter
    from builder.sources.access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    registry: Registry
    plans: tuple[RegistryPlan, ...]
    """One a lock."""
    pushed: tuple[Pushed, ...]
    """Empty after a dry run."""
    stale: tuple[Stale, ...] = ()
    """What was published before and no lock names any more; as far as that was asked."""
    pruned: tuple[Pruned, ...] = ()

    @property
    def mapping(self) -> bytes:
        return mapping(self.registry, self.pushed)


class Filling:
    """Fill one registry from one lock after the other."""

    def __init__(self, access: Access, registry: Registry, reporter: Reporter) -> None:
        self._pusher = Pusher(access.connection)
        self._registry = registry
        self._reporter = reporter
        self._plans: list[RegistryPlan] = []
        self._pushed: list[Pushed] = []
        self._records: dict[str, PublishedRecord] = {}
        self._names: Names = {}

    def plan(self, lock: Lock, read: Callable[[Digest], bytes]) -> RegistryPlan:
        cluster = lock.subject.cluster
        self._record = self._records.setdefault(
            cluster, PublishedRecord(self._pusher, self._registry, cluster)
        )
        self._destination = RegistryDestination(
            self._pusher,
            self._registry,
            lock,
            read,
            uploads=Uploads(cache.folder() / "uploads"),
            ours=self._record.had,
        )
        plan = self._destination.plan(self._plans)
        self._own = names_of(each for each in self._destination.targets if each not in plan.clashes)
        self._names |= self._own
        self._plans.append(plan)
        for name in plan.foreign:
            self._reporter.warn(
                f"{self._registry.host}/{name} has signatures that are not airseed's: they stay",
                hint="upstream's are in the bundle, and not in this registry",
            )
        for target in plan.clashes:
            self._reporter.warn(
                f"{target.name} is another image in each of the bundles: the first one counts"
            )
        return plan

    def fill(self, supply: Callable[[Blob], Supply]) -> None:
        """Do what was planned last."""
        self._pushed += self._destination.fill(
            self._plans[-1], supply, self._reporter, before_tags=self._write_down
        )

    def end(self, prune: Callable[[Sequence[Stale]], bool] | None, *, dry_run: bool) -> Published:
        stale: list[Stale] = []
        pruned: list[Pruned] = []
        for record in self._records.values() if prune else ():
            found = record.stale(self._names)
            stale += found
            if found and not dry_run and prune and prune(found):
                pruned += record.prune(found)
        return Published(
            registry=self._registry,
            plans=tuple(self._plans),
            pushed=tuple(self._pushed),
            stale=tuple(stale),
            pruned=tuple(pruned),
        )

    def _write_down(self) -> None:
        try:
            self._record.add(self._own)
        except FetchError as error:
            self._reporter.warn(
                f"what is published cannot be written down in the registry: {error}",
                hint="--prune will not know of it",
            )
