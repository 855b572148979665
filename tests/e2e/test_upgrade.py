"""Section 3.2 of the walkthrough: five machines from 1.18.5 to 1.19.5, by hand and by airseed."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, leaks, watch
from e2e.cluster import Cluster
from e2e.resources import DATA, releases, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

PLANES = ["k8s01", "k8s02", "k8s03"]
WORKERS = ["k8s04", "k8s05"]
OLD, NEW, NEWEST = "1.18.5", "1.19.5", "1.20.15"
WORKLOAD = "k8s.gcr.io/coredns:1.6.7"


@pytest.fixture
def five(workdir: Path, upstream: Upstream, image: RootImage, switch: Switch) -> Iterator[Cluster]:
    """Hold a cluster of the old release whose first day is over, with a workload."""
    cluster = Cluster(workdir / "upgrade", upstream, image, switch)
    try:
        cluster.stand()
        watch.deploy(cluster, WORKLOAD)
        yield cluster
    finally:
        cluster.close()


def _check(cluster: Cluster, release: str = NEW) -> None:
    """All nodes are Ready on the new release, none cordoned; etcd has moved; pods are well."""
    cluster.wait_for_pods()
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    found = {
        node["metadata"]["name"]: (
            node["status"]["nodeInfo"]["kubeletVersion"],
            node["spec"].get("unschedulable", False),
        )
        for node in nodes
    }
    assert found == dict.fromkeys([*PLANES, *WORKERS], (f"v{release}", False))
    assert sorted(cluster.ready()) == [*PLANES, *WORKERS]
    assert cluster.etcd_members() == PLANES
    images = {
        container["image"] for pod in cluster.pods() for container in pod["spec"]["containers"]
    }
    for name in ("apiserver", "controller-manager", "scheduler", "proxy"):
        own = {image for image in images if f"kube-{name}:" in image}
        assert own == {f"k8s.gcr.io/kube-{name}:v{release}"}
    assert {image for image in images if "/etcd:" in image} == {"k8s.gcr.io/etcd:3.4.13-0"}
    assert "k8s.gcr.io/coredns:1.7.0" in images


def _on(cluster: Cluster) -> Path:
    """Write the program ``on MACHINE COMMAND...`` for a script."""
    cases = "".join(
        f"{name}) pid={machine.leader} ;;\n" for name, machine in cluster.machines.items()
    )
    path = cluster.folder / "bin" / "on"
    path.parent.mkdir()
    path.write_text(
        f"#!/bin/bash\ncase $1 in\n{cases}esac\nshift\n"
        'exec /usr/bin/nsenter --target="$pid" --all -- /usr/bin/env -i HOME=/root TERM=dumb '
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
        'KUBECONFIG=/etc/kubernetes/admin.conf "$@"\n'
    )
    path.chmod(0o755)
    return path.parent


def _next_bundle(cluster: Cluster) -> None:
    """Lay a bundle of the new release beside the old one, where all machines see it."""
    other = Cluster(cluster.folder / "next", cluster.upstream, cluster.image, payload="disk")
    other.describe("ha", lambda document: document.update(kubernetes=NEW))
    for words in ("lock", "--catalog", str(cluster.upstream.catalog)), ("bundle",):
        other.airseed(*words)
    folder = cluster.folder / "unpacked" / "next"
    folder.mkdir()
    run("tar", "-xf", other.folder / "bundle.tar", "-C", folder)
    run("tar", "-cf", folder / "straight.tar", "-C", folder / "images", ".")


def test_straight_ahead_by_hand(five: Cluster) -> None:
    """The measure of the other way, and the proof that these machines can be upgraded at all."""
    _next_bundle(five)
    tools = _on(five)
    with watch.watched(five, PLANES, ["k8s01", *WORKERS]) as seen:
        began = time.monotonic()
        done = subprocess.run(
            [DATA / "straight-upgrade.sh", NEW, *PLANES, "--", *WORKERS],
            env={"PATH": f"{tools}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        took = time.monotonic() - began
    print(f"\n{done.stdout}\nstraight ahead: {took:.0f} s\n{seen}")
    assert done.returncode == 0
    _check(five)
    assert not seen.answers()["workload by k8s01"].failed


def _newer(document: dict[str, Any]) -> None:
    document["kubernetes"] = NEW
    document["changes"] = {"from": OLD}


def _newest(document: dict[str, Any]) -> None:
    document["kubernetes"] = NEWEST
    document["changes"] = {"from": OLD, "through": [NEW]}


def _go(cluster: Cluster, change: Path, stages: int = 1) -> None:
    """Start all machines at once; see that they go one after another, and users notice little."""
    with watch.watched(cluster, PLANES, ["k8s01", *WORKERS]) as seen:
        began = time.time()
        said = changes.start(cluster, change)
        took = time.time() - began
    for name, done in said.items():
        print(f"\n--- {name}: exit {done.returncode}\n{done.stdout}")
    print(f"airseed: {took:.0f} s\n{seen}")
    assert {done.returncode for done in said.values()} == {0}, cluster.account()
    order: list[tuple[float, float]] = []
    for stage in range(1, stages + 1):
        print(changes.table(cluster, change, began, stage))
        turns = changes.turns(cluster, change, stage)
        order += sorted(turns.values())
        assert [turns[name] for name in PLANES] == order[-5:-2], "control planes, then workers"
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(order)), order
    assert not seen.answers()["workload by k8s01"].failed


def _moves(cluster: Cluster) -> dict[str, Any]:
    """Return what a second run must leave alone."""
    return {
        pod["metadata"]["name"]: [
            status["containerID"] for status in pod["status"]["containerStatuses"]
        ]
        for pod in cluster.pods()
    } | {name: cluster.machine(name).result for name in cluster.names}


def test_all_five_at_the_same_moment(five: Cluster) -> None:
    """Nobody drives them from outside: they go one after another by themselves."""
    change = changes.write(five, _newer)
    _go(five, change)
    _check(five)

    before = _moves(five)
    for name, done in changes.start(five, change).items():
        assert (done.returncode, done.stdout) == (0, f"airseed: {change.name} is done on {name}\n")
    assert _moves(five) == before
    changes.collect(five, change)
    five.airseed("changes", "--catalog", str(five.upstream.catalog), code=0)
    for machine in five.machines.values():
        (machine.root / changes.SCRIPT).unlink()  # as the operator's it may stay; what it laid not
        leaks.check_logs(five, machine)
        leaks.check_files(five, machine)


@pytest.mark.skipif(
    NEWEST not in releases(),
    reason=f"{NEWEST} is not built: name it in data/packages.yaml and setup.sh",
)
def test_two_minors_in_one_go(five: Cluster) -> None:
    change = changes.write(five, _newest)
    _go(five, change, stages=2)
    _check(five, NEWEST)
