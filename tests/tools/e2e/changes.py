"""Changes to a cluster that runs: what an operator does with airseed, and what machines record."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import yaml

from e2e.resources import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Machine

SCRIPT = "root/change.sh"
_LONGEST = 3600
_STATE = "var/lib/airseed"


def edit(cluster: Cluster, change: Callable[[dict[str, Any]], object]) -> None:
    """Change cluster.yaml."""
    document = cluster.document
    change(document)
    text = yaml.safe_dump(document, sort_keys=False)
    (cluster.folder / "cluster.yaml").write_text(text, "utf-8")


def write(cluster: Cluster, change: Callable[[dict[str, Any]], object]) -> Path:
    """Edit cluster.yaml, lock, bundle, bring the bundle to the machines; give the change's folder.

    Machines see the new bundle where the old one was.
    """
    edit(cluster, change)
    catalog = ("--catalog", str(cluster.upstream.catalog))
    cluster.airseed("lock", *catalog)
    cluster.airseed("bundle")
    bring(cluster)
    print(cluster.airseed("changes", *catalog, "--write", code=5))
    return folder(cluster)


def folder(cluster: Cluster) -> Path:
    """Return the folder of the newest change."""
    return max((cluster.folder / "changes").iterdir())


def bring(cluster: Cluster, bundle: Path | None = None) -> None:
    """Unpack a bundle in the place of the one before; machines have that folder mounted."""
    unpacked = cluster.folder / "unpacked"
    for path in unpacked.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run("tar", "-xf", bundle or cluster.folder / "bundle.tar", "-C", unpacked)


def lay(machine: Machine, script: Path) -> None:
    """Copy a NODE.sh to a machine, as scp does."""
    path = machine.root / SCRIPT
    shutil.copyfile(script, path)
    path.chmod(0o600)


def call(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the NODE.sh that was laid on a machine."""
    return machine.sh("bash", f"/{SCRIPT}", *words, check=False, timeout=_LONGEST)


def start(
    cluster: Cluster, change: Path, names: Iterable[str] | None = None, *words: str
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run the scripts of machines at the same moment, to their ends."""
    # a machine's own name is that of its first day
    chosen = {name: cluster.machine(name) for name in names or cluster.names}
    for name, machine in chosen.items():
        lay(machine, change / f"{name}.sh")
    with ThreadPoolExecutor(len(chosen)) as pool:
        done = pool.map(lambda machine: call(machine, *words), chosen.values())
        return dict(zip(chosen, done, strict=True))


def go_through(cluster: Cluster, change: Path, names: Iterable[str] | None = None) -> None:
    """See a change through that is started everywhere at the same moment."""
    began = time.monotonic()
    done = start(cluster, change, names)
    print(f"\n{change.name}, all started at once: {time.monotonic() - began:.0f} s")
    for name, one in done.items():
        print(f"--- {name}: exit {one.returncode}\n{one.stdout[-2500:]}")
    assert {one.returncode for one in done.values()} == {0}, cluster.account()


def is_done(machine: Machine, change: Path) -> bool:
    return (machine.root / _STATE / "changes" / change.name / "change").exists()


def stamped(machine: Machine, change: Path, stage: int, step: str) -> float | None:
    """Return when a step of a stage was through, in seconds since 1970."""
    path = machine.root / _STATE / "changes" / change.name / str(stage) / "stamps" / f"step-{step}"
    return path.stat().st_mtime if path.exists() else None


def turns(cluster: Cluster, change: Path, stage: int = 1) -> dict[str, tuple[float, float]]:
    """Return from when to when each machine disturbed others; release's own stamp is later."""
    found = {}
    for name in cluster.names:
        machine = cluster.machine(name)
        begun, ended = (stamped(machine, change, stage, step) for step in ("turn", "addons"))
        assert begun, f"{name} never had its turn"
        assert ended, f"{name} never gave its turn back"
        found[name] = (begun, ended)
    return found


def collect(cluster: Cluster, change: Path) -> None:
    """Bring what machines recorded into the change's results."""
    for name in cluster.names:
        result = json.dumps(cluster.machine(name).result)
        (change / "results" / f"{name}.json").write_text(result, "utf-8")


def table(cluster: Cluster, change: Path, began: float, stage: int = 1) -> str:
    """Tell how many seconds each machine's turn and steps took."""
    rows = [f"{'node':8} {'turn':>6} {'done':>6}  seconds of steps (and of waiting in them)"]
    for name, (begun, ended) in turns(cluster, change, stage).items():
        result = cluster.machine(name).result
        steps = [f"{item['name']} {item['seconds']}" for item in result.get("steps", ())]
        waits = [f"({item['seconds']} for {item['for']})" for item in result.get("waits", ())]
        row = f"{name:8} {begun - began:6.0f} {ended - began:6.0f}"
        rows.append(f"{row}  {', '.join(steps)} {' '.join(waits)}")
    return "\n".join(rows)
