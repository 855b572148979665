"""Where things are, and how programs are run."""

from __future__ import annotations

import json
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


def releases() -> list[str]:
    """Name the releases of Kubernetes that the upstream has, the oldest first."""
    return list(data("packages.yaml")["releases"])


def fill(recipe: Any, **values: str) -> Any:
    """Put values in the place of the words that a recipe has for them, as ``$release``."""
    text = json.dumps(recipe or {})
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    return json.loads(text)


@cache
def repositories() -> dict[str, dict[str, Any]]:
    """Return the packages of every repository by their full names."""
    return {
        repository: {
            fill(nevra, release=release): fill(recipe, release=release)
            for nevra, recipe in packages.items()
            for release in (releases() if "$release" in nevra else [""])
        }
        for repository, packages in data("packages.yaml")["repositories"].items()
    }


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
