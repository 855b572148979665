"""The whole way of an image on one machine: the rendered folder, bake, seal, and a first boot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import plans
import pytest

from builder.model.digest import Digest
from builder.render.packer.folder import folder
from builder.render.packer.image import MachineImage

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine  # type: ignore[import-not-found]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpForTestsMadeUpForTestsMadeUpForTe me"
MADE = f"{hashlib.sha256(b'{}').hexdigest()}  cluster.lock\n".encode()
SUMS = hashlib.sha256(MADE).hexdigest()


@pytest.fixture
def guest(machine: Machine, tmp_path: Path) -> Path:
    """Copy into the machine what Packer copies; its images come from a registry."""
    text = plans.example("single").replace("nodes:", "registry: registry.lan/k8s\nnodes:", 1)
    table = plans.catalog().packer
    image = MachineImage(
        plan=replace(plans.plan(text), sums=Digest.parse(f"sha256:{SUMS}")),
        lock=Digest.of(b"a lock"),
        builders=(table.builder("qemu"),),
        profile="modern",
        requires=table.profiles["modern"],
        delivery="upload",
        bundle="/srv/bundle.tar",
        key=KEY,
        version="0.1.0",
    )
    own = tmp_path / "image"
    for path, content in folder(image).items():
        (own / path).parent.mkdir(parents=True, exist_ok=True)
        (own / path).write_bytes(content)
    shutil.copytree(own / "guest", machine.root / "tmp/guest")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "SHA256SUMS").write_bytes(MADE)
    (bundle / "cluster.lock").write_bytes(b"{}")
    uploaded = machine.root / "var/tmp/bundle.tar"
    uploaded.parent.mkdir(parents=True)
    subprocess.run(["tar", "-cf", uploaded, "-C", bundle, "SHA256SUMS", "cluster.lock"], check=True)
    names = (package.nevra for package in image.plan.lock.packages)
    machine.write(
        "rpms", "".join(f"{one.name}-{one.version}-{one.release}.{one.arch}\n" for one in names)
    )
    (machine.root / "etc/airseed/node.env").unlink(missing_ok=True)
    return own


def run(machine: Machine, script: Path) -> subprocess.CompletedProcess[str]:
    environment = {**machine.variables, "AIRSEED_ROOT": str(machine.root)}
    environment["PATH"] += f":{os.environ['PATH']}"
    return subprocess.run(
        ["bash", script], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_an_image_is_baked_and_says_what_it_is(machine: Machine, guest: Path) -> None:
    ran = run(machine, guest / "scripts/bake.sh")
    assert ran.returncode == 0, ran.stdout
    assert "airseed: the image has all that can be in it, after " in ran.stdout
    described = json.loads((machine.root / "etc/airseed/image.json").read_text())
    assert described["lock"] == str(Digest.of(b"a lock"))
    assert described["bundle"] == f"sha256:{SUMS}"
    assert described["built"].endswith("Z")
    assert (machine.root / "etc/systemd/system/airseed-bootstrap.service").is_file()
    assert "exclude=kubeadm kubelet" in (machine.root / "etc/yum.conf").read_text()
    assert not (machine.root / "var/tmp/bundle.tar").exists()
    assert ["systemctl", "enable", "docker.service", "kubelet.service"] in machine.calls


def test_a_failure_is_the_guests_own(machine: Machine, guest: Path) -> None:
    machine.stand_in("modprobe", "exit 1")
    ran = run(machine, guest / "scripts/bake.sh")
    assert ran.returncode == 1
    assert "bake: failed; this is the guest's own result:" in ran.stdout
    assert '"message": "the kernel module overlay can\'t be loaded"' in ran.stdout
    assert not (machine.root / "etc/airseed/image.json").exists()


def test_a_bundle_that_is_not_the_locks_is_refused(machine: Machine, guest: Path) -> None:
    env = machine.root / "tmp/guest/image.env"
    env.write_text(env.read_text().replace(SUMS, "a" * 64))
    (machine.root / "rpms").unlink()
    ran = run(machine, guest / "scripts/bake.sh")
    assert ran.returncode == 1
    assert "this is not the bundle that the seed names, or it is damaged" in ran.stdout


def test_an_upload_that_was_cut_off_is_told(machine: Machine, guest: Path) -> None:
    (machine.root / "var/tmp/bundle.tar").write_bytes(b"x" * 100)
    ran = run(machine, guest / "scripts/bake.sh")
    assert ran.returncode == 1
    assert "bake: the uploaded bundle can't be unpacked" in ran.stdout
