"""Section 3.4 of the walkthrough: machines that run, from docker to containerd and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, traffic
from e2e.cluster import only
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Machine

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

PLANES = ["k8s01", "k8s02", "k8s03"]
PAIR = ["k8s01", "k8s04"]
CONTAINERD = {"name": "containerd", "version": "1.2.13"}
DOCKER = {"name": "docker", "version": "19.03.9"}
_SOCKETS = {"docker": "/var/run/dockershim.sock", "containerd": "/run/containerd/containerd.sock"}
_COREDNS = "k8s.gcr.io/coredns:1.6.7"


def _wanted(runtime: dict[str, str]) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(runtime=runtime)


def _go(cluster: Cluster, change: Path) -> None:
    changes.go_through(cluster, change)
    for name in cluster.names:
        steps = cluster.machine(name).result["steps"]
        print(name, ", ".join(f"{step['name']} {step['seconds']}" for step in steps))
    changes.collect(cluster, change)


def _check(cluster: Cluster, runtime: str) -> None:
    """See all nodes Ready on a runtime and none cordoned; what kubeadm reads says the same."""
    cluster.wait_for_pods()
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    found = {
        node["metadata"]["name"]: (
            node["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0],
            node["metadata"]["annotations"]["kubeadm.alpha.kubernetes.io/cri-socket"],
            node["spec"].get("unschedulable", False),
        )
        for node in nodes
    }
    assert found == dict.fromkeys(cluster.names, (runtime, _SOCKETS[runtime], False))
    assert sorted(cluster.ready()) == cluster.names
    traffic.check_dns(cluster, "10.233.0.10", "cluster.local", "10.233.0.1")
    for name in cluster.names:
        machine = cluster.machine(name)
        driver = machine.sh("grep", "cgroupDriver", "/var/lib/kubelet/config.yaml").stdout
        assert driver == "cgroupDriver: systemd\n"
        assert (machine.result["state"], machine.result["runtime"]) == ("done", runtime)
        # images are held where they are now
        machine.sh("/usr/libexec/airseed/actions/images")
        assert machine.result.get("trouble") == ""


def _has_no_docker(machine: Machine) -> bool:
    there = machine.sh("rpm", "-q", "docker-ce", "docker-ce-cli", check=False).stdout
    return there.count("is not installed") == len(there.splitlines())


def test_a_pair_goes_to_containerd_and_back(make_cluster: Maker) -> None:
    """The power goes while the only API server, which is the endpoint, has no runtime."""
    with make_cluster("runtime-pair") as two:
        two.stand(only(*PAIR))
        change = changes.write(two, _wanted(CONTAINERD))
        first, worker = (two.machine(name) for name in PAIR)
        for machine in (first, worker):
            changes.lay(machine, change / f"{machine.name}.sh")
            changes.call(machine, "--no-wait")
        away = first.root / "var/lib/airseed/changes" / change.name / "1/stamps/away"
        await_moment(away.exists, "the first machine to stop its pods")
        await_moment(lambda: first.result.get("step") == "images", "its images to be loaded")
        first.kill()
        first.start()
        await_moment(lambda: changes.is_done(first, change), "the first one's end", poll=1)
        await_moment(lambda: changes.is_done(worker, change), "the worker's end", poll=1)
        _go(two, change)  # which says that it is done
        _check(two, "containerd")
        assert all(map(_has_no_docker, (first, worker)))
        assert not any((worker.folder / "docker").iterdir())
        _go(two, changes.write(two, _wanted(DOCKER)))
        _check(two, "docker")
        assert two.etcd_members() == ["k8s01"]


def test_five_machines_leave_docker(make_cluster: Maker) -> None:
    with make_cluster("runtime") as five:
        five.stand()
        _go(five, changes.write(five, _wanted(CONTAINERD)))
        _check(five, "containerd")
        assert five.etcd_members() == PLANES
        traffic.check_pods(five, _COREDNS)
        assert all(map(_has_no_docker, five.machines.values()))
        # a machine that starts again is what it was
        machine = five.machine("k8s04")
        machine.power_off()
        machine.start()
        await_moment(lambda: "k8s04" in five.ready(), "k8s04 to be Ready", poll=1)
        _check(five, "containerd")
