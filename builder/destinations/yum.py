"""The files of a site beside its images: yum repositories, keys, manifests, files, the lock.

They lie as in the bundle, so the place is what ``seed.url`` may name, too, with a ``.repo`` file
for yum. Packages and all that is named by digest come first, repomd.xml and then SHA256SUMS last:
whoever reads meanwhile sees the old repository or the new one. A record beside them says what
airseed put there, so that pruning takes nothing else away.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder import strict_json, threads
from builder.bundle.download import Job
from builder.bundle.layout import LOCK_PATH, SUMS_PATH, Extent, path_fault
from builder.bundle.policy import Policy
from builder.bundle.transfer import Transfer
from builder.errors import StorageError, VerificationError
from builder.model.artifact import Blob, Package
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from builder.bundle.download import Wanted
    from builder.bundle.layout import Layout
    from builder.bundle.source import Supply
    from builder.destinations.tree import Tree
    from builder.model.lock import Lock
    from builder.report import Progress, Reporter

RECORD = "airseed-published.json"
REPO = "airseed.repo"
_FORMAT = 1
_LIMIT = 64 << 20
_IMAGES = "images/"
_REPOMD = "repomd.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A small file that takes its place after all others."""

    path: str
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @property
    def name(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is known of a file that an earlier run put there."""

    digests: tuple[Digest, ...]
    """More than one while it is being replaced."""
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class YumPlan:
    """What is to be done, after the place was asked for what it has."""

    there: int
    """Files that are right already."""
    moves: tuple[Extent, ...]
    switches: tuple[Wanted, ...]
    """What names the others, in its order."""
    prune: tuple[str, ...]
    """Put there before, and no longer named."""

    @property
    def size(self) -> int:
        return sum(wanted.size for wanted in (*self.moves, *self.switches))

    @property
    def count(self) -> int:
        return len(self.moves) + len(self.switches)


@dataclass(frozen=True, slots=True, kw_only=True)
class YumPublished:
    name: str
    url: str
    plan: YumPlan
    pruned: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Not pruned, since somebody else changed them."""


@dataclass
class YumDestination:
    tree: Tree
    lock: Lock
    layout: Layout
    images: bool = False
    """Whether images go there, too, for machines that load them from the URL."""
    record: dict[str, Recorded] = field(init=False)

    def __post_init__(self) -> None:
        self.record = self._read_record()

    def plan(self) -> YumPlan:
        """Ask what is there; raise FetchError, StorageError."""
        moves, switches = self._wanted()
        right = threads.each([*moves, *switches], self._has, most=Policy.workers)
        has = {one.path for one, good in zip([*moves, *switches], right, strict=True) if good}
        names = {one.path for one in (*self.layout.extents, *switches)}
        return YumPlan(
            there=len(has),
            moves=tuple(one for one in moves if one.path not in has),
            switches=tuple(one for one in switches if one.path not in has),
            prune=tuple(sorted(set(self.record) - names)),
        )

    def fill(
        self,
        plan: YumPlan,
        supply: Callable[[Extent], Supply],
        reporter: Reporter,
        *,
        local: Callable[[str], Path] | None = None,
        prove: Callable[[], None] | None = None,
    ) -> None:
        """Do what was planned, but for pruning; ``local`` names a file of this machine.

        ``prove`` is called before anything names what came. Raise UnavailableError with all that
        could not be brought there; what could, stays.
        """
        if not plan.count:
            return
        paths = [one.path for one in (*plan.moves, *plan.switches)]
        self.tree.ready(paths, plan.size, local("") if local else None)
        self._begin(plan)
        with reporter.progress(self.tree.name, plan.size) as progress:
            for steady in (True, False):
                batch = [one for one in plan.moves if _is_steady(one) == steady]
                self._move(batch, supply, progress, local)
            if prove is not None:
                prove()
            self.tree.settle()
            for wanted in plan.switches:
                self.tree.put(wanted.path, self._content(wanted, supply))
                progress.advance(wanted.size)
            self.tree.settle()
        self._end(plan)

    def prune(self, paths: Sequence[str]) -> tuple[list[str], list[str]]:
        """Remove what an earlier run put there; return what went, and what others changed."""
        gone, kept = [], []
        for path in paths:
            known = self.record.pop(path)
            if self.tree.holds(path, known.digests, None, known.mark):
                self.tree.remove(path)
                gone.append(path)
            elif (file := self.tree.open(path)) is not None:  # else somebody removed it
                file.close()
                kept.append(path)
        if paths:
            self._write_record()
        return gone, kept

    def _wanted(self) -> tuple[list[Extent], list[Wanted]]:
        moves: list[Extent] = []
        last: list[Wanted] = [Made(path=REPO, content=repo_file(self.lock, self.tree.url))]
        for extent in self.layout.extents:
            if extent.path.startswith(_IMAGES) and not self.images:
                continue
            if isinstance(extent.content, bytes) or extent.path.endswith(f"/repodata/{_REPOMD}"):
                last.append(extent)
            else:
                moves.append(extent)
        ends = (LOCK_PATH, SUMS_PATH)
        last.sort(key=lambda one: ends.index(one.path) + 1 if one.path in ends else 0)
        return moves, last

    def _has(self, wanted: Wanted) -> bool:
        known = self.record.get(wanted.path)
        mark = known.mark if known and known.digests == (wanted.digest,) else ""
        return self.tree.holds(wanted.path, {wanted.digest}, wanted.size, mark)

    def _move(
        self,
        batch: Sequence[Extent],
        supply: Callable[[Extent], Supply],
        progress: Progress,
        local: Callable[[str], Path] | None,
    ) -> None:
        if local is not None:
            adopted = threads.each(
                batch, lambda one: self.tree.adopt(one, local(one.path)), most=Policy.workers
            )
            for one, taken in zip(batch, adopted, strict=True):
                if taken:
                    progress.advance(one.size, cached=True)
            batch = [one for one, taken in zip(batch, adopted, strict=True) if not taken]
        places, jobs = [], []
        for one in batch:
            supplied = supply(one)
            place = self.tree.place(one, readable=supplied.check is not None)
            places.append(place)
            jobs.append(
                Job(wanted=one, place=place, sources=supplied.sources, check=supplied.check)
            )
        try:
            Transfer(jobs, progress, policy=Policy()).run()
        finally:
            for place in places:
                place.drop()

    def _content(self, wanted: Wanted, supply: Callable[[Extent], Supply]) -> bytes:
        if isinstance(wanted, Made):
            return wanted.content
        assert isinstance(wanted, Extent)  # noqa: S101 -- for the type checker
        if isinstance(wanted.content, bytes):
            return wanted.content
        return read_small(supply(wanted), wanted)

    def _begin(self, plan: YumPlan) -> None:
        """Write down what will be there, before it is: a killed run leaves nothing unknown."""
        for wanted in (*plan.moves, *plan.switches):
            old = self.record.get(wanted.path)
            digests = (*(old.digests if old else ()), wanted.digest)
            self.record[wanted.path] = Recorded(digests=tuple(dict.fromkeys(digests)))
        self._write_record()

    def _end(self, plan: YumPlan) -> None:
        for wanted in (*plan.moves, *plan.switches):
            self.record[wanted.path] = Recorded(
                digests=(wanted.digest,), mark=self.tree.mark(wanted.path)
            )
        self._write_record()

    def _read_record(self) -> dict[str, Recorded]:
        file = self.tree.open(RECORD)
        if file is None:
            return {}
        with file:
            content = file.read(_LIMIT + 1)
        try:
            document = strict_json.load(content)
            if document["format"] != _FORMAT:
                raise StorageError(
                    "another release of airseed wrote this",
                    where=f"{self.tree.name}: {RECORD}",
                    hint="use the airseed that wrote it, or a newer one",
                )
            return _recorded(document)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            hint = (
                "what answers there is a web page: one to log in to, perhaps"
                if content.lstrip()[:1] == b"<"
                else "if somebody changed it, remove it: nothing that was put there before will be"
                " pruned then"
            )
            raise StorageError(
                "this is not what airseed writes there",
                where=f"{self.tree.name}: {RECORD}",
                hint=hint,
            ) from error

    def _write_record(self) -> None:
        files = {
            path: {"digests": [str(digest) for digest in known.digests], "mark": known.mark}
            for path, known in sorted(self.record.items())
        }
        text = json.dumps({"format": _FORMAT, "files": files}, indent=0, ensure_ascii=False)
        self.tree.put(RECORD, f"{text}\n".encode())


def _recorded(document: Any) -> dict[str, Recorded]:
    for path in document["files"]:
        if path_fault(path) is not None:  # pruning must not leave the place
            raise ValueError("not a path")
    return {
        path: Recorded(
            digests=tuple(Digest.parse(text) for text in known["digests"]),
            mark=str(known["mark"]),
        )
        for path, known in document["files"].items()
    }


def repo_file(lock: Lock, url: str) -> bytes:
    """Return the file for /etc/yum.repos.d with which machines install from a place."""
    keys = {file.fingerprint: file.path for file in lock.files if file.kind == "key"}
    sections = []
    for repository in lock.repositories:
        signers = {key for one in lock.packages if one.repository == repository.name
                   for key in one.keys}  # fmt: skip
        if not signers:
            continue
        paths = sorted(path for print_, path in keys.items() if print_ in signers)
        sections.append(
            f"[airseed-{repository.name}]\n"
            f"name=airseed, {repository.name}\n"
            f"baseurl={url}/yum/{repository.name}\n"
            "enabled=1\n"
            "gpgcheck=1\n"
            f"gpgkey={' '.join(f'{url}/{path}' for path in paths or sorted(keys.values()))}\n"
        )
    return "\n".join(sections).encode()


def read_small(supply: Supply, wanted: Wanted) -> bytes:
    """Read a file that names others from the first of its sources, which is on this machine."""
    buffer = bytearray(wanted.size)
    for source in supply.sources:
        stream = source.open(0)
        try:
            done = 0
            while done < wanted.size:
                count = stream.readinto(memoryview(buffer)[done:])
                if not count:
                    break
                done += count
        finally:
            stream.close()
        if Digest.of(bytes(buffer)) == wanted.digest:
            return bytes(buffer)
    raise VerificationError(
        "no source has the right bytes", where=wanted.path, expected=str(wanted.digest)
    )


def _is_steady(extent: Extent) -> bool:
    """Tell whether a file's name says what is in it, so that nobody reads another under it."""
    name = extent.path.rpartition("/")[2]
    return isinstance(extent.content, Package | Blob) or name.startswith(extent.digest.hex)
