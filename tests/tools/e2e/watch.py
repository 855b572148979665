"""What users of a cluster notice while it changes: API servers, and a workload with a budget."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2e.power_cuts import await_moment
from e2e.resources import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.cluster import Cluster

PORT = 30053
_PKI = "etc/kubernetes/pki"


@dataclass(frozen=True)
class Answers:
    """What one target answered: moments of questions in seconds since 1970."""

    asked: int = 0
    failed: tuple[tuple[float, str], ...] = ()
    longest: float = 0
    """The longest time between two good answers."""

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
            good = [line["at"] + line["took"] for line in own if not line["wrong"]]
            gaps = [late - soon for soon, late in itertools.pairwise(good)]
            failed = tuple((line["at"], line["wrong"]) for line in own if line["wrong"])
            seen[name] = Answers(len(own), failed, max(gaps, default=0))
        return seen

    def __str__(self) -> str:
        return "\n".join(f"  {name:22} {answers}" for name, answers in self.answers().items())


def deploy(cluster: Cluster, image: str) -> None:
    """Start two replicas with a budget that lets one go, behind a port of every node."""
    first = next(iter(cluster.machines.values()))
    text = (DATA / "workload.yaml").read_text("utf-8").replace("$image", image)
    first.sh("kubectl", "apply", "-f", "-", input=text.replace("$port", str(PORT)))
    first.sh("kubectl", "rollout", "status", "deployment/answers", "--timeout=180s")


@contextmanager
def watched(cluster: Cluster, planes: list[str], nodes: list[str]) -> Iterator[Watch]:
    """Ask each of some control planes, and the workload by each of some nodes, all the time."""
    assert cluster.switch
    first = next(iter(cluster.machines.values()))
    targets = {
        f"https://{cluster.machine(name).address}:6443/api/v1/namespaces/default": f"API of {name}"
        for name in planes
    } | {f"dns:{cluster.machine(name).address}:{PORT}": f"workload by {name}" for name in nodes}
    file = cluster.folder / f"answers-{time.time():.0f}.jsonl"
    file.touch()
    watch = Watch(file, targets)
    words = [
        *cluster.switch.prefix, sys.executable, DATA / "probe.py", file,
        first.root / _PKI / "ca.crt",
        first.root / _PKI / "apiserver-kubelet-client.crt",
        first.root / _PKI / "apiserver-kubelet-client.key",
        *targets,
    ]  # fmt: skip
    process = subprocess.Popen([*map(str, words)], stdin=subprocess.DEVNULL)
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
