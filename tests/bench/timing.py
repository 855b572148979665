"""Run a program and see what it took, by the operating system's own account.

GNU time starts it: a child's peak begins with that of whoever starts it, and time is small.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_TAIL = 2000


@dataclass(frozen=True, kw_only=True)
class Took:
    """Say what one run took."""

    seconds: float
    cpu: float
    """Seconds of processor time, of all processes that it waited for."""
    peak: int
    """Bytes of memory of its largest process."""


class FailedError(Exception):
    """Say that a program did not do what it was run for, so that there is nothing to compare."""


def run(words: Sequence[str | Path], *, env: Mapping[str, str], folder: Path, log: Path) -> Took:
    """Run a program to its end; raise FailedError with its last words when it fails."""
    account = log.with_suffix(".time")
    with log.open("wb") as file:
        start = time.monotonic()
        done = subprocess.run(
            ["/usr/bin/time", "--quiet", "--format=%U %S %M", f"--output={account}", *words],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )
        seconds = time.monotonic() - start
    if done.returncode:
        tail = log.read_text("utf-8", "replace")[-_TAIL:]
        raise FailedError(f"{' '.join(map(str, words))}: exit {done.returncode}\n{tail}")
    user, system, peak = account.read_text("ascii").split()
    return Took(seconds=seconds, cpu=float(user) + float(system), peak=int(peak) * 1024)


def together(runs: Iterable[Took]) -> Took:
    """Add up runs that follow each other."""
    runs = list(runs)
    return Took(
        seconds=sum(run.seconds for run in runs),
        cpu=sum(run.cpu for run in runs),
        peak=max(run.peak for run in runs),
    )


def middle(runs: Sequence[Took]) -> float:
    """Return the median of the seconds."""
    return median(run.seconds for run in runs)


def settle() -> None:
    """Let the disk finish what earlier runs left to it, so that no run pays for another."""
    os.sync()
