"""What is noticed while a cluster changes or breaks: API servers, a workload, an address."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.power_cuts import await_moment
from e2e.resources import DATA
from e2e.root_image import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster
    from e2e.machine import Machine

PORT = 30053
_PKI = "/etc/kubernetes/pki"
_CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
_EACH = 0.5
_SOON = 0.1
"""Seconds between two questions to an endpoint, and between two looks at who has its address."""


@dataclass(frozen=True)
class Answers:
    """What one target answered: moments of questions in seconds since 1970."""

    asked: int = 0
    failed: tuple[tuple[float, str], ...] = ()
    longest: float = 0
    """The longest time between two good answers."""
    good_for: float = 0
    """How long before the last good answer there was no other."""
    last: float = 0
    """When that was, in seconds since 1970."""

    def __str__(self) -> str:
        kinds = sorted({wrong for _, wrong in self.failed})
        seen = f" ({'; '.join(kinds)[:200]})" if kinds else ""
        return (
            f"{self.asked} asked, {len(self.failed)} failed, longest gap {self.longest:.1f} s{seen}"
        )


@dataclass
class Watch:
    """Hold what was seen, by target."""

    file: Path
    names: dict[str, str] = field(default_factory=dict)

    def answers(self) -> dict[str, Answers]:
        """Count what is there by now."""
        lines = [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]
        seen = {}
        for target, name in self.names.items():
            own = [line for line in lines if line["target"] == target]
            good = sorted(line["at"] + line["took"] for line in own if not line["wrong"])
            gaps = [late - soon for soon, late in itertools.pairwise(good)]
            failed = tuple((line["at"], line["wrong"]) for line in own if line["wrong"])
            wrong = max((line["at"] + line["took"] for line in own if line["wrong"]), default=0)
            last = good[-1] if good else 0
            good_for = last - max(wrong, good[0]) if good else 0
            seen[name] = Answers(len(own), failed, max(gaps, default=0), good_for, last)
        return seen

    def __str__(self) -> str:
        return "\n".join(f"  {name:22} {answers}" for name, answers in self.answers().items())


def deploy(cluster: Cluster, image: str) -> None:
    """Start two replicas with a budget that lets one go, behind a port of every node."""
    first = cluster.first
    text = (DATA / "workload.yaml").read_text("utf-8").replace("$image", image)
    first.sh("kubectl", "apply", "-f", "-", input=text.replace("$port", str(PORT)))
    first.sh("kubectl", "rollout", "status", "deployment/answers", "--timeout=180s")


@contextmanager
def watched(cluster: Cluster, planes: list[str], nodes: list[str]) -> Iterator[Watch]:
    """Ask each of some control planes, and the workload by each of some nodes, all the time."""
    first = cluster.first
    targets = {
        f"https://{cluster.machine(name).address}:6443/api/v1/namespaces/default": f"API of {name}"
        for name in planes
    } | {f"dns:{cluster.machine(name).address}:{PORT}": f"workload by {name}" for name in nodes}
    pki = f"{first.root}{_PKI}"
    own = (f"{pki}/apiserver-kubelet-client.crt", f"{pki}/apiserver-kubelet-client.key")
    assert cluster.switch
    words: tuple[str | Path, ...] = (*cluster.switch.prefix, sys.executable, DATA / "probe.py")
    file = cluster.folder / f"answers-{time.time():.0f}.jsonl"
    with _asking(Watch(file, targets), words, file, _EACH, f"{pki}/ca.crt", *own) as watch:
        yield watch


@contextmanager
def asked(machine: Machine, host: str) -> Iterator[Watch]:
    """Ask for the health of what answers at the endpoint ``host``, as kubelet of a node does."""
    leader = machine.leader
    assert leader, f"{machine.name} is off"
    shutil.copy(DATA / "probe.py", machine.root / "root")
    name = f"/root/answers-{time.time():.0f}.jsonl"
    targets = {
        f"https://{host}:6443/healthz": "healthz",
        f"https://{host}:6443/version": "version",
    }
    words = ("nsenter", f"--target={leader}", "--net", "--mount", "--", PYTHON, "/root/probe.py")
    watch = Watch(Path(f"{machine.root}{name}"), targets)
    with _asking(watch, words, name, _SOON, f"{_PKI}/ca.crt", _CLIENT, _CLIENT):
        yield watch


@contextmanager
def _asking(watch: Watch, words: tuple[str | Path, ...], *more: object) -> Iterator[Watch]:
    watch.file.touch()
    every = [*map(str, words), *map(str, more), *watch.names]
    process = subprocess.Popen(every, stdin=subprocess.DEVNULL)
    try:
        await_moment(
            lambda: all(answers.asked for answers in watch.answers().values()),
            "the first answers",
            patience=60,
            poll=0.5,
        )
        yield watch
    finally:
        process.kill()
        process.wait()


@dataclass
class Holders:
    """Hold who had an address, look by look."""

    seen: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def now(self) -> tuple[str, ...]:
        return self.seen[-1][1] if self.seen else ()

    def doubles(self) -> list[tuple[float, float, tuple[str, ...]]]:
        """Return when two or more had it at once: from, to, and who."""
        found: list[tuple[float, float, tuple[str, ...]]] = []
        before: tuple[str, ...] = ()
        for at, names in self.seen:
            if len(names) > 1:
                began = found.pop()[0] if names == before else at
                found.append((began, at, names))
            before = names
        return found

    def __str__(self) -> str:
        turns = [names for names, _ in itertools.groupby(self.seen, key=lambda one: one[1])]
        twice = max((end - began for began, end, _ in self.doubles()), default=0)
        way = ", then ".join(" and ".join(names) or "nobody" for names in turns)
        return f"{way}; longest with two {twice:.1f} s"


@contextmanager
def held(cluster: Cluster, address: str) -> Iterator[Holders]:
    """Look again and again which machines have an address; one without power has none."""
    holders, over = Holders(), threading.Event()

    def look() -> None:
        while not over.wait(_SOON):
            machines = [*cluster.machines.items()]
            names = tuple(name for name, machine in machines if _has(machine, address))
            holders.seen.append((time.time(), names))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        await_moment(lambda: bool(holders.seen), "the first look", patience=10)
        yield holders
    finally:
        over.set()
        looker.join()


def _has(machine: Machine, address: str) -> bool:
    """Ask the kernel for its own addresses, without a process for each look."""
    with suppress(OSError, AttributeError):  # the power may go at this very moment
        pid = machine.cable.pid  # type: ignore[union-attr]
        lines = Path(f"/proc/{pid}/net/fib_trie").read_text("utf-8").splitlines()
        pairs = itertools.pairwise(line.strip() for line in lines)
        return (f"|-- {address}", "/32 host LOCAL") in pairs
    return False
