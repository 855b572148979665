"""``airseed bundle`` killed at any moment goes on where it was, and nothing is fetched twice."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import sandboxes
from fault_lab.faults import Drip

from builder.bundle import delta, journal
from builder.bundle.existing import journal_path
from builder.formats import inventory
from builder.model.inventory import Holding, Inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox

    from builder.bundle.layout import Extent, Layout

KINDS = ("tar", "parts", "delta")
KILLS = 100
AT_ONCE = 2
AGAIN = 0.3
"""How likely a run that goes on is killed, too."""
EARLY = 0.2
"""How likely a run is killed at any moment since its start, not since its first request."""
SLOWLY = Drip(piece=1 << 15, pause=0.03)
"""So that a run takes long enough to be killed inside."""


@dataclass(frozen=True)
class Shape:
    """Say how bundles are made, and what they must be: one file, parts, or a delta."""

    layout: Layout
    expected: bytes
    words: tuple[str, ...] = ()
    have: bytes = b""
    """The inventory of a delta."""

    @classmethod
    def make(cls, kind: str, sample: Sample) -> Shape:
        """Return one of the shapes."""
        content = sample.bundle.read_bytes()
        if kind == "parts":
            return cls(sample.layout, content, ("--split", "2MB"))
        if kind == "tar":
            return cls(sample.layout, content)
        chosen = sample.blobs[1::2]
        layout = delta.without(sample.layout, {extent.digest for extent in chosen})
        holdings = [
            Holding(kind="blob", name="x", digest=one.digest, size=one.size) for one in chosen
        ]
        expected = bytearray(layout.size)
        for piece in layout.frame():
            expected[piece.offset : piece.offset + len(piece.content)] = piece.content
        for one in layout.fetched:
            place = sample.layout.extent(one.path).offset
            expected[one.offset : one.offset + one.size] = content[place : place + one.size]
        return cls(
            layout,
            bytes(expected),
            ("--have", "have.json", "-o", "bundle.tar"),
            inventory.write(Inventory(holdings=tuple(holdings))),
        )

    @property
    def blobs(self) -> list[Extent]:
        """Return what comes over the network."""
        return [e for e in self.layout.fetched if not getattr(e.content, "kept", False)]

    def names(self) -> set[str]:
        """Return what may lie in the folder in the end."""
        if "--split" not in self.words:
            return {"bundle.tar", *(["have.json"] if self.have else [])}
        count = -(-len(self.expected) // 2_000_000)
        return {"bundle.tar.sha256", *(f"bundle.tar.{n:03}" for n in range(1, count + 1))}

    def is_right(self, sandbox: Sandbox) -> bool:
        """Compare each byte of what was made."""
        files = sorted(self.names() & sandbox.names - {"have.json", "bundle.tar.sha256"})
        return b"".join((sandbox.folder / name).read_bytes() for name in files) == self.expected


@dataclass
class Tally:
    """Count what happened in one sandbox."""

    bundles: int = 0
    kills: int = 0
    inside: int = 0
    """Kills between the first byte and the last."""
    found: int = 0
    """Finished artifacts that later runs found, and asked nobody for."""
    wanted: int = 0
    """Bytes that had to come over the network."""
    fetched: int = 0
    """Bytes that did."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Killer:
    """Make bundles in one sandbox, in runs that are killed, until there were enough of them."""

    shape: Shape
    sandbox: Sandbox
    dice: random.Random
    tally: Tally = field(default_factory=Tally)
    usual: float = 1.0
    """Seconds from first request to end, as they were seen last: a machine's load changes."""

    def play(self, kills: int) -> Tally:
        if self.shape.have:
            (self.sandbox.folder / "have.json").write_bytes(self.shape.have)
        self.sandbox.upstream.faults.add(SLOWLY, path="*/blobs/*")
        self.sandbox.upstream.faults.add(SLOWLY, path="*.rpm")
        self.sandbox.upstream.faults.add(SLOWLY, path="/sha256/*")
        while self.tally.kills < kills:
            self.one_bundle()
        return self.tally

    def one_bundle(self) -> None:
        """Kill a run, maybe the next one too; then let one end."""
        for path in self.sandbox.folder.glob("bundle.tar*"):
            path.unlink()
        before = len(self.sandbox.upstream.requests)
        while self.kill() and self.dice.random() < AGAIN:
            pass
        words = self.shape.words
        self.watched(
            lambda: self.expect_not(self.sandbox.bundle(*words).code, "the last run fails")
        )
        self.tally.bundles += 1
        self.tally.wanted += sum(extent.size for extent in self.shape.blobs)
        requests = self.sandbox.upstream.requests[before:]
        self.tally.fetched += sum(sandboxes.bytes_for(one, requests) for one in self.shape.blobs)
        self.expect_not(not self.shape.is_right(self.sandbox), "the bundle has other bytes")
        left = self.sandbox.names - (sandboxes.LEFT - {"bundle.tar"}) - self.shape.names()
        self.expect_not(left, f"left behind: {left}")

    @property
    def asked(self) -> int:
        """Count the requests, without waiting for those that are under way."""
        return len(self.sandbox.upstream.access_log._entries)

    def kill(self) -> bool:
        """Start a run and kill it at a random moment; tell whether it was not over by then."""

        def run() -> int:
            with self.sandbox.start("bundle", "cluster.lock", *self.shape.words) as process:
                early, before = self.dice.random() < EARLY, self.asked
                while not early and process.poll() is None and self.asked == before:
                    time.sleep(0.005)
                start = time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=self.dice.uniform(0, self.usual))
                    self.usual = time.monotonic() - start
                process.kill()
                process.communicate()
            return process.returncode

        before = len(self.sandbox.upstream.requests)
        killed = self.watched(run) < 0
        self.tally.kills += killed
        self.tally.inside += killed and len(self.sandbox.upstream.requests) > before
        return killed

    def watched(self, run: Callable[[], int]) -> int:
        """Do something, which must not ask for what is finished already."""
        claims = journal.read(journal_path(self.sandbox.bundle_path)).claims
        finished = {path for path, claim in claims.items() if claim.done}
        self.tally.found += len(finished)
        before = len(self.sandbox.upstream.requests)
        code = run()
        requests = self.sandbox.upstream.requests[before:]
        for extent in self.shape.blobs:
            if extent.path in finished:
                sent = sandboxes.bytes_for(extent, requests)
                self.expect_not(sent, f"{extent.path} was finished and is fetched again")
        return code

    def expect_not(self, wrong: object, what: str) -> int:
        if wrong:
            self.tally.wrong.append(what)
        return bool(wrong)


def play_all(
    sample: Sample, folder: Path, kills: int, at_once: int, seed: int, kind: str
) -> list[Tally]:
    """Kill so many runs, in several sandboxes at once."""
    shape = Shape.make(kind, sample)

    def play(number: int) -> Tally:
        with sample.sandbox(folder / str(number) / "work") as sandbox:
            return Killer(shape, sandbox, random.Random(seed + number)).play(-(-kills // at_once))

    with ThreadPoolExecutor(at_once) as pool:
        tallies = list(pool.map(play, range(at_once)))
    assert [one for tally in tallies for one in tally.wrong] == []
    return tallies


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_kills(sample: Sample, tmp_path: Path, kind: str) -> None:
    [tally] = play_all(sample, tmp_path, kills=2, at_once=1, seed=7, kind=kind)
    assert tally.kills >= 2


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_kills(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    start = time.monotonic()
    tallies = play_all(sample, tmp_path, KILLS, AT_ONCE, seed=0, kind=kind)
    kills, bundles = sum(t.kills for t in tallies), sum(t.bundles for t in tallies)
    inside, found = sum(t.inside for t in tallies), sum(t.found for t in tallies)
    more = sum(t.fetched for t in tallies) / sum(t.wanted for t in tallies) - 1
    assert kills >= KILLS
    assert inside >= KILLS // 3
    assert found > 0
    with capsys.disabled():
        print(
            f"\n{kind}: {kills} kills ({inside} of them while it was fetching), {bundles} bundles,"
            f" all byte-identical: {found} finished artifacts were found again, none fetched again,"
            f" {more:.1%} more bytes than without kills, in {time.monotonic() - start:.0f} s"
        )
