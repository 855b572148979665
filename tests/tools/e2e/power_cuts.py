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
    "before", "preflight", "host", "identity", "packages", "runtime", "images", "kubeadm", "addons",
    "after", "finish",
)  # fmt: skip
"""Those of first boot that take long enough to be hit: time and endpoint have nothing to do."""
_PATIENCE = 600
_POLL = 0.005
_FRESH = 15
"""Seconds: what was written in the last ones may not be on disk when the power goes."""
_SEED = "etc/airseed/kubeadm.yaml"
_FRAGILE = ("var/lib/airseed/stamps", "etc/kubernetes")
"""What is emptied although a stamp says that it is on disk: worse than any power cut, as long as
the seed is there to make it anew. That goes when everything was brought to the disk once more."""
_WORK = (
    "usr", "opt/cni", "etc/airseed", "etc/docker", "etc/sysctl.d", "etc/systemd", "etc/yum.repos.d",
    "var/lib/cloud/instances",
)  # fmt: skip
"""What cloud-init and the steps write: on disk for sure when a stamp says that they are through."""
_DURABLE = ("lives", "no-return", "member", "joined")
"""Stamps before and after which everything is brought to the disk, like those of steps."""
_CHANGES = "var/lib/airseed/changes"
_LAID = "var/lib/cloud/instances/*/airseed-laid"


def await_moment(
    is_now: Callable[[], bool], what: str, *, patience: float = _PATIENCE, poll: float = _POLL
) -> None:
    """Wait for a moment, looking so often that it is not missed."""
    end = time.monotonic() + patience
    while not is_now():
        assert time.monotonic() < end, f"{what} did not come in {patience} s"
        time.sleep(poll)


def cut_in_step(
    machine: Machine, step: str, *, torn: bool = False, plan: str = "first-boot", later: float = 0
) -> list[str]:
    """Pull the plug while a step runs; ``torn`` empties what was just written. Name those files."""
    await_moment(
        lambda: machine.result.get("plan") == plan and _is_in(machine, step),
        f"step {step} of {machine.name}",
    )
    time.sleep(later)
    machine.kill()
    return tear(machine) if torn else []


def cut_at_work(machine: Machine, work: str) -> list[str]:
    """Pull the plug in the middle of a step's work, and empty what was just written.

    ``work`` is one of :data:`WORKS`. Name the files that were lost.
    """
    step, is_now, later = WORKS[work]
    await_moment(
        lambda: (not step or _is_in(machine, step)) and is_now(machine), f"{machine.name}: {work}"
    )
    time.sleep(later)
    machine.kill()
    if step:
        assert not (machine.root / f"var/lib/airseed/stamps/step-{step}").exists(), "came too late"
    return tear(machine)


def _is_in(machine: Machine, step: str) -> bool:
    result = machine.result
    finished = {step_done["name"] for step_done in result.get("steps", ())}
    assert step not in finished, f"{machine.name} was through step {step} before it was seen"
    assert machine.runs, f"{machine.name} went down:\n{machine.console[-2000:]}"
    # what it says may be from before the last cut
    return bool(result.get("step") == step) and result["updated"] >= machine.started


def _has(path: str) -> Callable[[Machine], bool]:
    """Look for a file that was made since power-on: one of before the last cut does not count."""

    def seen(machine: Machine) -> bool:
        with suppress(OSError):
            return (machine.root / path).stat().st_ctime > machine.started
        return False

    return seen


def _is_laid(machine: Machine) -> bool:
    assert not [*machine.root.glob(_LAID)], "the seed was on disk before it was seen"
    return (machine.root / "etc/airseed/node.env").exists()


def _loads(machine: Machine) -> bool:
    """Look for a layer that docker is through with, while it has others before it."""
    marked = (machine.root / "var/lib/airseed/images-load").exists()
    return marked and bool([*machine.folder.glob("docker/image/overlay2/layerdb/sha256/*")])


WORKS: dict[str, tuple[str, Callable[[Machine], bool], float]] = {
    "cloud-init lays the seed down": ("", _is_laid, 0),
    "yum begins": ("packages", _has("var/lib/airseed/yum-runs"), 0.5),
    "yum writes": ("packages", _has("usr/bin/kubelet"), 0),
    "images are loaded": ("images", _loads, 0),
    "certificates are there": ("kubeadm", _has("etc/kubernetes/pki/sa.pub"), 0),
    "etcd is told to start": ("kubeadm", _has("etc/kubernetes/manifests/etcd.yaml"), 0.2),
    "kubelet has its certificate": ("kubeadm", _has("etc/kubernetes/kubelet.conf"), 0.2),
    "the network is applied": ("addons", _has("var/lib/airseed/manifests"), 0.1),
}
"""Moments by name: the step, what is seen then, and how many seconds later the power goes."""


def tear(machine: Machine) -> list[str]:
    """Empty what was written last on a machine that is off, and name it."""
    return [str(path) for path in _torn(machine)]


def _torn(machine: Machine) -> Iterator[Path]:
    """Empty stamps, keys and manifests, and work that has no stamp yet.

    By the time of the last change to the file: packages say what its time of writing is.
    """
    newest = time.time() - _FRESH
    marks = machine.root / "var/lib/airseed/stamps"
    stamps = [*marks.glob("step-*"), *machine.root.glob(_LAID)]
    stamps += machine.root.glob(f"{_CHANGES}/*/*/stamps/step-*")
    stamps += [path for name in _DURABLE if (path := marks / name).exists()]
    stamped = max([newest, *(path.stat().st_ctime for path in stamps)])
    # what came with the image is in the layers below
    upper = machine.folder / "upper"
    fragile = _FRAGILE if (machine.root / _SEED).exists() else _FRAGILE[:1]
    # a change has no seed to make them from: what the last stamp stands for is on the disk
    for top in (*_FRAGILE, *_WORK, _CHANGES):
        for path in _changed(upper / top, newest if top in fragile else stamped):
            lost = path.relative_to(upper)
            (machine.root / lost).write_bytes(b"")
            yield lost
    for path in _changed(machine.folder / "kubelet", stamped):
        if path.parent.name in {"pki", "kubelet"}:
            path.write_bytes(b"")
            yield path.relative_to(machine.folder)
    # docker waits for the disk with its records, but not with the files of images; we do, and there
    # is a mark until then
    stamped = max([stamped, *(path.stat().st_ctime for path in _marked_loads(machine))])
    for layer in sorted(machine.folder.glob("docker/overlay2/*/diff")):
        for path in _changed(layer, stamped):
            path.write_bytes(b"")
            yield path.relative_to(machine.folder)


def _marked_loads(machine: Machine) -> Iterator[Path]:
    """Return what was written after all images that there are were brought to the disk."""
    state = machine.root / "var/lib/airseed"
    marks = [path for path in (state / "images-load", state / "images-return") if path.exists()]
    return iter(marks) if marks else (state / "images").glob("*")


def _changed(folder: Path, since: float) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_ctime > since:
            yield path


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
