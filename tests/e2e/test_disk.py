"""A disk that fills up until kubelet evicts: images stay or come back, the node recovers."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from e2e.power_cuts import await_moment, tear

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from e2e.cluster import Cluster
    from e2e.machine import Machine

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

ADDRESS = "10.211.55.48"
SIZE = 8192
"""MiB of the machine's disk."""
LEFT = 600
"""MiB that remain, which is less than kubelet wants."""
STRANGER = "stranger.example/of-nobody:1"
_MIB = 1 << 20


def _impatient(document: dict[str, Any]) -> None:
    kubelet = document.setdefault("kubeadm", {}).setdefault("KubeletConfiguration", {})
    # else a node is under pressure for five minutes after it was
    kubelet["evictionPressureTransitionPeriod"] = "15s"
    document["nodes"][0]["address"] = ADDRESS


def _images(machine: Machine) -> set[str]:
    names = ("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
    return set(machine.sh(*names).stdout.split())


def _containers(machine: Machine, image: str) -> str:
    return machine.sh("docker", "ps", "--all", "--quiet", "--filter", f"ancestor={image}").stdout


def _pressure(cluster: Cluster) -> str:
    """Return what the node says of its disk: True, False, or nothing at the moment."""
    try:
        node = json.loads(cluster.kubectl("get", "node", "test", "-o", "json", check=False))
        return str(
            next(c["status"] for c in node["status"]["conditions"] if c["type"] == "DiskPressure")
        )
    except (ValueError, KeyError, StopIteration):
        return ""


def _heard(cluster: Cluster, name: str) -> float:
    """Return when a node's kubelet last said that it is ready, in seconds since 1970."""
    try:
        node = json.loads(cluster.kubectl("get", "node", name, "-o", "json", check=False))
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
    except (ValueError, KeyError, StopIteration):
        return 0
    heard = datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp()
    return heard if ready["status"] == "True" else 0


def _attach(machine: Machine, *, there: bool) -> None:
    """Let the disk with the bundle read as one or as an empty one."""
    change = "umount $disk" if there else "mount --bind /dev/null $disk"
    machine.sh("bash", "-e", "-c", f"for disk in /dev/loop*; do {change}; done")


def _status(machine: Machine) -> str:
    return machine.sh("airseed-status", check=False).stdout


def test_a_disk_that_fills_up_costs_no_image(make_cluster: Maker) -> None:
    with make_cluster("disk", payload="disk") as cluster:
        cluster.describe("single", _impatient)
        cluster.prepare()
        machine = cluster.other("test", ADDRESS, cluster.seed("test"), size=SIZE)
        cluster.machines["test"] = machine
        cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        before = _images(machine)
        # an image of nobody's shows that kubelet does take what it can
        machine.sh("bash", "-c", f"tar -cf - /etc/hostname | docker import - {STRANGER}")
        filler = machine.folder / "docker" / "filler"
        free = shutil.disk_usage(machine.folder).free // _MIB
        machine.sh("fallocate", "-l", f"{free - LEFT}M", "/var/lib/docker/filler")
        await_moment(lambda: _pressure(cluster) == "True", "pressure on the disk", poll=1)
        await_moment(lambda: STRANGER not in _images(machine), "an image to be taken", poll=1)
        assert before <= _images(machine), "images were taken away"
        assert "trouble" not in _status(machine)

        # one that is gone all the same comes back while the disk is full
        lost = next(name for name in before if "coredns" in name)
        script = f"""
            systemctl stop kubelet
            docker rm -f $(docker ps -aq --filter ancestor={lost})
            docker rmi {lost}
            systemctl start kubelet"""
        machine.sh("bash", "-e", "-c", script)
        assert lost not in _images(machine)
        await_moment(lambda: lost in _images(machine), f"{lost} to come back", poll=1)

        # and without the bundle it is said; what holds it comes after it
        await_moment(lambda: _containers(machine, lost) != "", f"{lost} to be held", poll=1)
        machine.sh("bash", "-e", "-c", script)
        _attach(machine, there=False)
        machine.sh("systemctl", "start", "airseed-images.service")
        assert lost not in _images(machine)
        assert machine.result["state"] == "done"
        assert lost in machine.result["trouble"]
        assert "no bundle was found" in machine.result["trouble"]
        assert "attach bundle.tar as a disk" in machine.result["trouble_hint"]
        status = machine.sh("airseed-status", check=False)
        assert status.returncode == 1
        assert lost in status.stdout
        _attach(machine, there=True)
        await_moment(lambda: lost in _images(machine), f"{lost} to come back", poll=1)
        await_moment(lambda: not machine.result["trouble"], "the trouble's end", poll=1)

        filler.unlink()
        await_moment(lambda: _pressure(cluster) == "False", "the pressure's end", poll=1)
        cluster.wait_for_pods()
        node = json.loads(cluster.kubectl("get", "node", "test", "-o", "json"))
        assert "taints" not in node["spec"]
        assert before <= _images(machine)
        _survives_torn_state(
            cluster,
            "kubelet/cpu_manager_state",
            "docker/network/files/local-kv.db",
            "docker/image/overlay2/repositories.json",
        )
        assert before <= _images(machine)
        machine.sh("bash", "-e", "-c", script)
        _survives_a_cut_while_images_come_back(cluster)
        assert before <= _images(machine)


def _survives_a_cut_while_images_come_back(cluster: Cluster) -> None:
    """Pull the plug when docker is through with a layer that is not on the disk yet."""
    (machine,) = cluster.machines.values()
    mark = machine.root / "var/lib/airseed/images-return"
    layers = machine.folder / "docker/image/overlay2/layerdb/sha256"
    await_moment(mark.exists, "an image to be brought back")
    there = len([*layers.iterdir()])
    await_moment(lambda: len([*layers.iterdir()]) > there, "a layer")
    machine.kill()
    assert mark.exists(), "came too late"
    assert [name for name in tear(machine) if "/diff/" in name]
    machine.start()
    began = machine.started
    await_moment(lambda: _heard(cluster, machine.name) > began, "the node", poll=1)
    await_moment(lambda: not mark.exists(), "the image", poll=1)
    cluster.wait_for_pods()
    await_moment(lambda: "trouble" not in _status(machine), "its images", poll=1)


def _survives_torn_state(cluster: Cluster, *torn: str) -> None:
    """Pull the plug, empty what programs refuse to start with, and see the node come back."""
    (machine,) = cluster.machines.values()
    machine.kill()
    for name in torn:
        file = machine.folder / name
        assert file.exists(), name
        file.write_bytes(b"")
    machine.start()
    began = machine.started
    await_moment(lambda: _heard(cluster, machine.name) > began, "the node", poll=1)
    cluster.wait_for_pods()
    await_moment(lambda: "trouble" not in _status(machine), "its images", poll=1)


def test_containerd_gets_its_images_back_without_a_bundle(make_cluster: Maker) -> None:
    def change(document: dict[str, Any]) -> None:
        document["runtime"] = {"name": "containerd", "version": "1.2.13"}

    with make_cluster("disk-containerd") as cluster:
        cluster.describe("single", change)
        cluster.prepare()
        cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        (machine,) = cluster.machines.values()
        listed = ("ctr", "--namespace", "k8s.io", "images", "ls", "-q")
        before = {name for name in machine.sh(*listed).stdout.split() if "sha256:" not in name}
        script = """
            mount -t tmpfs tmpfs /opt/airseed/bundle
            systemctl stop kubelet airseed-images.timer
            ctr --namespace k8s.io images rm --sync $(ctr --namespace k8s.io images ls -q)"""
        machine.sh("bash", "-e", "-c", script)
        assert not machine.sh(*listed).stdout.split()
        machine.sh("systemctl", "start", "airseed-images.service")
        assert before <= set(machine.sh(*listed).stdout.split())
        assert "trouble" not in _status(machine)
        machine.sh("systemctl", "start", "kubelet", "airseed-images.timer")
        cluster.wait_for_pods()

        # with the database all images are gone, and come from the bundle
        machine.sh("umount", "/opt/airseed/bundle")
        database = "containerd/io.containerd.metadata.v1.bolt/meta.db"
        _survives_torn_state(cluster, "kubelet/cpu_manager_state", database)
        assert before <= set(machine.sh(*listed).stdout.split())
