"""Snapshots of etcd on a control plane: whole or not at all, some of them, and with the keys."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Machine

MANIFEST = "kind: Pod\nspec:\n  containers:\n  - image: k8s.gcr.io/etcd:3.4.3-0\nstatus: {}\n"
KEYS = [
    "ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key",
    "etcd/ca.crt", "etcd/ca.key",
]  # fmt: skip


@pytest.fixture(params=["docker", "containerd"])
def plane(request: pytest.FixtureRequest, first: Machine) -> Machine:
    """Return a control plane whose etcd runs."""
    first.set(RUNTIME=str(request.param))
    first.write("etc/kubernetes/manifests/etcd.yaml", MANIFEST)
    first.write("var/lib/etcd/member/data", "the cluster")
    first.give_pki()
    return first


def snapshot(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    return machine.run("actions/snapshot", *words)


def kept(machine: Machine) -> list[str]:
    return sorted(file.name for file in (machine.state / "snapshots").iterdir())


def test_a_snapshot_is_etcds_own_with_the_keys_beside_it(plane: Machine) -> None:
    done = snapshot(plane)
    assert done.returncode == 0, done.stdout
    database, keys = (plane.state / "snapshots" / name for name in kept(plane))
    assert done.stdout == f"snapshot {database}: revision 4711, 1234 keys, 544 bytes\n"
    assert database.name.endswith("-k8s01.db")
    assert (database.stat().st_mode & 0o777, keys.stat().st_mode & 0o777) == (0o600, 0o600)
    assert (plane.state / "snapshots").stat().st_mode & 0o777 == 0o700
    with tarfile.open(keys) as tar:
        assert tar.getnames() == KEYS
    assert snapshot(plane, "list").stdout == f"{database.name}  544 bytes  whole\n"
    database.write_bytes(database.read_bytes()[:-1] + b"x")
    assert snapshot(plane, "list").stdout == f"{database.name}  544 bytes  damaged\n"


def test_the_newest_stay_and_keys_alone_go(plane: Machine, tmp_path: Path) -> None:
    for day in ("01", "02", "03"):
        for kind in ("db", "keys.tar"):
            plane.write(f"var/lib/airseed/snapshots/202601{day}T000000Z-k8s01.{kind}", "x")
    plane.write("var/lib/airseed/snapshots/20251231T000000Z-k8s01.keys.tar", "x")
    share = tmp_path / "share"
    share.mkdir()
    done = snapshot(plane, "--keep", "2", "--to", str(share))
    assert done.returncode == 0, done.stdout
    old, old_keys, new, new_keys = kept(plane)
    assert (old, old_keys) == ("20260103T000000Z-k8s01.db", "20260103T000000Z-k8s01.keys.tar")
    assert sorted(file.name for file in share.iterdir()) == [new, new_keys]
    assert (share / new).stat().st_mode & 0o777 == 0o600


def test_what_a_clock_that_was_ahead_named_is_not_the_newest(plane: Machine) -> None:
    for name in ("20990101T000000Z-k8s01", "20990102T000000Z-k8s01", "20260101T000000Z-k8s01"):
        for kind in ("db", "keys.tar"):
            plane.write(f"var/lib/airseed/snapshots/{name}.{kind}", "x")
    done = snapshot(plane, "--keep", "2")
    assert done.returncode == 0, done.stdout
    old, _, new, _ = kept(plane)
    assert old == "20260101T000000Z-k8s01.db"
    assert new in done.stdout


@pytest.mark.parametrize(
    ("words", "said", "error", "hint"),
    [
        (
            (),
            "Error: context deadline exceeded\n",
            "etcd gives no snapshot: Error: context deadline exceeded",
            "does etcd run here, and has it a quorum? crictl ps or docker ps -a, and its log",
        ),
        (
            ("--to", "/nowhere"),
            "",
            "/nowhere is no folder on this machine",
            "mount what it is to be on",
        ),
        (
            ("--to", "https://me:secret@backup.test/"),
            "",
            "a password in a URL would be seen by everybody",
            'put it into {etc}/snapshots.curl: user = "NAME:PASSWORD"',
        ),
    ],
)
def test_what_goes_wrong(
    plane: Machine, words: tuple[str, ...], said: str, error: str, hint: str
) -> None:
    if said:
        plane.write("etcd-says", said)
    done = snapshot(plane, *words)
    assert done.returncode == 1
    hint = hint.format(etc=plane.root / "etc/airseed")
    assert done.stdout.endswith(f"error: {error}\nhint: {hint}\n")
    assert "secret" not in done.stdout
    assert [name for name in kept(plane) if name != ".new"] == [] or not said


def test_what_kubelet_keeps_free_is_no_room_for_a_snapshot(plane: Machine) -> None:
    plane.stand_in("df", 'printf "Filesystem Blocks Used Free\\nx 10000 9900 100\\n"')
    plane.set(KEEP_FREE="50 1%")
    done = snapshot(plane)
    assert done.returncode == 1
    assert done.stdout == (
        f"error: {plane.state}/snapshots has 100 MiB free, and a snapshot of etcd needs 64 MiB "
        "beside 100 MiB below which kubelet evicts pods\n"
        "hint: make room, or have fewer kept (machine.snapshots.keep): airseed-snapshot list\n"
    )
    plane.set(KEEP_FREE="36")
    assert snapshot(plane).returncode == 0


def test_a_worker_has_none(machine: Machine) -> None:
    done = snapshot(machine)
    assert (done.returncode, done.stdout) == (
        1,
        "error: k8s04 is a worker, and has no etcd\nhint: run it on a control plane\n",
    )
    assert snapshot(machine, "--keep", "none").returncode == 2


def test_first_boot_has_the_timer_where_it_is_asked_for(plane: Machine) -> None:
    timer = plane.root / "etc/systemd/system/airseed-snapshot.timer"
    plane.set(SNAPSHOTS_EVERY="6h")
    assert plane.source("time_snapshots", "snapshots").returncode == 0
    assert "OnUnitInactiveSec=6h\n" in timer.read_text()
    assert plane.called("systemctl", "enable", "airseed-snapshot.timer")
    plane.set(SNAPSHOTS_EVERY="")
    assert plane.source("time_snapshots", "snapshots").returncode == 0
    assert not timer.exists()
