"""The power goes at every call that a step makes; started again, the node always gets there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Machine

TOKEN = b"0123456789abcdef"
LAST = 90
"""More calls than a first control plane makes; a turn behind its last call finds it finished."""


@pytest.fixture
def alone(first: Machine) -> Machine:
    first.set(REGISTRY="registry.lan/k8s", UNTAINT="1", PACKAGES="kubeadm-1.18.5-0")
    first.set(SUMS="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    first.write("opt/airseed/bundle/SHA256SUMS", "")
    first.write("joined-control-planes", "node/k8s01\n")
    first.write("var/lib/cloud/instances/i/user-data.txt", f"token: {TOKEN.decode()}", 0o600)
    first.write("var/lib/cloud/seed/nocloud/user-data", f"token: {TOKEN.decode()}")
    return first


def holders(root: Path, needle: bytes) -> Iterator[str]:
    """Yield the files that hold something, those apart that have to."""
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.startswith(("etc/kubernetes/pki", "var/lib/etcd")) or not path.is_file():
            continue
        if needle in path.read_bytes():
            yield name


def check(machine: Machine) -> None:
    """Hold a finished first control plane against what must be true of it, however it got there."""
    assert machine.result["state"] == "done", machine.result
    assert machine.called("kubeadm", "reset") == []
    ca = (machine.authority.folder / "ca.crt").read_bytes()
    assert (machine.root / "etc/kubernetes/pki/ca.crt").read_bytes() == ca
    key = (machine.authority.folder / "ca.key").read_bytes()
    assert (machine.root / "etc/kubernetes/pki/ca.key").read_bytes() == key
    for needle in (TOKEN, b"5f" * 32, key):
        assert list(holders(machine.root, needle)) == []
    assert (machine.root / "etc/cloud/cloud-init.disabled").exists()
    assert not (machine.root / "uploaded").exists()
    # others could not act on anything before it was on record that they might
    for call in machine.calls:
        assert call[:1] != ["kubeadm"] or "--config" in call


@pytest.mark.parametrize("turn", range(1, LAST, 6))
def test_a_power_cut_at_any_call(alone: Machine, turn: int) -> None:
    alone.boot(environment={"CRASH": str(turn)})
    ran = alone.boot()
    assert ran.returncode == 0, ran.stdout
    check(alone)


def test_no_call_comes_behind_the_last_turn(alone: Machine) -> None:
    assert alone.boot(environment={"CRASH": str(LAST)}).returncode == 0, len(alone.calls)
    assert LAST - len(alone.calls) < 6, "turns that cut nothing"


@pytest.mark.campaign
@pytest.mark.parametrize("turn", range(1, LAST))
def test_a_power_cut_at_every_call(alone: Machine, turn: int) -> None:
    test_a_power_cut_at_any_call(alone, turn)


@pytest.mark.parametrize("turn", [40, 46, 52])
def test_and_it_empties_what_was_written_last(alone: Machine, turn: int) -> None:
    """Files whose data were not on disk yet come back empty: stamps, keys, manifests."""
    alone.boot(environment={"CRASH": str(turn)})
    for folder in ("var/lib/airseed/stamps", "etc/kubernetes"):
        for path in sorted((alone.root / folder).rglob("*")):
            # what was synced before is safe: the copies, and the stamps that say so
            if path.is_file() and path.name not in {"no-return", "joined", "certificates"}:
                path.write_bytes(b"")
    ran = alone.boot()
    assert ran.returncode == 0, (alone.state / "log/kubeadm.log").read_text()
    check(alone)


def test_a_mount_made_folders_of_kubeadms_files(first: Machine) -> None:
    """docker and kubelet do so where one is not there yet, as for a static pod of the user's."""
    names = ("admin.conf", "kubelet.conf", "pki/ca.crt", "pki/sa.pub", "manifests/etcd.yaml")
    files = [first.root / "etc/kubernetes" / name for name in names]
    for file in files:
        file.mkdir(parents=True)
    ran = first.source("mend_files", "kubeadm")
    assert ran.returncode == 0, ran.stdout
    assert not [file for file in files if file.exists()]


@pytest.mark.parametrize("filled", [False, True])
def test_a_mount_made_a_folder_of_a_file_of_ours(first: Machine, *, filled: bool) -> None:
    file = first.root / "etc/docker/daemon.json"
    file.mkdir(parents=True)
    if filled:  # whoever put that there wants to know
        (file / "x").touch()
    ran = first.boot("runtime")
    assert (ran.returncode, file.is_file()) == ((1, False) if filled else (0, True)), first.result


def test_secrets_stay_while_the_window_is_open(alone: Machine) -> None:
    """Two more control planes are expected: the timer keeps Secret and key until they are in."""
    alone.set(CONTROL_PLANES="k8s01 k8s02 k8s03", WINDOW="86400")
    assert alone.boot().returncode == 0
    timer = alone.root / "etc/systemd/system/airseed-window.timer"
    assert timer.exists()
    assert ["systemctl", "start", "airseed-window.timer"] in alone.calls
    assert "airseed-window: open" in (alone.root / "applied-by-hand").read_text()
    assert (alone.root / "uploaded").exists()
    # its token has expired, so kubeadm's token cleaner took it away
    (alone.root / "uploaded").unlink()
    assert alone.run("actions/window").returncode == 0
    assert (alone.root / "uploaded").exists()
    assert (alone.root / "etc/airseed/kubeadm.yaml").exists()
    alone.write("joined-control-planes", "node/k8s01\nnode/k8s02\nnode/k8s03\n")
    ran = alone.run("actions/window")
    assert ran.stdout.splitlines()[0] == "all declared control planes have joined"
    assert not timer.exists()
    check(alone)


def test_the_window_can_be_closed_by_hand(alone: Machine) -> None:
    alone.set(CONTROL_PLANES="k8s01 k8s02")
    assert alone.boot().returncode == 0
    assert alone.run("actions/window", "close").returncode == 0
    marks = [call[-1] for call in alone.called("kubectl") if "annotate" in call]
    assert marks == ["airseed-window-"]
    check(alone)


def test_the_window_closes_though_somebody_removed_the_namespace(alone: Machine) -> None:
    alone.set(CONTROL_PLANES="k8s01 k8s02")
    assert alone.boot().returncode == 0
    alone.write("refuse-annotate", "")
    assert alone.run("actions/window", "close").returncode == 0
    check(alone)


@pytest.mark.parametrize(("began", "over"), [(-90_000, True), (-80_000, False), (900_000, False)])
def test_a_window_that_a_clock_ahead_opened_ends(first: Machine, began: int, *, over: bool) -> None:
    now = int(time.time())
    file = first.write("var/lib/airseed/window-began", f"{now + began}\n")
    ran = first.source("window_is_over && echo over", "window")
    assert ran.stdout == ("over\n" if over else "")
    assert int(file.read_text()) == pytest.approx(now + min(began, 0), abs=60)


def test_the_window_closes_by_time(alone: Machine) -> None:
    alone.set(CONTROL_PLANES="k8s01 k8s02")
    assert alone.boot().returncode == 0
    alone.write("var/lib/airseed/window-began", "1000\n")
    ran = alone.run("actions/window")
    assert ran.stdout.startswith("the window is over")
    check(alone)
