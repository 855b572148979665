"""Where things are, and how programs are run."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

E2E = Path(__file__).resolve().parents[2] / "e2e"
DATA = E2E / "data"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airseed" / "e2e"
"""What ``setup.sh`` built, to be kept."""
ROOT = CACHE / "rootfs" / "root"
"""The node's operating system as debootstrap made it."""
_RUN = 900


@cache
def data(name: str) -> Any:
    """Read a document of ``tests/e2e/data``."""
    return yaml.safe_load((DATA / name).read_text("utf-8"))


def source(text: str) -> Path:
    """Return the file that a source names; see ``packages.yaml``."""
    kind, _, path = text.rpartition(":")
    return {"": DATA, "cache": CACHE, "host": Path("/"), "root": ROOT}[kind] / path.lstrip("/")


def run(*words: str | Path, check: bool = True, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; raise AssertionError with all it said when it fails."""
    how = {"stdin": subprocess.DEVNULL, "timeout": _RUN, **how}
    if "input" in how:
        del how["stdin"]
    done = subprocess.run(
        [*map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        **how,
    )
    assert not check or done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}"
    return done
