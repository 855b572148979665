"""Power cuts at chosen moments."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Machine

STEPS = (
    "before", "preflight", "host", "packages", "runtime", "images", "kubeadm", "addons", "after",
    "finish",
)  # fmt: skip
_PATIENCE = 600
_POLL = 0.005
_FRESH = 15
"""Seconds: what was written in the last ones may not be on disk when the power goes."""
_FRAGILE = ("var/lib/airseed/stamps", "etc/kubernetes")


def await_moment(
    is_now: Callable[[], bool], what: str, *, patience: float = _PATIENCE, poll: float = _POLL
) -> None:
    """Wait for a moment, looking so often that it is not missed."""
    end = time.monotonic() + patience
    while not is_now():
        assert time.monotonic() < end, f"{what} did not come in {patience} s"
        time.sleep(poll)


def cut_in_step(machine: Machine, step: str, *, torn: bool = False) -> list[str]:
    """Pull the plug while a step runs; ``torn`` empties what was just written. Name those files."""

    def seen() -> bool:
        result = machine.result
        finished = {one["name"] for one in result.get("steps", ())}
        assert step not in finished, f"{machine.name} was through step {step} before it was seen"
        assert machine.runs, f"{machine.name} went down:\n{machine.console[-2000:]}"
        return result.get("step") == step

    await_moment(seen, f"step {step} of {machine.name}")
    machine.kill()
    return [str(path) for path in _tear(machine)] if torn else []


def _tear(machine: Machine) -> Iterator[Path]:
    """Empty the stamps, keys and manifests that were written last."""
    newest = time.time() - _FRESH
    for top in _FRAGILE:
        for path in sorted((machine.root / top).rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime > newest:
                path.write_bytes(b"")
                yield path.relative_to(machine.root)


def cut_between_member_and_etcd(cluster: Cluster, joiner: Machine) -> None:
    """Pull the joiner's plug when it is a member of etcd, and its own etcd has not started."""

    about_to = joiner.root / "var/lib/airseed/stamps/member"

    def seen() -> bool:
        if not about_to.exists():
            return False
        with suppress(StopIteration, ValueError, KeyError):
            return "?" in cluster.etcd_members(check=False)
        return False

    await_moment(seen, f"{joiner.name} as a member that has not started")
    joiner.kill()
    assert not (joiner.folder / "etcd/member").exists(), "its etcd had started already"
