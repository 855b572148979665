"""A machine image by real Packer and qemu, and a machine of it that boots from a seed.

There is no medium of CentOS here, so it starts from a disk with Debian on it, made to look like
CentOS as for ``make e2e``. Everything is emulated.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e import disk_image, upstream
from e2e.cluster import IGNORED, Cluster
from e2e.resources import CACHE, run
from interop.programs import PATH, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

MEMORY = 2560
_ROOM = 8 << 30
_HOST = "10.0.2.2"
"""How a guest of qemu's calls the machine that it runs on."""
_BOOT = 2400
"""Seconds from power-on to static pods, before it counts as failed."""
_WHOLE = 1200
"""Seconds after that, when nobody waits for the rest any more."""


@pytest.fixture(scope="module")
def workdir() -> Iterator[Path]:
    if os.getpid() != 1 or os.geteuid() != 0:
        pytest.fail("this mounts disks in a namespace of its own: make image-test", pytrace=False)
    with tempfile.TemporaryDirectory(prefix="image-", dir=CACHE) as name:
        free = os.statvfs(name).f_bavail * os.statvfs(name).f_frsize
        assert free >= _ROOM, f"{CACHE} has {free >> 20} MiB free, {_ROOM >> 20} are needed"
        yield Path(name)


@pytest.fixture(scope="module")
def key(workdir: Path) -> Path:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", workdir / "ops-key")
    return workdir / "ops-key"


@pytest.fixture(scope="module")
def cluster(workdir: Path, key: Path) -> Iterator[Cluster]:
    def change(document: dict[str, Any]) -> None:
        document.setdefault("extra", {})["packages"] = ["qemu-guest-agent"]
        document["seed"] = {"scripts": "image", "phone-home": f"http://{_HOST}:{home}/boots"}
        public = key.with_suffix(".pub").read_text().strip()
        document["machine"] = {"users": [{"name": "ops", "ssh-keys": [public], "sudo": True}]}
        errors = [*IGNORED, "NumCPU", "Mem"]
        kind = {"nodeRegistration": {"ignorePreflightErrors": errors}}
        document["kubeadm"]["InitConfiguration"] = kind
        # kubeadm's own four minutes are too short for programs on an emulated core
        patient = {"apiServer": {"timeoutForControlPlane": "20m"}}
        document["kubeadm"].setdefault("ClusterConfiguration", {}).update(patient)

    home = free_port()
    with upstream.upstream(workdir / "upstream") as made:
        began = time.monotonic()
        disk, image = disk_image.make(workdir / "disk", made.stock)
        print(f"\na disk to start from: {time.monotonic() - began:.0f} s")
        one = Cluster(workdir / "cluster", made, image, payload="disk")
        one.describe("single", change)
        one.prepare()
        with disk.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        one.airseed(
            "packer", "--builder", "qemu", "--profile", "1.6", "--delivery", "disk",
            "--disk-image", str(disk), "--disk-sha256", digest, "--catalog", str(made.catalog),
        )  # fmt: skip
        log = one.folder / "boots"
        log.mkdir()
        listen = f"127.0.0.1:{home}"
        words = ("--listen", listen, "--boots", "--cluster", one.folder / "cluster.yaml")
        with upstream.serving(log, None, listen, *upstream.airseed("serve", *words)):
            yield one


@pytest.fixture(scope="module")
def built(cluster: Cluster) -> Path:
    """Run the folder's own build.sh, as ``make image`` does; return what it made."""
    folder, output = cluster.folder / "packer", cluster.folder / "output"
    variables = {"disk_size": disk_image.SIZE, "cpus": 1, "memory": MEMORY}
    began = time.monotonic()
    ran = subprocess.run(
        [
            folder / "build.sh", output,
            *(f"-var={name}={value}" for name, value in variables.items()),
        ],
        env={
            "PATH": PATH,
            "HOME": str(cluster.folder),
            "PACKER_CACHE_DIR": str(cluster.folder / "packer-cache"),
            "PKR_VAR_ssh_private_key_file": str(cluster.folder / "secrets/image-key"),
            "AIRSEED_KERNEL": str(disk_image.kernel()),
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:]
    print(f"\npacker build: {time.monotonic() - began:.0f} s")
    print("\n".join(line for line in ran.stdout.splitlines() if "airseed: step" in line))
    print("\n".join(ran.stdout.splitlines()[-12:]))
    return output


def test_packer_leaves_a_sealed_image_with_its_checksum(cluster: Cluster, built: Path) -> None:
    name = json.loads((built / "manifest.json").read_text())["builds"][0]["files"][0]["name"]
    assert sorted(path.name for path in built.iterdir()) == sorted(
        [name, f"{name.removesuffix('.qcow2')}.sha256", "manifest.json"]
    )
    run("sha256sum", "-c", built / f"{name.removesuffix('.qcow2')}.sha256", cwd=built)
    raw, mounted = cluster.folder / "image.raw", cluster.folder / "mounted"
    mounted.mkdir()
    run("qemu-img", "convert", "-O", "raw", built / name, raw)
    run("mount", "-o", "loop,ro,noload", raw, mounted)
    try:
        for line in (mounted / "etc/airseed/traces").read_text("utf-8").split():
            assert not [*mounted.glob(line.lstrip("/"))], line
        assert (mounted / "etc/machine-id").read_bytes() == b""
        assert json.loads((mounted / "etc/airseed/image.json").read_text())["built"][:2] == "20"
    finally:
        run("umount", mounted)
        raw.unlink()


@contextmanager
def _machine(cluster: Cluster, image: Path, port: int) -> Iterator[tuple[Path, float]]:
    """Boot the image with the seed's ISO; give its console and when it was powered on."""
    disk, console = cluster.folder / "node.qcow2", cluster.folder / "node.log"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", disk)
    (name,) = cluster.names
    machine = subprocess.Popen(
        [
            "/usr/bin/qemu-system-x86_64", "-accel", "tcg", "-m", str(MEMORY), "-smp", "1",
            "-display", "none", "-serial", f"file:{console}",
            "-drive", f"file={disk},if=virtio",
            "-drive", f"file={cluster.folder / 'seeds' / name}.iso,media=cdrom,readonly=on",
            "-nic", f"user,model=virtio,hostfwd=tcp:127.0.0.1:{port}-:22",
        ],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield console, time.monotonic()
    finally:
        machine.kill()
        machine.wait()


def test_a_machine_of_it_boots_from_a_seed(cluster: Cluster, key: Path, built: Path) -> None:
    image = next(built.glob("*.qcow2"))
    home = cluster.document["seed"]["phone-home"].removesuffix("/boots").replace(_HOST, "127.0.0.1")
    port = free_port()
    ssh = (
        "ssh", "-q", "-p", str(port), "-i", key, "-o", "StrictHostKeyChecking=no", "-o",
        "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "ops@127.0.0.1", "sudo", "-n",
    )  # fmt: skip
    with _machine(cluster, image, port) as (console, began):

        def seconds() -> float:
            return time.monotonic() - began

        def node() -> dict[str, Any]:
            told = cluster.airseed("status", "--from", home, "--json", code=None)
            (row,) = json.loads(told)
            state: dict[str, Any] = row
            return state

        def fail(what: str) -> AssertionError:
            text = console.read_text("utf-8", "replace") if console.exists() else ""
            return AssertionError(f"{what}\n{node()}\n{text[-5000:]}")

        step, manifests = "", ""
        # kubelet starts again and again until kubeadm has written its configuration
        while manifests.count(".yaml") < 4 or manifests.rsplit(maxsplit=1)[-1] != "active":
            if seconds() > _BOOT:
                raise fail(f"no static pods after {_BOOT} s")
            row = node()
            if row.get("step") != step:
                step = row.get("step") or ""
                print(f"\nfirst boot, {seconds():4.0f} s: {row['state']} {step}")
            if step in {"kubeadm", "addons", "after", "finish"} or row["state"] == "done":
                words = "ls /etc/kubernetes/manifests && systemctl is-active kubelet"
                manifests = run(*ssh, "sh", "-c", f"'{words}'", check=False).stdout
            time.sleep(5)
        print(f"\nfirst boot, {seconds():4.0f} s: kubelet runs, with {manifests.split()}")
        limit = seconds() + _WHOLE
        while node()["state"] != "done" and seconds() < limit:
            time.sleep(10)
        row = node()
        print(f"\nfirst boot, {seconds():4.0f} s: {row['state']} {row.get('step')}: {row}")
        nodes = run(
            *ssh,
            "kubectl",
            "--kubeconfig=/etc/kubernetes/admin.conf",
            "get",
            "nodes,pods",
            "-A",
            check=False,
        )
        print(nodes.stdout)
        kept = run(*ssh, "cat", "/etc/airseed/image.json", check=False).stdout
        assert json.loads(kept)["cluster"] == row["cluster"]
