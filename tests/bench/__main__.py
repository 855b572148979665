"""``make bench``: airseed beside crane, skopeo, curl, sha256sum and dnf, on loopback.

All programs take their turns, five times or more; what is compared is one program's time with
another's in the same turn, and the figure is the median of those. Before each run the disk is
left alone until it has nothing to do. Takes some eight minutes and 12 GB of disk for a while.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from interop.programs import PATH

from bench import publishing, serving
from bench.figures import Figure, table, write
from bench.setup import IMAGES, PACKAGES, Setup, setup
from bench.thousands import COUNT, ROOTS
from bench.timing import FailedError, Took, middle, settle, together

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(__file__).resolve().parents[2]
_NEEDED = ("crane", "skopeo", "docker-registry", "nginx", "modifyrepo_c", "dnf", "curl", "tar")
_LEAST = 5
_MB = 1e6


class Bench:
    """Take turns, and remember what each took."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.took: dict[str, list[Took]] = {}

    # one turn ---------------------------------------------------------------------------------

    def turn(self, number: int) -> None:
        """Let everything run once; every other time the other way round."""
        runs: list[Callable[[], None]] = [
            lambda: self._bundle("images", sync=False),
            self._crane,
            lambda: self._bundle("images", sync=True),
            self._skopeo,
            lambda: self._bundle("all", sync=False),
            self._floor,
            self._first_and_again,
            self._lock,
            self._closure,
            self._help,
        ]
        for run in runs if number % 2 else reversed(runs):
            run()

    def large(self) -> None:
        """Make a bundle of 4 GB once: only its memory is looked at."""
        self._bundle("large", sync=False)
        self._clear()

    def _bundle(self, name: str, *, sync: bool) -> None:
        self._clear()
        took = self.setup.airseed("-q", "bundle", f"{name}.lock", "-o", "out/b.tar", sync=sync)
        self._note(f"{name}{' sync' if sync else ''}", took)

    def _crane(self) -> None:
        self._clear()
        pull = self.setup.run(
            "crane", "pull", "--format", "oci", "--platform", "linux/amd64",
            *self.setup.references, "out/crane",
        )  # fmt: skip
        self._note("crane pull", pull)
        self._packed("crane", pull)

    def _skopeo(self) -> None:
        self._clear()
        took = self.setup.run(
            "skopeo", "--policy", self.setup.home / "policy.json", "sync", "--scoped",
            "--src", "yaml", "--dest", "dir", "sync.json", "out/skopeo",
        )  # fmt: skip
        self._packed("skopeo", took)

    def _packed(self, name: str, took: Took) -> None:
        """Pack what a peer fetched into one file, and wait for the disk then."""
        pack = self.setup.run("tar", "-cf", f"out/{name}.tar", "-C", f"out/{name}", ".")
        self._note(f"{name} tar", together((took, pack)))
        wait = self.setup.run("sync", "-f", f"out/{name}.tar")
        self._note(f"{name} tar sync", together((took, pack, wait)))

    def _floor(self) -> None:
        self._clear()
        (self.setup.work / "out" / "floor").mkdir()
        ca = self.setup.upstream.servers.ca
        words = f"cd out/floor && xargs -P4 -L1 curl -sf --cacert {ca} < ../../urls"
        took = self.setup.run("sh", "-c", words)
        self._note("floor", took)
        wait = self.setup.run("sync", "-f", "out/floor")
        self._note("floor sync", together((took, wait)))

    def _first_and_again(self) -> None:
        """Make the bundle as a user does; again; then verify it beside sha256sum."""
        self._bundle("all", sync=True)
        self._note("again", self.setup.airseed("-q", "bundle", "all.lock", "-o", "out/b.tar"))
        self.setup.run("mkdir", "out/unpacked")
        self.setup.run("tar", "-xf", "out/b.tar", "-C", "out/unpacked")
        cores = len(os.sched_getaffinity(0))
        # largest first, which is the best that the processes can be given
        words = (
            f"find . -type f -printf '%s %p\\n' | sort -rn | cut -d' ' -f2 | xargs -P{cores} -n1"
        )
        self._note("verify", self.setup.airseed("-q", "verify", "out/b.tar"))
        self._note("sha256sum", self.setup.run("sh", "-c", f"cd out/unpacked && {words} sha256sum"))

    def _lock(self) -> None:
        """Lock the walkthrough's cluster with nothing of an earlier run."""
        work, cache = self.setup.work, self.setup.home / "cache"
        for folder in (work / "ha.lock.d", cache):
            shutil.rmtree(folder, ignore_errors=True)
        (work / "ha.lock").unlink(missing_ok=True)
        self._note("lock", self.setup.lock("ha.yaml"))

    def _closure(self) -> None:
        """Solve one closure, with empty caches and with those that this leaves."""
        url = f"{self.setup.upstream.servers.plain}/thousands/"
        caches = [self.setup.home / name for name in ("closure", "dnf")]
        env = {**self.setup.env, "PYTHONPATH": f"{_ROOT / 'tests'}:{_ROOT / 'tests' / 'tools'}"}
        for folder in caches:
            shutil.rmtree(folder, ignore_errors=True)
        for state in ("cold", "warm"):
            took = self.setup.run(
                sys.executable, "-m", "bench.closure", url, caches[0], *ROOTS, env=env
            )
            ours = self._urls()
            self._note(f"closure {state}", took)
            took = self.setup.run(
                "dnf", "-q", "--setopt=reposdir=/nonexistent", f"--setopt=cachedir={caches[1]}",
                f"--installroot={self.setup.home}/root", f"--repofrompath=bench,{url}",
                "--repo=bench", "--releasever=7", "--forcearch=x86_64",
                "download", "--resolve", "--alldeps", "--url", *ROOTS,
            )  # fmt: skip
            self._note(f"dnf {state}", took)
            if not ours or ours != self._urls():
                raise FailedError("airseed and dnf find other packages")

    def _urls(self) -> set[str]:
        words = (self.setup.folder / "log").read_text("utf-8").split()
        return {word for word in words if word.endswith(".rpm")}

    def _help(self) -> None:
        self._note("help", self.setup.airseed("--help"))

    def _clear(self) -> None:
        shutil.rmtree(self.setup.work / "out", ignore_errors=True)
        (self.setup.work / "out").mkdir()
        settle()

    def _note(self, name: str, took: Took) -> None:
        self.took.setdefault(name, []).append(took)

    # what it comes to -------------------------------------------------------------------------

    def figures(self) -> list[Figure]:
        """Return all figures, those with goals first."""
        peers = [
            ("images", "crane tar", 0.35, "bundle / crane pull + tar"),
            ("images", "crane pull", 0.8, "bundle / crane pull alone"),
            ("images", "skopeo tar", 0.2, "bundle / skopeo sync + tar"),
            ("all", "floor", 1.15, "bundle / floor (xargs -P4 curl)"),
            ("images sync", "crane tar sync", 0.6, "bundle / crane pull + tar, both synced"),
            ("images sync", "skopeo tar sync", None, "bundle / skopeo sync + tar, both synced"),
            ("all sync", "floor sync", None, "bundle / floor, both synced"),
            ("again", "all sync", 0.05, "nothing new / first run"),
        ]
        found = [
            Figure(figure=text, value=self._ratio(ours, peer), goal=goal, unit="x")
            for ours, peer, goal, text in peers
        ]
        found.append(
            Figure(
                figure="verify, speed / sha256sum on every core",
                value=self._ratio("sha256sum", "verify"),
                goal=0.9,
                unit="x",
                better="more",
            )
        )
        small = max(self._peak("images"), self._peak("images sync"))
        large = self._peak("large")
        found += [
            Figure(figure="peak memory, 1.2 GB", value=small, goal=120, unit="MB"),
            Figure(
                figure="peak memory, 1.2 GB and RPMs", value=self._peak("all"), goal=120, unit="MB"
            ),
            Figure(figure="peak memory, 4 GB", value=large, goal=120, unit="MB"),
            Figure(figure="peak memory, 4 GB / 1.2 GB", value=large / small, goal=1.1, unit="x"),
            Figure(
                figure=f"closure over {COUNT:,} packages / dnf",
                value=self._ratio("closure cold", "dnf cold"),
                goal=1,
                unit="x",
            ),
            Figure(
                figure="the same with both caches warm",
                value=self._ratio("closure warm", "dnf warm"),
                unit="x",
            ),
            Figure(
                figure="lock of the ha example", value=middle(self.took["lock"]), goal=3, unit="s"
            ),
            Figure(
                figure="airseed --help", value=1000 * middle(self.took["help"]), goal=150, unit="ms"
            ),
        ]
        return found + [
            Figure(figure=f"  {name}", value=middle(runs), unit="s")
            for name, runs in self.took.items()
        ]

    def _ratio(self, ours: str, theirs: str) -> float:
        pairs = zip(self.took[ours], self.took[theirs], strict=True)
        return median(one.seconds / other.seconds for one, other in pairs)

    def _peak(self, name: str) -> float:
        return max(run.peak for run in self.took[name]) / _MB


def _go() -> str:
    """Say which Go built crane, on which its speed depends."""
    path = shutil.which("crane", path=PATH)
    content = Path(path).read_bytes() if path else b""
    found = re.search(rb"go1\.[0-9]{1,2}(?:\.[0-9]{1,2})?", content)
    return found[0].decode() if found else "an unknown Go"


def main() -> int:
    """Measure; return 0 when every goal is reached, else 1."""
    reader = argparse.ArgumentParser(prog="bench", description=__doc__)
    reader.add_argument("--runs", type=int, default=_LEAST, help="turns that are taken (5 or more)")
    reader.add_argument("--out", type=Path, default=_ROOT / "build" / "bench.json")
    chosen = reader.parse_args()
    runs = max(_LEAST, chosen.runs)
    if missing := [name for name in _NEEDED if not shutil.which(name, path=PATH)]:
        print(f"not installed: {', '.join(missing)}; run tests/interop/setup.sh", file=sys.stderr)
        return 2
    place = _ROOT / "build"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder:
        print(f"building images ({IMAGES:g} x) and RPMs ({PACKAGES:g} x), two minutes", flush=True)
        try:
            with setup(Path(folder)) as made:
                bench = Bench(made)
                for number in range(runs):
                    print(f"turn {number + 1} of {runs}", flush=True)
                    bench.turn(number)
                bench.large()
                published = publishing.measure(made, runs)
        except FailedError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        (Path(folder) / "serving").mkdir()
        served = serving.measure(Path(folder) / "serving", runs)
        figures = [*bench.figures(), *published, *served]
    print(f"crane was built by {_go()}: before 1.21, Go did not use a processor's SHA instructions")
    write(figures, chosen.out)
    print(table(figures))
    return 1 if any(one.met is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
