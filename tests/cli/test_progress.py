from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest

from builder.cli.console import Console
from builder.cli.meter import Meter
from builder.cli.progress import Lines
from builder.errors import AirseedError


class Clock:
    """Be a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_now_and_then() -> None:
    clock, lines = Clock(), list[str]()
    with Lines("bundle", 1_000_000_000, unit="B", report=lines.append, clock=clock) as progress:
        progress.advance(400_000_000, cached=True)
        for _ in range(12):
            clock.now += 1
            progress.advance(50_000_000)
            progress.describe("waiting 9 s for registry.k8s.io" if clock.now < 106 else "")
    assert lines == [
        "bundle: 650 MB of 1.0 GB (65 %), 50.0 MB/s, 7 s left, waiting 9 s for registry.k8s.io",
        "bundle: 900 MB of 1.0 GB (90 %), 50.0 MB/s, 2 s left",
        "bundle: 1.0 GB in 12 s (600 MB fetched, 400 MB cached)",
    ]


def test_a_failure_says_where_it_stopped() -> None:
    clock, lines = Clock(), list[str]()
    progress = Lines("lock", 40, unit="images", report=lines.append, clock=clock)
    clock.now += 2
    progress.advance(3)
    error = AirseedError("gone")
    progress.__exit__(type(error), error, None)
    assert lines == ["lock: stopped at 3 of 40 images (7 %), 25 s left"]


def test_what_is_taken_back_does_not_count() -> None:
    clock = Clock()
    meter = Meter(100, "B", clock=clock)
    meter.advance(80, cached=False)
    clock.now += 1
    meter.advance(-80, cached=False)
    assert (meter.done, meter.rate, meter.standing) == (0, 0.0, "0 B of 100 B (0 %)")


def test_the_rate_forgets() -> None:
    clock = Clock()
    meter = Meter(None, "B", clock=clock)
    for second in range(60):
        clock.now += 1
        meter.advance(1000 if second < 30 else 10, cached=False)
    assert meter.rate == pytest.approx(10)
    assert meter.standing == "30.3 kB, 10 B/s"


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (5, "1.0 kB of 1.0 GB (0 %), 200 B/s, more than a day left"),
        (30, "1.0 kB of 1.0 GB (0 %), stalled for 30 s"),
        (3600, "1.0 kB of 1.0 GB (0 %), stalled for 1 h 0 min"),
    ],
)
def test_what_stalls_has_no_end_in_sight(pause: float, words: str) -> None:
    clock = Clock()
    meter = Meter(1_000_000_000, "B", clock=clock)
    meter.advance(1000, cached=False)
    for _ in range(int(pause)):
        clock.now += 1
        meter.advance(0, cached=False)
    assert meter.standing == words


def test_counting_from_many_threads() -> None:
    meter = Meter(None, "B")

    def work() -> None:
        for _ in range(10_000):
            meter.advance(1, cached=False)
            meter.advance(1, cached=True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (meter.fetched, meter.cached) == (80_000, 80_000)


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.quiet = True
    with console.progress("bundle", 10) as progress:
        progress.advance(10)
        progress.describe("x")
    console.info("done")
    assert capsys.readouterr() == ("", "")


PROGRAM = """
from builder.cli.console import Console
console = Console()
with (
    console.progress("bundle", 1000) as outer,
    console.progress("images", 3, unit="images") as inner,
):
    outer.advance(400, cached=True)
    outer.describe("[one] of \\x1b[5m them")
    console.warn("a source is slow", hint="wait")
    inner.advance(1)
    inner.advance(2, cached=True)
    outer.advance(600)
console.result("finished")
"""


def test_a_live_bar_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        text=True,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # the other side of a terminal closed
            pass
        os.close(ours)
        out, _ = process.communicate()
    text = seen.decode()
    assert (process.returncode, out) == (0, "finished\n")
    assert "━" in text
    assert "warning:" in text
    assert "a source is slow" in text
    # on lines of their own: what the bars have drawn is erased before, and drawn again below
    [warning] = [line for line in text.split("\r\n") if "a source is slow" in line]
    assert warning.rpartition("\x1b[2K")[2].replace("\x1b[0m", "").strip() == (
        "\x1b[1;33mwarning:\x1b[0m a source is slow".replace("\x1b[0m", "")
    )
    assert "\x1b[5m" not in text
    assert "images: 3 images in 0 s (1 fetched, 2 cached)\r\n" in text
    assert "bundle: 1.0 kB in 0 s (600 B fetched, 400 B cached)\r\n" in text
    assert text.rstrip().endswith("cached)")
