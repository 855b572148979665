"""Write a bundle: every byte to its final place, and the final name only when it is whole.

Beside the target there are ``NAME.part`` and ``NAME.journal`` while it is under way, and nothing
else; of a bundle in parts (``bundle.split``) ``NAME.001.part`` and so on, too. Any interruption (a
kill, a full disk, a server that dies) leaves them; the next run goes on.
"""

from __future__ import annotations

import functools
import os
import threading
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Self

from builder import disk
from builder.bundle import journal
from builder.bundle.download import Job, Outcome
from builder.bundle.existing import BundleResult, finished, journal_path, part_path
from builder.bundle.journal import Journal
from builder.bundle.naming import Names
from builder.bundle.part import Part
from builder.bundle.place import PartPlace
from builder.bundle.policy import Policy
from builder.bundle.region import Region
from builder.bundle.source import from_file
from builder.bundle.split import cut, sums_beside
from builder.bundle.transfer import Transfer
from builder.errors import StorageError
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from builder.bundle.download import Download
    from builder.bundle.layout import Extent, Layout
    from builder.bundle.source import Source, Supply
    from builder.report import Progress, Reporter

    Finishing = Callable[[Sequence[Outcome], Callable[[str], io.BufferedReader]], None]
    """Is given what opens a member, too."""


def write(  # noqa: PLR0913 -- the later ones are choices, told by name
    layout: Layout,
    target: Path,
    supply: Callable[[Extent], Supply],
    reporter: Reporter,
    *,
    near: Mapping[Digest, Source] | None = None,
    split: int = 0,
    policy: Policy | None = None,
    sync: bool = True,
    finishing: Finishing | None = None,
) -> BundleResult:
    """Make the bundle, going on where an earlier run stopped.

    ``supply`` is asked for each artifact that is not there yet; ``near`` are sources on the disk
    that are tried before. ``finishing`` is called when all is there, before it gets its name;
    what it raises is raised.
    ``split`` is the bytes of a part, 0 for one file. ``sync=False`` trades safety after a power
    cut for time. Raise StorageError, UsageError for too many parts or where their
    checksums have no place, or what ``Transfer.run`` raises; what was fetched is kept then.
    """
    if there := finished(layout, target, split=split):
        return there
    names = Names.of(layout, target, split=split, sync=sync)
    with _Run(names, reporter) as run:
        return run.make(supply, near or {}, policy or Policy(), finishing)


class _Run:
    def __init__(self, names: Names, reporter: Reporter) -> None:
        self._names = names
        self._layout = names.layout
        self._target = names.target
        self._reporter = reporter
        self._order = threading.Lock()
        self._written: set[str] = set()
        """What is finished: what was seen of it before says less."""
        self._known: dict[str, int] = {}
        """What the journal says last of each artifact that is under way."""
        self._near: dict[Digest, Source] = {}
        """Sources on the disk, which are tried first."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Open part and journal; decide what of an earlier run still counts."""
        with ExitStack() as opened:
            self._part = opened.enter_context(closing(Part(part_path(self._target))))
            past = journal.read(journal_path(self._target))
            beside = sums_beside(self._target) if past.naming else None
            if beside is not None and beside.layout.hex == past.layout:
                past = journal.Past(claims={})  # it had come to its end
            layout = self._layout
            fits = past.is_of(layout, self._names.split)
            if past.split and past.size:
                pieces = cut(self._target, past.size, past.split)
                self._part.spread(pieces, renamed=past.naming)
            elif not past.claims and self._names.pieces:
                self._part.spread(self._names.pieces)
                fits = True
            same = fits and self._part.size == layout.size
            free = self._free = self._room()
            if not same and past.claims and self._part.size:
                self._rescue(past, free, opened)
            elif not fits:
                self._replace(opened)
            past = past if same else journal.Past(claims={})
            self._claims = past.claims
            self._journal = Journal(
                journal_path(self._target), past, layout, split=self._names.split
            )
            opened.callback(self._journal.close)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def make(
        self,
        supply: Callable[[Extent], Supply],
        near: Mapping[Digest, Source],
        policy: Policy,
        finishing: Finishing | None,
    ) -> BundleResult:
        self._near = {**near, **self._near}
        self._prepare()
        total = sum(extent.size for extent in self._layout.fetched)
        size, missing = self._layout.size, self._missing()
        self._reporter.info(
            f"{self._target.name}: {size:,} bytes, {missing:,} of them to fetch;"
            f" {self._free:,} bytes are free"
        )
        with self._reporter.progress(self._target.name, total) as progress:
            outcomes = self._fetch(supply, policy, progress)
        ordered = tuple(sorted(outcomes, key=lambda outcome: outcome.path))
        if finishing is not None:
            finishing(ordered, self._opened)
        self._names.give(self._part, self._journal, self._reporter)
        return BundleResult(
            target=self._target,
            size=self._layout.size,
            outcomes=ordered,
            parts=tuple(piece.path for piece in self._names.pieces),
        )

    def _missing(self) -> int:
        """Return the bytes that no earlier run has finished, each digest's once."""
        had = {extent.digest for extent in self._layout.fetched if self._is_sure(extent)}
        wanted = {extent.digest: extent.size for extent in self._layout.fetched}
        return sum(
            size
            for digest, size in wanted.items()
            if digest not in had and digest not in self._near
        )

    def _room(self) -> int:
        """Return the free bytes; raise StorageError if the disk cannot take the bundle."""
        folder = self._target.parent
        with disk.stored(folder):
            status = os.statvfs(folder)
        needed = max(0, self._layout.size - self._part.allocated)
        free = status.f_bavail * status.f_frsize
        if needed > free:
            if not self._part.size:
                self._part.forget()
            raise StorageError(
                f"{needed:,} bytes are needed, {free:,} are free",
                where=str(folder),
                hint="free some space, or choose another disk with -o",
            )
        return free

    def _rescue(self, past: journal.Past, free: int, opened: ExitStack) -> None:
        """Use what a run for another lock fetched as a source, if there is space for both."""
        if free < self._layout.size:
            self._reporter.warn(
                "the interrupted run was for another bundle; everything is fetched again",
                hint=f"with {self._layout.size:,} bytes free, what it fetched could be reused",
            )
            self._replace(opened)
            return
        old = self._part
        self._replace(opened, used=True)
        for claim in past.claims.values():
            if claim.done and 0 <= claim.offset <= old.size - claim.size:
                self._near[Digest(claim.sha256)] = from_file(
                    "the interrupted run",
                    functools.partial(Region, old.files, claim.offset, claim.size),
                    state="cached",
                    origin=claim.origin,
                )

    def _replace(self, opened: ExitStack, *, used: bool = False) -> None:
        """Begin anew in other files; those so far live on while they are ``used``."""
        self._part.forget()
        if not used:
            self._part.close()
        self._part = opened.enter_context(closing(Part(part_path(self._target))))
        if self._names.pieces:
            self._part.spread(self._names.pieces)

    def _prepare(self) -> None:
        try:
            self._part.reserve(self._layout.size)
        except StorageError:
            if not self._claims:  # nothing is worth keeping
                self._part.forget()
                journal_path(self._target).unlink(missing_ok=True)
            raise
        for piece in self._layout.frame():
            self._part.write(piece.content, piece.offset)

    def _fetch(
        self, supply: Callable[[Extent], Supply], policy: Policy, progress: Progress
    ) -> list[Outcome]:
        """Bring all artifacts in; what has the same digest is copied in a second round."""
        outcomes = []
        firsts: dict[Digest, Extent] = {}
        jobs: list[Job] = []
        copies: list[Job] = []
        for extent in self._layout.fetched:
            if self._is_sure(extent):
                progress.advance(extent.size, cached=True)
                outcomes.append(_cached(extent, self._claims[extent.path].origin))
                firsts[extent.digest] = extent
        for extent in self._layout.fetched:
            if self._is_sure(extent):
                continue
            first = firsts.setdefault(extent.digest, extent)
            if first is extent:
                jobs.append(self._job(extent, supply(extent), self._near.get(extent.digest)))
            else:
                copies.append(self._job(extent, supply(extent), self._own(first)))
        for round_ in (jobs, copies):
            transfer = Transfer(
                round_,
                progress,
                policy=policy,
                finished=self._finished,
                tick=self._tick,
            )
            try:
                outcomes += transfer.run()
            except BaseException:
                with suppress(StorageError):  # the first error is the one to tell
                    self._tick(transfer)
                raise
        return outcomes

    def _opened(self, path: str) -> io.BufferedReader:
        extent = self._layout.extent(path)
        return self._part.region(extent.offset, extent.size)

    def _is_sure(self, extent: Extent) -> bool:
        claim = self._claims.get(extent.path)
        return claim is not None and claim.sure

    def _own(self, extent: Extent) -> Source:
        region = functools.partial(Region, self._part.files, extent.offset, extent.size)
        return from_file(extent.path, region, state="copied")

    def _job(self, extent: Extent, supply: Supply, nearest: Source | None) -> Job:
        claim = self._claims.get(extent.path)
        if claim is not None and claim.done:
            self._journal.part(extent.path, claim.size)  # not done until it is hashed again
        return Job(
            wanted=extent,
            place=PartPlace(self._part, extent),
            sources=(nearest, *supply.sources) if nearest else supply.sources,
            check=supply.check,
            judge=supply.judge,
            have=claim.size if claim is not None else 0,
            origin=claim.origin if claim is not None else "",
        )

    def _finished(self, download: Download) -> None:
        """Write down that an artifact is whole and right; called by many threads."""
        with self._order:
            extent = self._layout.extent(download.job.wanted.path)
            self._written.add(extent.path)
            self._journal.done(extent, download.outcome().origin)

    def _tick(self, transfer: Transfer) -> None:
        for path, have in transfer.unfinished():
            with self._order:
                if path not in self._written and self._known.get(path, 0) != have:
                    self._journal.part(path, have)
                    self._known[path] = have
        if self._names.sync:
            count = self._journal.count
            self._part.sync()
            self._journal.synced(count)


def _cached(extent: Extent, origin: str) -> Outcome:
    return Outcome(
        path=extent.path, size=extent.size, state="cached", source=None, fetched=0, origin=origin
    )
