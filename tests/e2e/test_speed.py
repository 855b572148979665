"""What the guards cost: airseed beside a script that goes straight ahead, on the same machines."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e.cluster import PATIENCE, Cluster
from e2e.resources import DATA, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

RUNS = int(os.environ.get("AIRSEED_E2E_RUNS", "3"))
MOST = 1.15
"""The goal: how much longer than the straight line, the time for the lease apart."""
_LEASE = "control planes join one at a time"
_LAID = ("kubeadm.yaml", "node.env", "hosts")


@pytest.fixture(scope="module")
def prepared(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Cluster]:
    cluster = Cluster(workdir / "speed", upstream, image)
    cluster.describe("ha")
    cluster.prepare()
    folder = cluster.folder / "unpacked"
    run("tar", "-cf", folder / "straight.tar", "-C", folder / "images", ".")
    yield cluster
    cluster.close()


def _straight(seed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a seed with the same values for a script that goes straight ahead."""
    entries = {entry["path"]: entry for entry in yaml.safe_load(seed["user-data"])["write_files"]}
    files = [{**entries[f"/etc/airseed/{name}"], "path": f"/etc/straight/{name}"} for name in _LAID]
    if "/etc/airseed/pki/ca.key" in entries:
        files += [
            {**entries[f"/etc/airseed/pki/{name}"], "path": f"/etc/kubernetes/pki/{name}"}
            for name in ("ca.crt", "ca.key")
        ]
    script = (DATA / "straight.sh").read_text("utf-8")
    program = "/usr/local/sbin/straight"
    files.append({"path": program, "permissions": "0755", "content": script})
    name = yaml.safe_load(seed["meta-data"])["local-hostname"]
    document = {"hostname": name, "fqdn": name, "write_files": files, "runcmd": [[program]]}
    return {**seed, "user-data": b"#cloud-config\n" + json.dumps(document).encode()}


def _airseed(cluster: Cluster) -> tuple[float, float]:
    """Boot airseed's seeds; give the seconds to a cluster, without and with the lease's waits."""
    began = cluster.start()
    cluster.wait()
    print(f"\n{cluster.report(began)}")
    whole, without = [], []
    for name, since in cluster.ready().items():
        result = cluster.machine(name).result
        seconds = max(since, result["updated"]) - began
        waited = sum(wait["seconds"] for wait in result["waits"] if wait["for"].endswith(_LEASE))
        whole.append(seconds)
        without.append(seconds - waited)
    return max(without), max(whole)


def _straight_ahead(cluster: Cluster) -> float:
    """Boot the script's seeds; give the seconds to a cluster."""
    for name in cluster.names:
        cluster.machine(name).insert(_straight(cluster.seed(name)))
    began = cluster.start()
    done = [cluster.machine(name).root / "var/log/straight.done" for name in cluster.names]
    end = time.monotonic() + PATIENCE
    while not (all(path.exists() for path in done) and len(cluster.ready()) == len(done)):
        assert time.monotonic() < end, [
            run("tail", "-n", "15", path.with_suffix(".log"), check=False).stdout for path in done
        ]
        time.sleep(1)
    ends = [float(path.read_text()) for path in done]
    return max([*ends, *cluster.ready().values()]) - began


def test_what_the_guards_cost(prepared: Cluster, switch: Switch) -> None:
    prepared.switch = switch
    ours, whole, straight = [], [], []
    for number in range(RUNS):
        without, everything = _airseed(prepared)
        prepared.reset()
        ours.append(without)
        whole.append(everything)
        straight.append(_straight_ahead(prepared))
        prepared.reset()
        print(
            f"\nrun {number + 1}: airseed {everything:.0f} s, {without:.0f} without the lease's "
            f"waits; straight ahead {straight[-1]:.0f} s"
        )
    ratio = statistics.median(ours) / statistics.median(straight)
    print(
        f"\nmedians of {RUNS}: airseed {statistics.median(whole):.0f} s, "
        f"{statistics.median(ours):.0f} without the lease's waits; straight ahead "
        f"{statistics.median(straight):.0f} s: {ratio:.2f} times "
        f"(goal: {MOST}, {'met' if ratio <= MOST else 'missed'})"
    )
