"""A cluster from a snapshot, and a machine that leaves, with all their steps."""

from __future__ import annotations

import hashlib
import re
import tarfile
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from api_server import Api
    from conftest import Machine

ID = "001-restore"
SNAPSHOT = "20261130T010203Z-k8s01.db"


def _settle(machine: Machine, api: Api) -> None:
    """Have a machine as it is when its first boot is over."""
    folder = machine.authority.folder
    machine.set(
        ENDPOINT=f"127.0.0.1:{api.port}",
        REGISTRY="registry.lan/k8s",
        SUMS=hashlib.sha256().hexdigest(),
    )
    machine.write("opt/airseed/bundle/SHA256SUMS", "")
    machine.write("etc/airseed/pki/ca.crt", (folder / "ca.crt").read_bytes())
    machine.write("sys/class/net/lo/address", "00:00:00:00:00:00\n")
    machine.write("var/lib/airseed/stamps/plan-first-boot", "airseed 1 plan-first-boot - 0 1 .\n")
    machine.give_client()
    machine.environment |= {"AIRSEED_LEASE_POLL": "0", "AIRSEED_GATHER_PATIENCE": "0"}
    machine.stand_in("hostname", "")


def _give(machine: Machine, plan: str, name: str, **values: str) -> None:
    """Lay a change of one stage down, as NODE.sh does."""
    machine.write("etc/airseed/change/id", f"{name} {'d' * 64} {machine.values['NODE']}\n")
    machine.write("etc/airseed/change/stages", f"1 {plan}\n")
    document = machine.root / "etc/airseed/kubeadm.yaml"
    machine.write("etc/airseed/change/1.yaml", document.read_bytes(), 0o600)
    document.unlink()
    own = {"CHANGE": name, "STAGES": "1", "LAST": "1", "COUNT_BEFORE": "0"} | values
    machine.lay_env("etc/airseed/change/1.env", **own)


def _snapshot(machine: Machine) -> dict[str, str]:
    folder = machine.root / "var/lib/airseed/snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    data = b"y" * 1024
    path = folder / SNAPSHOT
    path.write_bytes(data + hashlib.sha256(data).digest())
    keys = path.with_suffix(".keys.tar")
    with tarfile.open(keys, "w") as tar:
        for name in ("ca.crt", "ca.key", "sa.key", "sa.pub", "etcd/ca.crt", "etcd/ca.key"):
            tar.add(machine.authority.folder / name, name)
    return {
        "SNAPSHOT": SNAPSHOT,
        "SNAPSHOT_SUM": hashlib.sha256(path.read_bytes()).hexdigest(),
        "SNAPSHOT_KEYS_SUM": hashlib.sha256(keys.read_bytes()).hexdigest(),
        "PLANES": "k8s01 k8s02",
        "COUNT": "3",
        "CONTROL_PLANES": "k8s01 k8s02",
    }


def _make(machine: Machine) -> subprocess.CompletedProcess[str]:
    return machine.run("actions/change")


@pytest.mark.parametrize("kept", [True, False], ids=["as-it-was", "bare"])
def test_the_first_control_plane_begins_with_the_snapshot(
    first: Machine, api: Api, *, kept: bool
) -> None:
    _settle(first, api)
    if kept:
        first.write("var/lib/etcd/member/data", "broken")
        first.write("etc/kubernetes/manifests/etcd.yaml", "kind: Pod\nstatus: {}\n")
        first.write("etc/kubernetes/manifests/mine.yaml", "kind: Pod\nof: the user's\n")
        first.write("etc/kubernetes/kubelet.conf", "users:\n- name: default-auth\n")
    else:
        (first.root / "etc/airseed/node.env").unlink()
    first.stand_in("kubeadm", KUBEADM + (first.folder / "bin/kubeadm").read_text())
    _give(first, "restore", ID, **_snapshot(first))
    api.opened = True
    done = _make(first)
    assert done.returncode == 0, done.stdout
    assert (first.root / "var/lib/etcd/member/data").read_text() == "restored\n"
    if kept:
        before = first.state / f"etcd-before-{ID}/data"
        assert before.read_text() == "broken"
        assert (first.root / "etc/kubernetes/manifests/mine.yaml").exists()
        # it joined once, and kubeadm ends no init with what a join wrote
        assert "default-auth" not in (first.root / "etc/kubernetes/kubelet.conf").read_text()
    (restored,) = [call for call in first.called("docker", "run") if "restore" in call]
    assert restored[restored.index("--initial-cluster") + 1] == "k8s01=https://10.0.0.1:2380"
    assert "k8s.gcr.io/etcd:3.4.3-0" in restored
    assert first.called("kubeadm", "init", "phase", "certs", "all")
    assert first.called("systemctl", "enable", "kubelet.service")
    assert "change-001-restore.k8s01" in api.leases
    assert (first.root / "etc/hostname").read_text() == "k8s01\n"
    # never with an empty etcd, whatever comes
    assert (first.state / f"changes/{ID}/1/stamps/no-return").exists()


KUBEADM = """case $* in "config images list"*)
    printf '%s\\n' k8s.gcr.io/pause:3.2 k8s.gcr.io/etcd:3.4.3-0; exit ;; esac
"""


def test_nothing_is_taken_down_where_a_snapshot_has_no_room(first: Machine, api: Api) -> None:
    _settle(first, api)
    first.write("var/lib/etcd/member/data", b"x" * (3 << 20))
    first.set(KEEP_FREE="10%", NEED_MIB="0")
    first.stand_in("df", 'printf "Filesystem Blocks Used Free\\nx 1000 770 230\\n"')
    _give(first, "restore", ID, **_snapshot(first))
    api.opened = True
    assert _make(first).returncode == 1
    assert first.result["step"] == "vacate"
    # etcd's own three MiB are put aside, by whatever blocks the disk has
    assert re.fullmatch(
        f"{first.state} has 230 MiB free, and beginning again from a snapshot needs 13[1-3] MiB "
        "beside 100 MiB below which kubelet evicts pods",
        first.result["message"],
    )
    assert first.called("systemctl", "stop", "kubelet.service") == []


def test_nothing_is_taken_down_for_a_snapshot_that_is_not_the_one(first: Machine, api: Api) -> None:
    _settle(first, api)
    first.write("var/lib/etcd/member/data", "as it is")
    values = _snapshot(first) | {"SNAPSHOT_SUM": "0" * 64}
    _give(first, "restore", ID, **values)
    ran = first.run("run", "restore", "vacate", environment={"AIRSEED_STAGE": "1"})
    assert ran.returncode == 1
    assert "is not the one that this change was made for" in first.result["message"]
    assert not first.called("systemctl", "stop", "kubelet.service")
    assert (first.root / "var/lib/etcd/member/data").read_text() == "as it is"


def test_a_worker_goes_on_and_has_the_systems_pods_ask_again(joiner: Machine, api: Api) -> None:
    _settle(joiner, api)
    joiner.write("etc/kubernetes/pki/ca.crt", (joiner.authority.folder / "ca.crt").read_bytes())
    joiner.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    joiner.stand_in("docker", DOCKER)
    _give(joiner, "refresh", ID, PLANES="k8s01 k8s02", COUNT="3")
    api.hold(f"change-{ID}.k8s01", "k8s01", change=ID, stage="1")
    done = _make(joiner)
    assert done.returncode == 0, done.stdout
    assert joiner.called("systemctl", "restart", "kubelet.service")
    assert joiner.called("docker", "stop") == [["docker", "stop", "proxy1"]]
    assert f"change-{ID}.k8s04" in api.leases


DOCKER = """case $* in
*"pod.namespace=kube-system "*) printf 'proxy1 kube-proxy\\nsand1 POD\\n' ;;
esac"""


def test_what_was_under_way_at_the_snapshot_is_so_no_more(joiner: Machine, api: Api) -> None:
    """A snapshot that a change took has that change's own Lease in it."""
    _settle(joiner, api)
    joiner.write("etc/kubernetes/pki/ca.crt", (joiner.authority.folder / "ca.crt").read_bytes())
    joiner.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    _give(joiner, "refresh", "002-restore", PLANES="k8s01 k8s02", COUNT="3")
    api.hold("change", f"001-upgrade-1.19.5 {'e' * 12}")
    ran = joiner.run("run", "refresh", "agree", environment={"AIRSEED_STAGE": "1"})
    assert ran.returncode == 0, ran.stdout
    assert api.leases["change"]["spec"]["holderIdentity"] == f"002-restore {'d' * 12}"


def test_the_first_does_not_wait_for_who_had_the_last_word(first: Machine, api: Api) -> None:
    """Whoever is done last takes back what nodes may ask, perhaps before this one looks again."""
    _settle(first, api)
    first.write("etc/kubernetes/pki/ca.crt", (first.authority.folder / "ca.crt").read_bytes())
    first.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    _give(first, "restore", ID, **_snapshot(first))
    api.opened = False
    ran = first.run("run", "restore", "gather", environment={"AIRSEED_STAGE": "1"})
    assert ran.returncode == 0, ran.stdout
    log = (first.state / f"changes/{ID}/1/log/gather.log").read_text()
    assert "not all control planes have joined" not in log


def test_machines_that_go_are_not_drained_at_once(joiner: Machine, api: Api) -> None:
    name = "001-leave-k8s04"
    _settle(joiner, api)
    joiner.write("etc/kubernetes/pki/ca.crt", (joiner.authority.folder / "ca.crt").read_bytes())
    joiner.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    _give(
        joiner, "leave", name, PLANES="k8s01", COUNT="2", LEAVER="k8s04", COUNT_BEFORE="2",
        STAGE="2", STAGES="2", LEAVER_ADDRESSES="10.0.0.4", HELPER="k8s01",
    )  # fmt: skip
    folder = joiner.root / "etc/airseed/change"
    (folder / "1.env").rename(folder / "2.env")
    (folder / "stages").write_text("2 leave\n")
    api.hold(f"change-{name}.k8s01", "k8s01", change=name, stage="1")
    stage = {"AIRSEED_STAGE": "2", "AIRSEED_TURN_PATIENCE": "1"}
    ran = joiner.run("run", "leave", "depart", environment=stage)
    assert ran.returncode == 1
    assert joiner.result["message"] == (
        "this machine waits for all 2 nodes to be done with stage 1 (done: k8s01)"
    )
    assert not [call for call in joiner.called("kubectl") if "drain" in call]


def test_a_worker_leaves_when_it_is_told_to(joiner: Machine, api: Api) -> None:
    name = "001-leave-k8s04"
    _settle(joiner, api)
    folder = joiner.authority.folder
    joiner.write("etc/kubernetes/pki/ca.crt", (folder / "ca.crt").read_bytes())
    joiner.write("etc/kubernetes/pki/mine.pem", "of the user's own")
    joiner.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    joiner.write("etc/cni/net.d/10-flannel.conflist", "{}")
    joiner.stand_in(
        "ip", "case $* in '-o link show') printf '4: cni0: <UP>\\n5: eth0: <UP>\\n' ;; esac"
    )
    _give(
        joiner, "leave", name, PLANES="k8s01", COUNT="2", LEAVER="k8s04",
        LEAVER_ADDRESSES="10.0.0.4", HELPER="k8s01", HELPER_ADDRESS="10.0.0.1",
    )  # fmt: skip
    seen = []

    def helper() -> None:
        while "leave-k8s04" not in api.leases:
            time.sleep(0.05)
        seen.append(api.leases["leave-k8s04"]["spec"]["holderIdentity"])
        api.hold("leave-k8s04", f"go {name}")

    thread = threading.Thread(target=helper, daemon=True)
    thread.start()
    done = _make(joiner)
    thread.join(5)
    assert done.returncode == 0, done.stdout
    assert seen == [f"door {name}"]
    assert api.leases["leave-k8s04"]["spec"]["holderIdentity"] == f"gone {name}"
    calls = [" ".join(call) for call in joiner.calls]
    order = ["kubectl --kubeconfig", "systemctl disable kubelet.service", "kubeadm reset -f"]
    places = [next(n for n, call in enumerate(calls) if call.startswith(one)) for one in order]
    assert places == sorted(places)
    assert any(" drain k8s04 " in call for call in calls[: places[1]])
    assert calls[places[2]].endswith(" --skip-phases=remove-etcd-member")
    assert "ip link delete cni0" in calls
    assert "ip link delete eth0" not in calls
    assert (joiner.root / "etc/kubernetes/pki/mine.pem").read_text() == "of the user's own"
    assert not (joiner.root / "etc/kubernetes/kubelet.conf").exists()
    assert not (joiner.root / "etc/cni/net.d/10-flannel.conflist").exists()
    assert not _secrets(joiner.root / "etc/airseed/change")


def _secrets(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name not in {"id", "stages"}]
