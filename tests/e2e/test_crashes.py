"""Power cuts in every step of every role, and machines that come late, or a second time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from e2e import power_cuts
from e2e.cluster import Cluster
from e2e.power_cuts import STEPS, await_moment, cut_in_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s02", "k8s04"]
PLANES = NODES[:2]
LATE = 90
"""Seconds that the first machine is late: longer than anything but kubeadm's own wait for a cluster
lasts, and kubeadm has not been started by then."""


def _smaller(document: dict[str, Any]) -> None:
    """Two control planes and a worker; steps that do nothing else take a moment."""
    document["nodes"] = [node for node in document["nodes"] if node["name"] in NODES]
    document["machine"] = {"commands": {"before": ["sleep 1"], "after": ["sleep 1"]}}


@pytest.fixture(scope="module")
def prepared(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Cluster]:
    cluster = Cluster(workdir / "crashes", upstream, image)
    cluster.describe("ha", _smaller)
    cluster.prepare()
    yield cluster
    cluster.close()


@pytest.fixture
def three(prepared: Cluster, switch: Switch) -> Iterator[Cluster]:
    prepared.switch = switch
    yield prepared
    prepared.reset()


def _check(cluster: Cluster) -> None:
    """One cluster, with every machine in it once."""
    cluster.wait()
    assert sorted(cluster.ready()) == NODES
    assert cluster.etcd_members() == PLANES
    cluster.wait_for_pods()
    authorities = {
        (machine.root / "etc/kubernetes/pki/ca.crt").read_bytes()
        for machine in cluster.machines.values()
    }
    assert len(authorities) == 1


@pytest.mark.parametrize("torn", [False, True], ids=["cut", "torn"])
@pytest.mark.parametrize("victim", NODES)
def test_a_power_cut_in_each_step(three: Cluster, victim: str, *, torn: bool) -> None:
    began = three.start()
    machine = three.machine(victim)
    for step in STEPS:
        lost = cut_in_step(machine, step, torn=torn)
        if lost:
            print(f"\n{victim} in step {step} lost {', '.join(lost)}")
        machine.start()
    _check(three)
    print(f"\n{victim} cut in {len(STEPS)} steps{', torn' if torn else ''}:\n{three.report(began)}")


_LAYING = ("cloud-init lays the seed down", "yum begins", "yum writes", "images are loaded")
_RISING = ("certificates are there", "kubelet has its certificate", "etcd is told to start")
_WORKS = {
    "k8s01": (*_LAYING, *_RISING, "the network is applied"),
    "k8s02": (*_LAYING, *_RISING),
    "k8s04": (*_LAYING, "kubelet has its certificate"),
}


@pytest.mark.parametrize("victim", NODES)
def test_a_power_cut_in_the_middle_of_the_work(three: Cluster, victim: str) -> None:
    """What was not on disk yet comes back empty: programs, units, images, the seed itself."""
    began = three.start()
    machine = three.machine(victim)
    for work in _WORKS[victim]:
        lost = power_cuts.cut_at_work(machine, work)
        print(f"\n{victim} cut when {work}: lost {len(lost)} files, as {', '.join(lost[:4])}")
        if work == "images are loaded":
            assert [name for name in lost if name.startswith("docker/overlay2/")]
        machine.start()
    _check(three)
    print(f"\n{victim} cut at work {len(_WORKS[victim])} times:\n{three.report(began)}")


def test_a_power_cut_while_the_window_is_open(three: Cluster) -> None:
    three.start(["k8s01", "k8s04"])
    three.wait(["k8s01", "k8s04"])
    first = three.machine("k8s01")
    timer = first.root / "etc/systemd/system/airseed-window.timer"
    assert timer.exists()
    first.kill()
    power_cuts.tear(first)
    first.start()
    began = three.start(["k8s02"])
    _check(three)
    closed = first.root / "var/lib/airseed/stamps/closed"
    await_moment(closed.exists, "the window's end", patience=180)
    await_moment(lambda: not timer.exists(), "the end of its timer", patience=30)
    assert _certificates(three) == {}
    print(f"\nk8s01 cut while its window was open:\n{three.report(began)}")


def test_a_power_cut_between_member_add_and_the_start_of_etcd(three: Cluster) -> None:
    began = three.start()
    joiner = three.machine("k8s02")
    power_cuts.cut_between_member_and_etcd(three, joiner)
    time.sleep(5)
    joiner.start()
    _check(three)
    print(f"\nk8s02 cut between member add and etcd:\n{three.report(began)}")


def test_the_first_machine_comes_last_and_late(three: Cluster) -> None:
    three.start(["k8s04"])
    time.sleep(10)
    three.start(["k8s02"])
    time.sleep(LATE)
    for name in ("k8s02", "k8s04"):
        machine = three.machine(name)
        assert machine.result["state"] == "waiting", machine.result
        assert machine.result["waiting_for"].startswith("the first control plane to answer")
        assert machine.result["attempt"] == 1
        assert "[preflight]" not in (machine.root / "var/lib/airseed/log/kubeadm.log").read_text()
    began = three.start(["k8s01"])
    _check(three)
    print(f"\nstarted in reverse:\n{three.report(began)}")


def test_a_control_plane_that_comes_when_the_certificates_have_expired(three: Cluster) -> None:
    """The token that owns the uploaded certificates ends, and the controllers take both away."""
    three.start(["k8s01", "k8s04"])
    three.wait(["k8s01", "k8s04"])
    certificates = _certificates(three)
    (owner,) = certificates["metadata"]["ownerReferences"]
    past = json.dumps({"stringData": {"expiration": "2020-01-01T00:00:00Z"}})
    three.kubectl("-n", "kube-system", "patch", "secret", owner["name"], "--patch", past)

    def gone() -> bool:
        now = _certificates(three).get("metadata", {})
        return bool(now.get("uid") != certificates["metadata"]["uid"])

    await_moment(gone, "the end of the uploaded certificates", poll=0.5)
    began = three.start(["k8s02"])
    _check(three)
    print(f"\nk8s02 after the certificates had expired:\n{three.report(began)}")
    three.end_window()
    assert _certificates(three) == {}


def _certificates(cluster: Cluster) -> dict[str, Any]:
    words = ("get", "secret", "kubeadm-certs", "--ignore-not-found", "-o", "json")
    secret: dict[str, Any] = json.loads(cluster.kubectl("-n", "kube-system", *words) or "{}")
    return secret


def test_the_first_machine_made_anew_makes_no_second_cluster(three: Cluster) -> None:
    three.start()
    _check(three)
    three.machines.pop("k8s01").wipe()
    again = three.machine("k8s01")
    again.start()
    await_moment(lambda: again.result.get("state") == "failed", "its refusal")
    result = again.result
    assert result["step"] == "kubeadm"
    assert "this cluster lives already, so kubeadm init will not run here" in result["message"]
    assert "let this machine join instead" in result["hint"]
    assert not (again.root / "etc/kubernetes/manifests/etcd.yaml").exists()
    time.sleep(20)
    assert result["message"] in again.console
    assert again.result["state"] in {"failed", "running"}
    assert not (again.root / "etc/kubernetes/manifests/etcd.yaml").exists()


@pytest.mark.parametrize("ahead", [False, True], ids=["empty", "installed"])
def test_all_come_back_at_once_with_the_first_machine_made_anew(
    three: Cluster, *, ahead: bool
) -> None:
    """When it looks for the cluster, that one is only just coming up: it must not be the faster.

    With ``ahead`` it has all that it needs on its disk, and only kubeadm is left to run. One of two
    members of etcd is gone, so no API server comes up that could prove that this cluster lives.
    """
    three.start()
    _check(three)
    for machine in three.machines.values():
        machine.power_off()
    three.machines.pop("k8s01").wipe()
    again = three.machine("k8s01")
    if ahead:
        again.start()
        cut_in_step(again, "kubeadm")
        assert not (again.folder / "etcd/member").exists()
    three.start()
    await_moment(lambda: again.result.get("state") == "failed", "its refusal")
    assert again.result["message"].startswith("TLS is spoken at ")
    assert "nothing proves that this cluster lives there" in again.result["message"]
    assert not (again.folder / "etcd/member").exists()
    time.sleep(20)
    assert not (again.folder / "etcd/member").exists()
