"""Machines that get another name, that go and that die, and the cluster from a snapshot.

One cluster goes through all of it, in the order of this file.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes
from e2e.cluster import Cluster, separate
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Machine
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

_USERS = "/etc/kubernetes/pki/mine.pem"
_TAKEN_OUT = "the other control planes have taken this machine out of the cluster"
_MARKER = ("-n", "default", "configmap", "marker")


@pytest.fixture(scope="module")
def four(workdir: Path, upstream: Upstream, image: RootImage, conntrack: None) -> Iterator[Cluster]:
    """Hold a cluster of three control planes and a worker whose first day is over."""
    with separate(workdir / "members", upstream, image) as cluster:
        cluster.stand(_smaller)
        yield cluster


def _smaller(document: dict[str, Any]) -> None:
    document["nodes"] = [node for node in document["nodes"] if node["name"] != "k8s05"]


def _change(cluster: Cluster, *words: str, without: tuple[str, ...] = ()) -> str:
    """Make the change that is asked for on all its machines at once; give its name."""
    catalog = ("--catalog", str(cluster.upstream.catalog))
    said = cluster.airseed("changes", "--write", "--json", *words, *catalog, code=5)
    value = json.loads(said[said.index("\n{\n") :])
    change = changes.folder(cluster)
    scripts = sorted(change.glob("*.sh"))
    names = [script.stem for script in scripts if script.stem not in without]
    changes.go_through(cluster, change, names)
    cluster.airseed("changes", "--applied", value["change"], *catalog)
    return str(value["change"])


def _log(machine: Machine, change: str, step: str) -> str:
    path = machine.root / "var/lib/airseed/changes" / change / "1/log" / f"{step}.log"
    return path.read_text("utf-8")


def _rename(cluster: Cluster, old: str, new: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        (node,) = (node for node in document["nodes"] if node["name"] == old)
        node |= {"name": new, "was": old}

    machine = cluster.machines[old]
    mine = machine.root / _USERS.lstrip("/")
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("of the user's own\n", "utf-8")
    changes.edit(cluster, edit)
    _change(cluster)
    cluster.machines = {new if name == old else name: one for name, one in cluster.machines.items()}
    assert mine.read_text("utf-8") == "of the user's own\n"
    assert machine.sh("hostname").stdout.strip() == new
    assert (machine.result["node"], machine.result["state"]) == (new, "done")
    assert sorted(_nodes(cluster)) == sorted(cluster.names)
    assert sorted(cluster.ready()) == sorted(cluster.names)
    cluster.wait_for_pods()
    secrets = cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert "kubeadm-certs" not in secrets
    assert not [*machine.root.glob("etc/airseed/**/admit-*")]


def _nodes(cluster: Cluster) -> list[str]:
    return cluster.kubectl("get", "nodes", "-o", "name").replace("node/", "").split()


def test_a_worker_gets_another_name(four: Cluster) -> None:
    _rename(four, "k8s04", "db1")
    assert four.etcd_members() == ["k8s01", "k8s02", "k8s03"]


def test_a_control_plane_gets_another_name(four: Cluster) -> None:
    _rename(four, "k8s02", "cp2")
    assert four.etcd_members() == ["cp2", "k8s01", "k8s03"]


def test_the_first_one_and_the_endpoint_get_another_name(four: Cluster) -> None:
    _rename(four, "k8s01", "cp1")
    assert four.etcd_members() == ["cp1", "cp2", "k8s03"]


def _workload(cluster: Cluster) -> str:
    """Return the containers of the user's pods on the worker."""
    label = "label=io.kubernetes.pod.namespace=default"
    return cluster.machines["db1"].sh("docker", "ps", "-q", "--no-trunc", "--filter", label).stdout


def test_the_cluster_begins_again_from_a_snapshot(four: Cluster) -> None:
    four.kubectl("run", "keeper", "-n", "default", "--image=k8s.gcr.io/pause:3.2")
    await_moment(lambda: bool(_workload(four)), "the workload", patience=120)
    four.kubectl("create", "configmap", "marker", "-n", "default", "--from-literal=is=here")
    first = four.machines["cp1"]
    said = first.sh("airseed-snapshot").stdout
    print(f"\n{said}")
    name = said.split("snapshots/")[1].split(":")[0]
    for file in (first.root / "var/lib/airseed/snapshots").glob(name.replace(".db", ".*")):
        shutil.copy(file, four.folder)
    listed = first.sh("airseed-snapshot", "list").stdout
    assert f"{name}  " in listed
    assert "damaged" not in listed
    four.kubectl("delete", *_MARKER)
    before = _workload(four)
    assert before
    # what is broken: two of three are as if they had lost their disks
    for lost in ("cp2", "k8s03"):
        shutil.rmtree(four.machines[lost].folder / "etcd/member")
    _change(four, "--restore", name)
    assert "here" in four.kubectl("get", *_MARKER, "-o", "jsonpath={.data.is}")
    assert four.etcd_members() == ["cp1", "cp2", "k8s03"]
    await_moment(
        lambda: sorted(four.ready()) == sorted(four.names), "all to be Ready", patience=180
    )
    four.wait_for_pods()
    assert _workload(four) == before


def test_a_dead_control_plane_is_taken_out_by_the_others(four: Cluster) -> None:
    four.machines["k8s03"].kill()
    changes.edit(four, lambda document: document["nodes"].pop(2))
    change = _change(four, without=("k8s03",))
    assert "k8s03 is dead" in _log(four.machines["cp1"], change, "dismiss")
    assert four.etcd_members() == ["cp1", "cp2"]
    assert sorted(_nodes(four)) == ["cp1", "cp2", "db1"]
    # on again, it sees that and makes no Node, whose kubelet's certificate is a good one still
    dead = four.machines.pop("k8s03")
    dead.start()
    await_moment(
        lambda: bool(dead.leader) and _TAKEN_OUT in dead.sh("airseed-status", check=False).stdout,
        "the machine to see that it is out",
        patience=180,
    )
    assert dead.sh("systemctl", "is-active", "kubelet", check=False).stdout.strip() != "active"
    assert four.etcd_members() == ["cp1", "cp2"]
    assert sorted(_nodes(four)) == ["cp1", "cp2", "db1"]
    dead.wipe()


def test_a_worker_leaves(four: Cluster) -> None:
    worker = four.machines["db1"]
    # nobody would make it again
    four.kubectl("delete", "pod", "-n", "default", "keeper")
    changes.edit(four, lambda document: document["nodes"].pop())
    change = _change(four)
    assert "this machine is no node any more" in _log(worker, change, "depart")
    assert sorted(_nodes(four)) == ["cp1", "cp2"]
    assert worker.sh("systemctl", "is-active", "kubelet", check=False).stdout.strip() == "inactive"
    assert not (worker.root / "etc/kubernetes/kubelet.conf").exists()
