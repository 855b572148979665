"""What comes after the first day: machines that start again, and nodes that join late."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e import leaks
from e2e.cluster import Cluster, only, separate
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Machine
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s04"]
LATE = [
    {"name": "k8s06", "role": "worker", "address": "10.211.55.53"},
    {"name": "k8s07", "role": "control-plane", "address": "10.211.55.54"},
]


@pytest.fixture(scope="module")
def stands(
    workdir: Path, upstream: Upstream, image: RootImage, conntrack: None
) -> Iterator[Cluster]:
    """Hold a cluster of a control plane and a worker whose first day is over."""
    with separate(workdir / "later", upstream, image) as cluster:
        cluster.stand(only(*NODES))
        yield cluster


def _state(cluster: Cluster, machine: Machine) -> dict[str, Any]:
    """Return what must not change when a machine starts again."""
    node = json.loads(cluster.kubectl("get", "node", machine.name, "-o", "json"))
    return {
        "uid": node["metadata"]["uid"],
        "labels": node["metadata"]["labels"],
        "addresses": node["status"]["addresses"],
        "result": machine.result,
        "files": _digests(machine.root, "etc", "usr/libexec/airseed", "var/lib/airseed"),
        "etcd": cluster.etcd_members(),
    }


def _digests(root: Path, *names: str) -> dict[str, str]:
    # systemd and the test's own power supply write there
    passing = {"etc/resolv.conf", "etc/mtab", "etc/ld.so.cache", "etc/.updated", "etc/.pwd.lock"}
    digests = {}
    for name in names:
        for path in sorted((root / name).rglob("*")):
            short = str(path.relative_to(root))
            if path.is_file() and not path.is_symlink() and short not in passing:
                digests[short] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def _heard_since(cluster: Cluster, name: str, moment: float) -> bool:
    """Tell whether a node's kubelet has said that it is ready after a moment."""
    try:
        node = json.loads(cluster.kubectl("get", "node", name, "-o", "json", check=False))
        (ready,) = (
            condition for condition in node["status"]["conditions"] if condition["type"] == "Ready"
        )
    except (StopIteration, ValueError, KeyError, AssertionError):
        return False
    heard = datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp()
    return ready["status"] == "True" and heard > moment


@pytest.mark.parametrize("attached", [True, False], ids=["attached", "gone"])
@pytest.mark.parametrize("name", NODES)
def test_a_machine_that_starts_again_stays_as_it_is(
    stands: Cluster, name: str, *, attached: bool
) -> None:
    machine = stands.machine(name)
    before = _state(stands, machine)
    shown = len(machine.console)
    machine.power_off()
    # what an attached ISO would show, or an empty drive
    machine.insert(stands.seed(name))
    if not attached:
        shutil.rmtree(machine.root / "var/lib/cloud/seed/nocloud")
    machine.start()
    await_moment(lambda: _heard_since(stands, name, machine.started), f"{name} to be Ready", poll=1)
    stands.wait_for_pods()
    assert _state(stands, machine) == before
    assert "airseed: step" not in machine.console[shown:]
    assert machine.sh("hostname").stdout.strip() == name
    assert not (machine.root / "var/lib/cloud/instance/user-data.txt").exists()
    if not attached:
        leaks.check_files(stands, machine)


def test_nodes_that_come_after_the_window(stands: Cluster) -> None:
    assert "kubeadm-certs" not in stands.kubectl("-n", "kube-system", "get", "secrets")
    old = leaks.secrets(stands)
    path = stands.folder / "cluster.yaml"
    document = stands.document
    document["nodes"] += LATE
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    names = [str(node["name"]) for node in LATE]
    stands.airseed("secrets", "--rotate", "token", "--rotate", "certificate-key")
    assert leaks.secrets(stands)["token"] != old["token"]
    chosen = [word for name in names for word in ("--node", name)]
    catalog = ("--catalog", str(stands.upstream.catalog))
    printed = stands.airseed("seeds", *chosen, *catalog)
    for name in names:
        script = stands.folder / "seeds" / name / "admit.sh"
        assert f"sudo bash -s < seeds/{name}/admit.sh" in printed
        # the printed command, without ssh
        told = stands.machine("k8s01").sh("bash", "-s", input=script.read_text()).stdout
        assert f"the token of {name} lets it in" in told
        assert leaks.secrets(stands)["token"] not in told
    began = stands.start(names)
    with leaks.watched(stands):
        stands.wait([*NODES, *names])
    print(f"\ntwo late nodes:\n{stands.report(began)}")
    assert sorted(stands.ready()) == sorted([*NODES, *names])
    assert stands.etcd_members() == ["k8s01", "k8s07"]
    stands.wait_for_pods()
    for name in names:
        leaks.check_logs(stands, stands.machine(name))
        leaks.check_files(stands, stands.machine(name))


def test_a_control_plane_without_the_uploaded_certificates_waits_and_says_so(
    stands: Cluster,
) -> None:
    """After the window nobody gets in by the old seed; the hint names what to do."""
    document = stands.document
    document["nodes"].append({"name": "k8s08", "role": "control-plane", "address": "10.211.55.55"})
    (stands.folder / "cluster.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    stands.airseed("seeds", "--node", "k8s08", "--catalog", str(stands.upstream.catalog))
    stands.kubectl("-n", "kube-system", "delete", "secret", "kubeadm-certs", "--ignore-not-found")
    machine = stands.machine("k8s08")
    machine.start()
    await_moment(
        lambda: machine.result.get("waiting_for", "").startswith("the first node to upload"),
        "its waiting for the certificates",
        patience=300,
    )
    time.sleep(5)
    assert machine.result.get("state") in {"running", "waiting"}
    script = stands.folder / "seeds" / "k8s08" / "admit.sh"
    stands.machine("k8s01").sh("bash", "-s", input=script.read_text())
    stands.wait(["k8s08"])
    assert stands.etcd_members() == ["k8s01", "k8s07", "k8s08"]
