"""Write a bundle: every byte to its final place, and the final name only when it is whole.

Beside the target there are ``NAME.part`` and ``NAME.journal`` while it is under way, and nothing
else. Any interruption (a kill, a full disk, a server that dies) leaves both; the next run goes on.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from builder.bundle import journal
from builder.bundle.download import Job, Outcome
from builder.bundle.journal import Journal
from builder.bundle.layout import SUMS_PATH
from builder.bundle.part import Part, storage_error
from builder.bundle.region import RegionSource
from builder.bundle.transfer import Policy, Transfer
from builder.errors import StorageError
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from builder.bundle.download import Source
    from builder.bundle.layout import Extent, Layout
    from builder.report import Progress, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Say where one artifact comes from and how it is checked, beyond its digest."""

    sources: tuple[Source, ...]
    check: Callable[[io.BufferedReader], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Tell what a run did."""

    target: Path
    size: int
    outcomes: tuple[Outcome, ...]
    """One for each artifact of the lock, by path; empty when the bundle was there already."""
    whole: bool = False
    """Whether the bundle was there already."""

    @property
    def fetched(self) -> int:
        """Give the bytes that were received."""
        return sum(outcome.fetched for outcome in self.outcomes)

    @property
    def fallbacks(self) -> tuple[Outcome, ...]:
        """Give what did not come from its first source."""
        return tuple(outcome for outcome in self.outcomes if outcome.passed_over)


def part_path(target: Path) -> Path:
    """Give the name of the file under way."""
    return target.with_name(target.name + ".part")


def journal_path(target: Path) -> Path:
    """Give the name of its journal."""
    return target.with_name(target.name + ".journal")


def write(
    layout: Layout,
    target: Path,
    supply: Callable[[Extent], Supply],
    reporter: Reporter,
    *,
    policy: Policy | None = None,
    sync: bool = True,
) -> Result:
    """Make the bundle, going on where an earlier run stopped.

    ``supply`` is asked for each artifact that is not there yet. ``sync=False`` trades safety
    after a power cut for time. Raise StorageError, or what ``Transfer.run`` raises; what was
    fetched is kept then.
    """
    if is_whole(layout, target):
        _sweep(target)
        return Result(target=target, size=layout.size, outcomes=(), whole=True)
    with _Run(layout, target, reporter, sync=sync) as run:
        return run.make(supply, policy or Policy())


def is_whole(layout: Layout, target: Path) -> bool:
    """Tell whether a finished bundle of this layout has the name already.

    Length, README, lock and SHA256SUMS are compared. Raise StorageError if something else than a
    file is there.
    """
    head = layout.extent(SUMS_PATH).end
    try:
        if not target.exists():
            return False
        if not target.is_file():
            raise StorageError("not a file", where=str(target), expected="the name of a file")
        with target.open("rb") as file:
            if os.fstat(file.fileno()).st_size != layout.size:
                return False
            found = file.read(head)
    except OSError as error:
        raise storage_error(error, target) from error
    return all(
        found[piece.offset : piece.offset + len(piece.content)] == piece.content
        for piece in layout.frame()
        if piece.offset < head
    )


def _sweep(target: Path) -> None:
    """Remove what an interrupted run left beside a finished bundle, unless one is at it."""
    with suppress(StorageError), closing(Part(part_path(target))) as part:
        part.forget()
        journal_path(target).unlink(missing_ok=True)


class _Run:
    """Be one run of :func:`write`, with the files that it holds open."""

    def __init__(self, layout: Layout, target: Path, reporter: Reporter, *, sync: bool) -> None:
        self._layout = layout
        self._target = target
        self._reporter = reporter
        self._sync = sync
        self._known: dict[str, int] = {}
        """What the journal says last of each artifact that is under way."""
        self._rescued: dict[Digest, RegionSource] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Open part and journal; decide what of an earlier run still counts."""
        with ExitStack() as opened:
            self._part = opened.enter_context(closing(Part(part_path(self._target))))
            past = journal.read(journal_path(self._target))
            layout = self._layout
            same = past.layout == layout.digest.hex and self._part.size == layout.size
            free = self._free = self._room()
            if not same and past.claims and self._part.size:
                self._rescue(past, free, opened)
            past = past if same else journal.Past(claims={})
            self._claims = past.claims
            self._journal = Journal(journal_path(self._target), past, layout)
            opened.callback(self._journal.close)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def make(self, supply: Callable[[Extent], Supply], policy: Policy) -> Result:
        """Fetch, finish, rename."""
        self._prepare()
        total = sum(extent.size for extent in self._layout.fetched)
        size, missing = self._layout.size, self._missing()
        self._reporter.say(
            f"{self._target.name}: {size:,} bytes, {missing:,} of them to fetch;"
            f" {self._free:,} bytes are free"
        )
        with self._reporter.progress(self._target.name, total) as progress:
            outcomes = self._fetch(supply, policy, progress)
        self._finish()
        ordered = sorted(outcomes, key=lambda outcome: outcome.path)
        return Result(target=self._target, size=self._layout.size, outcomes=tuple(ordered))

    def _missing(self) -> int:
        """Give the bytes that no earlier run has finished, each digest's once."""
        had = {extent.digest for extent in self._layout.fetched if self._is_sure(extent)}
        wanted = {extent.digest: extent.size for extent in self._layout.fetched}
        return sum(
            size
            for digest, size in wanted.items()
            if digest not in had and digest not in self._rescued
        )

    def _room(self) -> int:
        """Give the free bytes; raise StorageError if the disk cannot take the bundle."""
        folder = self._target.parent
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            raise storage_error(error, folder) from error
        needed = max(0, self._layout.size - self._part.allocated)
        free = disk.f_bavail * disk.f_frsize
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
                "the interrupted run was for another lock; all is fetched again",
                hint=f"with {self._layout.size:,} bytes free, what it fetched would be used",
            )
            return
        old = self._part
        old.forget()
        self._part = opened.enter_context(closing(Part(part_path(self._target))))
        for claim in past.claims.values():
            if claim.done and 0 <= claim.offset <= old.size - claim.size:
                self._rescued[Digest(claim.sha256)] = RegionSource(
                    name="the interrupted run",
                    descriptor=old.descriptor,
                    start=claim.offset,
                    size=claim.size,
                    state="cached",
                )

    def _prepare(self) -> None:
        """Take the space and write all bytes that are known already."""
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
                outcomes.append(_cached(extent))
                firsts[extent.digest] = extent
        for extent in self._layout.fetched:
            if self._is_sure(extent):
                continue
            first = firsts.setdefault(extent.digest, extent)
            if first is extent:
                jobs.append(self._job(extent, supply(extent), self._rescued.get(extent.digest)))
            else:
                copies.append(self._job(extent, supply(extent), self._own(first)))
        for round_ in (jobs, copies):
            transfer = Transfer(
                round_,
                self._part,
                progress,
                policy=policy,
                finished=lambda download: self._journal.done(download.job.extent),
                tick=self._tick,
            )
            try:
                outcomes += transfer.run()
            except BaseException:
                with suppress(StorageError):  # the first error is the one to tell
                    self._tick(transfer)
                raise
        return outcomes

    def _is_sure(self, extent: Extent) -> bool:
        claim = self._claims.get(extent.path)
        return claim is not None and claim.sure

    def _own(self, extent: Extent) -> RegionSource:
        """Give a finished artifact of this very bundle as a source."""
        return RegionSource(
            name=extent.path,
            descriptor=self._part.descriptor,
            start=extent.offset,
            size=extent.size,
            state="copied",
        )

    def _job(self, extent: Extent, supply: Supply, nearest: RegionSource | None) -> Job:
        claim = self._claims.get(extent.path)
        if claim is not None and claim.done:
            self._journal.part(extent.path, claim.size)  # not done until it is hashed again
        return Job(
            extent=extent,
            sources=(nearest, *supply.sources) if nearest else supply.sources,
            check=supply.check,
            have=claim.size if claim is not None else 0,
        )

    def _tick(self, transfer: Transfer) -> None:
        """Write down how far all is, and make it durable."""
        for path, have in transfer.unfinished():
            if self._known.get(path, 0) != have:
                self._journal.part(path, have)
                self._known[path] = have
        if self._sync:
            count = self._journal.count
            self._part.sync()
            self._journal.synced(count)

    def _finish(self) -> None:
        """Make everything durable, then give it its name."""
        target = self._target
        try:
            if self._sync:
                os.fsync(self._part.descriptor)
            self._part.path.replace(target)
            if self._sync:
                _sync_folder(target.parent)
            journal_path(target).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, target) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cached(extent: Extent) -> Outcome:
    return Outcome(path=extent.path, size=extent.size, state="cached", source=None, fetched=0)
