"""``airseed packer``: what is written, what changes, and what is refused."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import run
from builder.errors import DocumentError, UsageError
from builder.model.digest import Digest
from builder.pipeline import packer
from builder.pipeline.lock_document import LockDocument
from builder.pipeline.packer import PackerOptions
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sandbox

    from builder.model.lock import Lock

CLUSTER = """\
kubernetes: 1.18.5
nodes: [{name: a, role: control-plane, address: 10.0.0.1}]
extra: {packages: [qemu-guest-agent, open-vm-tools]}
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpForTestsMadeUpForTestsMadeUpForTe me"


@pytest.fixture(scope="module")
def locked(shared: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Lock the smallest cluster that an image can be made for."""
    folder = tmp_path_factory.mktemp("packer") / "work"
    folder.mkdir()
    from sandboxes import Sandbox

    opened = Sandbox(shared.upstream, folder, shared.catalog)
    (folder / "cluster.yaml").write_text(CLUSTER, "utf-8")
    ran = opened.lock()
    assert ran.code == 0, ran.err
    return opened


def lock_of(locked: Sandbox) -> Lock:
    return LockDocument.read(locked.folder / "cluster.lock").lock


def write(locked: Sandbox, output: Path, **options: object) -> packer.PackerFolder:
    workspace = Workspace(locked.folder / "cluster.yaml", catalogs=[locked.catalog])
    wanted = PackerOptions(**{"ssh_key": KEY, **options})  # type: ignore[arg-type]
    return packer.write(workspace, wanted, output=output, reporter=Silent())


def test_a_folder_is_written_once_and_left_alone_when_nothing_changed(
    locked: Sandbox, tmp_path: Path
) -> None:
    out = tmp_path / "image"
    first = write(locked, out)
    assert first.builders == ("qemu",)
    assert first.delivery == "upload"
    assert first.bundle == str(locked.folder / "bundle.tar")
    digest = Digest.of((locked.folder / "cluster.lock").read_bytes())
    assert first.name == f"kubernetes-k8s-1.18.5-centos-7.6-{digest.hex[:12]}"
    assert f'"lock": "{digest}"' in (out / "guest/image.json").read_text()
    assert "guest/node/steps/packages.sh" in first.changed
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*.*")}
    assert (modes["bake.sh"], modes["image.env"]) == (0o755, 0o644)
    assert write(locked, out).changed == ()


def test_another_builder_replaces_what_was_written_and_leaves_other_files(
    locked: Sandbox, tmp_path: Path
) -> None:
    out = tmp_path / "image"
    write(locked, out)
    (out / "site.auto.pkrvars.hcl").write_text("cpus = 4\n")
    again = write(locked, out, builders=("vsphere-iso",))
    assert "source-qemu.pkr.hcl" in again.changed
    assert not (out / "source-qemu.pkr.hcl").exists()
    assert (out / "site.auto.pkrvars.hcl").exists()


def test_the_guest_finds_the_bundle_where_it_is_served(locked: Sandbox, tmp_path: Path) -> None:
    written = write(locked, tmp_path / "image", bundle="http://10.0.0.5:8080")
    assert (written.delivery, written.bundle) == ("url", "http://10.0.0.5:8080")
    env = (tmp_path / "image/guest/image.env").read_text()
    assert "AIRSEED_PAYLOAD_URL='http://10.0.0.5:8080'\n" in env
    kickstart = (tmp_path / "image/http/ks.cfg").read_text()
    assert (
        "repo --name=airseed-docker-ce-stable-el7 "
        "--baseurl=http://10.0.0.5:8080/yum/docker-ce-stable-el7/\n" in kickstart
    )


def test_paths_mean_the_same_wherever_packer_runs(
    locked: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of this command, not of cluster.yaml; Packer takes a disk's for a URL."""
    (tmp_path / "a, #?%").mkdir()
    monkeypatch.chdir(tmp_path / "a, #?%")
    options = {"disk_image": "d.qcow2", "disk_checksum": "0" * 64, "ssh_key": f"{KEY} jürgen"}
    written = write(locked, tmp_path / "image", bundle="b.tar", **options)
    assert written.bundle == str(tmp_path / "a, #?%/b.tar")
    values = (tmp_path / "image/airseed.auto.pkrvars.hcl").read_text()
    assert f'= ["{tmp_path}/a,%20%23%3F%25/d.qcow2"]\n' in values
    assert f"echo '{KEY.removesuffix(' me')}' >" in (tmp_path / "image/http/ks.cfg").read_text()


def test_kubernetes_and_the_runtime_are_held_and_nothing_else(
    locked: Sandbox, tmp_path: Path
) -> None:
    write(locked, tmp_path / "image")
    env = (tmp_path / "image/guest/image.env").read_text()
    line = next(line for line in env.splitlines() if line.startswith("AIRSEED_HELD="))
    held = set(line.partition("=")[2].strip("'").split())
    assert {"kubelet", "kubeadm", "kubectl", "docker-ce", "docker-ce-cli", "containerd.io"} <= held
    assert not held & {"cloud-init", "chrony", "qemu-guest-agent"}


def test_images_are_checked_by_the_digest_that_docker_shows(
    locked: Sandbox, tmp_path: Path
) -> None:
    write(locked, tmp_path / "image")
    parts = (part for image in lock_of(locked).images for part in image.manifests)
    configs = {str(part.config) for part in parts}
    lines = (tmp_path / "image/guest/image.checks").read_text().splitlines()
    images = [line.split() for line in lines if line.startswith("docker-image ")]
    assert len(images) > 8
    assert {line[2] for line in images} <= configs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"builders": ("qemuu",)}, "--builder: there is no builder 'qemuu' (expected qemu or"),
        ({"profile": "1.5"}, "--profile: there is no profile '1.5' (expected modern or 1.6)"),
        ({"disk_image": "x"}, "--disk-image: a disk image is taken by its checksum alone"),
        (
            {"disk_image": "x", "disk_checksum": "abc"},
            "--disk-sha256: is not a SHA-256 (expected 64 hexadecimal digits)",
        ),
        ({"delivery": "url"}, "--bundle: the guest needs a URL to fetch the bundle from (expected"),
        (
            {"delivery": "upload", "bundle": "http://x"},
            "--bundle: --delivery upload takes a file, not a URL",
        ),
        (
            {"bundle": "http://me:secret@10.0.0.5"},
            "--bundle: credentials in a URL would be visible to everyone on the machine",
        ),
        (
            {"bundle": "http://10.0.0.5\nrootpw x"},
            "--bundle: the host of this URL is neither a name nor an address (expected http://",
        ),
        ({"bundle": "http://10.0.0.5/a b"}, "--bundle: this is not a URL (expected http://HOST"),
        ({"bundle": "http://h/?q"}, "--bundle: a folder's URL ends after its path (expected"),
        ({"ssh_key": "-----BEGIN"}, "--ssh-key: this is not a public key (expected one line: ssh-"),
    ],
)
def test_what_does_not_go_is_said(
    locked: Sandbox, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        write(locked, tmp_path / "image", **options)
    assert str(raised.value).startswith(message)
    assert not (tmp_path / "image").exists()


def test_all_that_does_not_go_together_is_said_at_once(locked: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        write(
            locked,
            tmp_path / "image",
            builders=("vsphere-iso", "proxmox-iso"),
            delivery="disk",
            disk_image="x.qcow2",
            disk_checksum="0" * 64,
        )
    assert [fault.where for fault in raised.value.faults] == [
        "--builder vsphere-iso", "--builder vsphere-iso",
        "--builder proxmox-iso", "--builder proxmox-iso",
    ]  # fmt: skip


def test_a_lock_without_the_platforms_agent_is_refused(
    sample: object, shared: Sandbox, tmp_path: Path
) -> None:
    workspace = Workspace(shared.folder / "cluster.yaml", catalogs=[shared.catalog])
    options = PackerOptions(builders=("qemu", "vsphere-iso"), ssh_key=KEY)
    with pytest.raises(DocumentError) as raised:
        packer.write(workspace, options, output=tmp_path / "image", reporter=Silent())
    assert [fault.what for fault in raised.value.faults] == [
        "the lock lacks this package, by which qemu talks to its guests",
        "the lock lacks this package, by which vsphere-iso talks to its guests",
    ]
    assert not (tmp_path / "image").exists()


def test_what_the_users_own_image_has_need_not_be_in_the_lock(
    shared: Sandbox, tmp_path: Path
) -> None:
    from sandboxes import Sandbox

    own = Sandbox(shared.upstream, tmp_path, shared.catalog)
    (tmp_path / "image.txt").write_text(
        "cloud-init-18.2-1.el7.centos.x86_64\nqemu-guest-agent-2.12.0-2.el7.x86_64\n"
    )
    text = (
        CLUSTER.partition("extra:")[0]
        + "os: {name: centos, version: 7.6, base: {packages: image.txt}}\n"
    )
    (tmp_path / "cluster.yaml").write_text(text, "utf-8")
    ran = own.lock()
    assert ran.code == 0, ran.err
    assert "cloud-init" not in {one.nevra.name for one in lock_of(own).packages}
    options = {"disk_image": "own.qcow2", "disk_checksum": "0" * 64}
    assert write(own, tmp_path / "image", builders=("qemu",), **options).builders == ("qemu",)
    with pytest.raises(DocumentError) as raised:
        write(own, tmp_path / "other", builders=("vsphere-iso",))
    assert [fault.where for fault in raised.value.faults] == ["open-vm-tools", "os.base"]


def test_an_image_has_the_release_that_its_cluster_is_led_to(
    shared: Sandbox, tmp_path: Path
) -> None:
    """The lock of a way has the releases before it as well; two kubelets are on no machine."""
    from sandboxes import Sandbox

    own = Sandbox(shared.upstream, tmp_path, shared.catalog)
    text = CLUSTER.replace("1.18.5", "1.19.5") + "changes: {from: 1.18.5}\n"
    (tmp_path / "cluster.yaml").write_text(text, "utf-8")
    ran = own.lock()
    assert ran.code == 0, ran.err
    assert len([one for one in lock_of(own).packages if one.nevra.name == "kubelet"]) == 2
    write(own, tmp_path / "image")
    guest = {path.name: path.read_text() for path in (tmp_path / "image/guest").glob("image.*")}
    assert "package kubelet 1.19.5-0\n" in guest["image.checks"]
    for text in guest.values():
        assert "1.18.5" not in text


def test_an_image_is_compared_with_the_lock(locked: Sandbox, tmp_path: Path) -> None:
    write(locked, tmp_path / "packer", builders=("qemu",))
    path = tmp_path / "packer/guest/image.json"
    words = ("doctor", "cluster.yaml", "--image", str(path), "--catalog", str(locked.catalog))
    ran = locked.run(*words)
    assert ran.code == 0, ran.err
    assert " is of this lock\n" in ran.err
    document = json.loads(path.read_text())
    baked = document["packages"].pop()
    document |= {"kubernetes": "1.19.5", "images": [*document["images"], "k8s.gcr.io/pause:3.1"]}
    path.write_text(json.dumps(document))
    ran = locked.run(*words, "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["differs"] == [
        {
            "where": "kubernetes", "what": "the image has 1.19.5",
            "expected": "1.18.5, by the lock",
        },
        {"where": f"packages: {baked}", "what": "the image lacks it", "expected": None},
        {
            "where": "images: k8s.gcr.io/pause:3.1",
            "what": "the image has it, but the lock no longer names it", "expected": None,
        },
    ]  # fmt: skip
    ran = locked.run(*words)
    assert ran.code == 1
    assert "is of another lock: bake it anew\n" in ran.err
    forged = json.dumps(document | {"image": "a\nb"})
    for text in (
        "{}",
        "[1",
        '{"format": 1, "image": "x", "packages": [1]}',
        forged,
        " " * (5 << 20),
    ):
        path.write_text(text)
        assert locked.run(*words).code == 3


def test_a_folder_with_other_files_is_left_alone(locked: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="this folder has other files in it"):
        write(locked, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_key_that_is_made_is_private_and_stays(
    locked: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["packer", str(locked.folder / "cluster.yaml"), "--out", str(tmp_path / "image")]
    words += ["--catalog", str(locked.catalog)]
    assert run(words) == 0
    err = capsys.readouterr().err
    key = locked.folder / "secrets/image-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f"next: packer build -var ssh_private_key_file={key} {tmp_path / 'image'}" in err
    public = (locked.folder / "secrets/image-key.pub").read_text().strip()
    assert public in (tmp_path / "image/http/ks.cfg").read_text()
    before = key.read_bytes()
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []
    assert key.read_bytes() == before
    for path in (tmp_path / "image").rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()
