"""Upgrades that can not go on: a cause and a hint each, and the next run goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, leaks, watch
from e2e.cluster import Cluster, only, separate

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Machine
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s04", "k8s05"]
OLD, NEW = "1.18.5", "1.19.5"
FULL = "k8s05"
_DISK = 9000
"""MiB that this machine's disk has."""
_WORKLOAD = "k8s.gcr.io/coredns:1.6.7"


def _newer(document: dict[str, Any]) -> None:
    document["kubernetes"] = NEW
    document["changes"] = {"from": OLD}


@pytest.fixture(scope="module")
def three(
    workdir: Path, upstream: Upstream, image: RootImage, conntrack: None
) -> Iterator[Cluster]:
    """Hold a cluster with a workload that has a budget, and an upgrade of it."""
    with separate(workdir / "upgrade-wrong", upstream, image) as cluster:
        cluster.describe("ha", only(*NODES))
        cluster.prepare()
        cluster.machines[FULL] = cluster.other(FULL, "10.211.55.52", cluster.seed(FULL), size=_DISK)
        cluster.start()
        cluster.wait()
        cluster.end_window()
        watch.deploy(cluster, _WORKLOAD)
        cluster.wait_for_pods()
        (cluster.folder / "bundle.tar").rename(cluster.folder / "old.tar")
        changes.write(cluster, _newer)
        yield cluster


def _allow(cluster: Cluster, least: int) -> None:
    """Say how many replicas the budget wants."""
    patch = json.dumps({"spec": {"minAvailable": least}})
    cluster.kubectl("patch", "poddisruptionbudget", "answers", "--type=merge", "-p", patch)


def _untouched(cluster: Cluster, *names: str) -> None:
    """These run what they ran, and all take pods."""
    versions = cluster.versions()
    assert {name: versions[name] for name in names} == dict.fromkeys(names, f"v{OLD}")
    cordoned = cluster.kubectl("get", "nodes", "--field-selector=spec.unschedulable=true")
    assert "k8s0" not in cordoned
    assert sorted(cluster.ready()) == NODES


def _failed(machine: Machine, done: subprocess.CompletedProcess[str], *words: str) -> None:
    """See a script end with 1, and cause and hint where they belong."""
    print(f"\n--- {machine.name}: exit {done.returncode}\n{done.stdout[-3000:]}")
    assert done.returncode == 1
    result = machine.result
    assert result["state"] == "failed"
    assert result["hint"]
    for word in words:
        assert word in f"{result['message']} {result['hint']}"
    assert result["message"] in done.stdout


def test_a_script_of_another_machine_or_cluster(three: Cluster) -> None:
    change, machine = changes.folder(three), three.machine("k8s04")
    changes.lay(machine, change / "k8s05.sh")
    done = changes.call(machine)
    assert done.returncode == 2
    assert "this machine is k8s04, and this change is for k8s05" in done.stdout
    authority = machine.sh("sha256sum", "/etc/kubernetes/pki/ca.crt").stdout.split()[0]
    stranger = three.folder / "stranger.sh"
    stranger.write_text((change / "k8s04.sh").read_text().replace(authority, "0" * 64))
    changes.lay(machine, stranger)
    done = changes.call(machine)
    assert done.returncode == 2
    assert "this machine is in another cluster" in done.stdout
    assert "hint: " in done.stdout
    assert not (machine.root / "etc/airseed/change").exists()
    _untouched(three, *NODES)


def test_a_bundle_of_another_lock(three: Cluster) -> None:
    changes.bring(three, three.folder / "old.tar")
    for name, done in changes.start(three, changes.folder(three), ["k8s01", "k8s04"]).items():
        _failed(three.machine(name), done, "bundle")
    _untouched(three, *NODES)
    changes.bring(three)


def test_a_budget_that_can_not_be_met_and_a_worker_that_never_comes(three: Cluster) -> None:
    _allow(three, 2)
    said = changes.start(three, changes.folder(three), ["k8s01", "k8s04"])
    _failed(three.machine("k8s04"), said["k8s04"], "default/answers", "budget")
    # both would lose kube-proxy with the first control plane's turn, so that one does not begin
    _failed(three.machine("k8s01"), said["k8s01"], "do not have the images", "k8s04 k8s05")
    _untouched(three, *NODES)


def test_a_second_change_while_one_is_under_way(three: Cluster) -> None:
    change, machine = changes.folder(three), three.machine(FULL)
    other = three.folder / "other.sh"
    digest = json.loads((change / "change.json").read_text())["digest"]
    text = (change / f"{FULL}.sh").read_text()
    other.write_text(text.replace(change.name, "001-another").replace(digest, "f" * len(digest)))
    changes.lay(machine, other)
    # the cluster refuses a machine that has not begun, and one that has begun refuses by itself
    _failed(machine, changes.call(machine), "another change is under way", change.name)
    begun = three.machine("k8s04")
    other.write_text(other.read_text().replace(FULL, begun.name))
    changes.lay(begun, other)
    done = changes.call(begun)
    assert done.returncode == 2
    assert f"another change is under way on this machine: {change.name}" in done.stdout
    assert "hint: " in done.stdout
    _untouched(three, "k8s04", FULL)


def test_a_full_disk(three: Cluster) -> None:
    machine = three.machine(FULL)
    free = machine.sh("df", "-P", "-m", "/var/lib").stdout.splitlines()[1].split()[3]
    machine.sh("fallocate", "-l", f"{int(free) - 300}M", "/var/lib/filler")
    _allow(three, 1)
    changes.lay(machine, changes.folder(three) / f"{FULL}.sh")
    _failed(
        machine, changes.call(machine), "/var/lib/docker has 300 MiB free", "make the disk larger"
    )
    _untouched(three, "k8s04", FULL)
    machine.sh("rm", "/var/lib/filler")


def test_the_next_run_goes_on(three: Cluster) -> None:
    with leaks.watched(three):
        said = changes.start(three, changes.folder(three))
    for name, done in said.items():
        assert done.returncode == 0, f"{name}: {done.stdout}\n{three.account()}"
    assert {*three.versions().values()} == {f"v{NEW}"}
    three.wait_for_pods()
    cordoned = three.kubectl("get", "nodes", "--field-selector=spec.unschedulable=true")
    assert "k8s0" not in cordoned
