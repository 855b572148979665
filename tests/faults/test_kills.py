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
import scene as stages

from builder.bundle import journal
from builder.bundle.writer import journal_path
from builder.lab.faults import Drip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scene import Scene, Stage

KILLS = 100
AT_ONCE = 2
AGAIN = 0.3
"""How likely a run that goes on is killed, too."""
EARLY = 0.2
"""How likely a run is killed at any moment since its start, not since its first request."""
SLOWLY = Drip(piece=1 << 15, pause=0.03)
"""So that a run takes long enough to be killed inside."""


@dataclass
class Tally:
    """Count what happened in one scene."""

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
    """Make bundles in one scene, in runs that are killed, until there were enough of them."""

    stage: Stage
    scene: Scene
    dice: random.Random
    tally: Tally = field(default_factory=Tally)
    usual: float = 1.0
    """Seconds from first request to end, as they were seen last: a machine's load changes."""

    def play(self, kills: int) -> Tally:
        self.scene.upstream.faults.add(SLOWLY, path="*/blobs/*")
        self.scene.upstream.faults.add(SLOWLY, path="*.rpm")
        self.scene.upstream.faults.add(SLOWLY, path="/sha256/*")
        while self.tally.kills < kills:
            self.one_bundle()
        return self.tally

    def one_bundle(self) -> None:
        """Kill a run, maybe the next one too; then let one end."""
        for path in self.scene.folder.glob("bundle.tar*"):
            path.unlink()
        before = len(self.scene.upstream.requests)
        while self.kill() and self.dice.random() < AGAIN:
            pass
        self.watched(lambda: self.complain(self.scene.bundle().code, "the last run fails"))
        self.tally.bundles += 1
        self.tally.wanted += sum(extent.size for extent in self.stage.blobs)
        requests = self.scene.upstream.requests[before:]
        self.tally.fetched += sum(stages.bytes_for(one, requests) for one in self.stage.blobs)
        self.complain(not self.stage.is_right(self.scene), "the bundle has other bytes")
        left = self.scene.names - stages.LEFT
        self.complain(left, f"left behind: {left}")

    @property
    def asked(self) -> int:
        """Count the requests, without waiting for those that are under way."""
        return len(self.scene.upstream.journal._entries)

    def kill(self) -> bool:
        """Start a run and kill it at a random moment; tell whether it was not over by then."""

        def run() -> int:
            with self.scene.start("bundle", "cluster.lock") as process:
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

        before = len(self.scene.upstream.requests)
        killed = self.watched(run) < 0
        self.tally.kills += killed
        self.tally.inside += killed and len(self.scene.upstream.requests) > before
        return killed

    def watched(self, run: Callable[[], int]) -> int:
        """Do something, which must not ask for what is finished already."""
        claims = journal.read(journal_path(self.scene.bundle_path)).claims
        finished = {path for path, claim in claims.items() if claim.done}
        self.tally.found += len(finished)
        before = len(self.scene.upstream.requests)
        code = run()
        requests = self.scene.upstream.requests[before:]
        for extent in self.stage.blobs:
            if extent.path in finished:
                sent = stages.bytes_for(extent, requests)
                self.complain(sent, f"{extent.path} was finished and is fetched again")
        return code

    def complain(self, wrong: object, what: str) -> int:
        if wrong:
            self.tally.wrong.append(what)
        return bool(wrong)


def play_all(stage: Stage, folder: Path, kills: int, at_once: int, seed: int) -> list[Tally]:
    """Kill so many runs, in several scenes at once."""

    def play(number: int) -> Tally:
        with stage.scene(folder / str(number) / "work") as scene:
            return Killer(stage, scene, random.Random(seed + number)).play(-(-kills // at_once))

    with ThreadPoolExecutor(at_once) as pool:
        tallies = list(pool.map(play, range(at_once)))
    assert [one for tally in tallies for one in tally.wrong] == []
    return tallies


def test_a_sample_of_kills(stage: Stage, tmp_path: Path) -> None:
    [tally] = play_all(stage, tmp_path, kills=2, at_once=1, seed=7)
    assert tally.kills >= 2


@pytest.mark.campaign
def test_a_hundred_kills(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    tallies = play_all(stage, tmp_path, KILLS, AT_ONCE, seed=0)
    kills, bundles = sum(t.kills for t in tallies), sum(t.bundles for t in tallies)
    inside, found = sum(t.inside for t in tallies), sum(t.found for t in tallies)
    more = sum(t.fetched for t in tallies) / sum(t.wanted for t in tallies) - 1
    assert kills >= KILLS
    assert inside >= KILLS // 3
    assert found > 0
    with capsys.disabled():
        print(
            f"\n{kills} kills ({inside} of them while it was fetching), {bundles} bundles, all"
            f" byte-identical: {found} finished artifacts were found again and none fetched again,"
            f" {more:.1%} more bytes than without kills, in {time.monotonic() - start:.0f} s"
        )
