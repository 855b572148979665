"""Streams that are closed or full and memory that is short end in words, never in a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builder.cli import failure
from builder.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

AIRSEED = f"{sys.executable} -m builder"
_DEATHS = {signal.SIGABRT, signal.SIGSEGV}


def shell(command: str, cwd: Path) -> tuple[int, str, str]:
    """Run a command line; the exit code is airseed's, and AIRSEED stands for it."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.replace('AIRSEED', AIRSEED)}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        # what is held back is written at the end, as with everybody
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("AIRSEED inspect cluster.lock 2>&-", 0),
        ("AIRSEED inspect nothing 2>&-", 2),
        ("AIRSEED verify bundle.tar 2>&-", 0),
        ("AIRSEED verify bundle.tar 2>/dev/full", 0),
        ("AIRSEED verify bundle.tar 0<&- 1>&- 2>&-", 0),
        ("AIRSEED verify bundle.tar --json >&-", 0),
        ("AIRSEED nonsense 2>/dev/full", 2),
        ("AIRSEED inspect cluster.lock >/dev/full", 1),
        ("AIRSEED inspect cluster.lock >/dev/full 2>/dev/full", 1),
        ("AIRSEED versions >/dev/full", 1),
        ("AIRSEED versions >/dev/full 2>&-", 1),
        ("AIRSEED --help >/dev/full", 1),
        ("AIRSEED --help >/dev/full 2>/dev/full", 1),
        ("AIRSEED nothing >/dev/full 2>/dev/full", 2),
        ("AIRSEED inspect cluster.lock | head -1", 0),
        ("AIRSEED versions | head -1", 0),
        ("AIRSEED verify bundle.tar 2> >(head -c 1 >/dev/null)", 0),
        ("AIRSEED export bundle.tar --keys-only -o keys 0<&- 1>&- 2>&-", 0),
    ],
)
def test_streams(sample: Sample, tmp_path: Path, command: str, code: int) -> None:
    for name in ("cluster.yaml", "cluster.lock", "bundle.tar"):
        (tmp_path / name).symlink_to(sample.folder / name)
    found, _, err = shell(command, tmp_path)
    assert (found, "Traceback" in err) == (code, False), err
    assert not (tmp_path / "keys").exists() or (tmp_path / "keys/docker-ce.asc").read_bytes()
    assert "Exception ignored" not in err
    if command.endswith(">/dev/full") and "2>" not in command:
        assert err == "error: no space left on device\n"


_WARNS = """
import warnings
from builder.cli import main, root
root.run = lambda words: warnings.warn("the clock is off", stacklevel=1) or 0
main([])
"""


@pytest.mark.parametrize("asked", [False, True])
def test_what_libraries_warn_of_is_not_said(asked: bool) -> None:
    """As urllib3 does of a clock that is behind, before the error that has both times."""
    words = [sys.executable, *(["-Wdefault"] if asked else []), "-c", _WARNS]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ("the clock is off" in done.stderr) == asked


@pytest.mark.parametrize("megabytes", [60, 90, 120, 150, 200])
@pytest.mark.parametrize("words", ["verify bundle.tar", "inspect cluster.lock --sbom spdx"])
def test_memory_that_is_short(sample: Sample, words: str, megabytes: int) -> None:
    code, _, err = shell(
        f"ulimit -v {megabytes << 10}; AIRSEED --version >&2 || exit 99; AIRSEED {words}",
        sample.folder,
    )
    if code == 99:
        pytest.skip("Python itself does not start")
    # as bash says it, or as whoever runs bash hears it
    if code - 128 in _DEATHS or -code in _DEATHS:
        pytest.skip("a compiled library that is out of memory ended the process")
    assert code in {0, 1}, err
    assert "Traceback" not in err
    if code:
        assert "error: there is not enough memory\n" in err or "error: no more threads" in err


@pytest.mark.parametrize("words", ["verify bundle.tar", "inspect cluster.lock --sbom spdx"])
def test_no_temporary_file_can_be_written(sample: Sample, words: str) -> None:
    """A limit of nothing for files is what a full or read-only disk is, wherever it is mounted."""
    code, _, err = shell(f"ulimit -f 0; AIRSEED {words}", sample.folder)
    assert (code, err.splitlines()[-2:]) == (
        1,
        [
            "error: no folder for temporary files can be written",
            "  hint: free some space there, or name another one: TMPDIR=/path airseed ...",
        ],
    )


@pytest.mark.parametrize("number", [errno.EFBIG, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_what_a_disk_says_without_a_name(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure.report(OSError(number, os.strerror(number)), Console()) == 1
    assert capsys.readouterr().err == f"error: {os.strerror(number).lower()}\n"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "there is not enough memory"),
        (OSError(12, "Cannot allocate memory"), "there is not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "there is not enough"),
        (RuntimeError("can't start new thread"), "no more threads can be started"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "no more threads can be started"),
        (OSError(24, "Too many open files"), "too many files are open"),
        (
            FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"),
            "no folder for temp",
        ),
        (OSError(24, "Too many open files", "/a/b"), "/a/b: too many open files"),
    ],
)
def test_what_the_machine_lacks(
    error: Exception, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure.report(error, Console()) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {what}")
    assert "\n  hint: " in err
