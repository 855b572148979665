"""``airseed verify`` on whole and damaged bundles, with its exit codes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.bundle.region import Files
from builder.cli.root import run

if TYPE_CHECKING:
    from sandboxes import Sample

NAME = "images/blobs/sha256/"


@pytest.fixture
def folder(sample: Sample, tmp_path: Path) -> Path:
    place = tmp_path / "unpacked"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(place, filter="data")
    return place


def verdict(capsys: pytest.CaptureFixture[str], place: Path) -> tuple[int, dict[str, Any]]:
    code = run(["verify", "-q", str(place), "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    value: dict[str, Any] = json.loads(out)
    return code, value


def test_a_whole_bundle(sample: Sample, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (sample.bundle, folder):
        assert verdict(capsys, place) == (
            0,
            {
                "bundle": str(place),
                "whole": True,
                "right": True,
                "size": sample.lock.size,
                "signedBy": None,
                "elsewhere": [],
                "unread": [],
                "faults": [],
            },
        )
    assert run(["verify", str(sample.bundle)]) == 0
    assert capsys.readouterr().err.endswith(f"{sample.bundle} is whole: 11.9 MB checked\n")


def test_it_asks_no_network(sample: Sample) -> None:
    """In a network namespace that has nothing, where this machine allows to make one."""
    words = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    import sys

    done = subprocess.run(
        [*words, sys.executable, "-m", "builder", "verify", "-q", str(sample.bundle)],
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("way", [".", "keys/.."])
def test_a_folder_is_named_by_dots(
    sample: Sample,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """What lies beside a folder has its name; dots have none."""
    monkeypatch.chdir(folder)
    code, value = verdict(capsys, Path(way))
    assert (code, value["bundle"]) == (0, str(folder))
    assert run(["verify", "-q", way, "--key", "keys/docker-ce.asc"]) == 1
    assert f"{folder}.asc: there is no signature" in capsys.readouterr().err
    assert run(["inspect", way, "--provenance"]) == 1
    assert f"{folder}.provenance.json: no such file" in capsys.readouterr().err
    assert run(["bundle", "-q", way, "-o", "../again.tar"]) == 0
    lock = str(sample.folder / "cluster.lock")
    assert run(["bundle", "-q", lock, "--base", way, "-o", "../more.tar"]) == 0
    for name in ("again.tar", "more.tar"):
        assert (folder.parent / name).read_bytes() == sample.bundle.read_bytes()
    capsys.readouterr()
    for words in (["verify", "/"], ["bundle", "/", "-o", "x"], ["inspect", "/", "--provenance"]):
        assert run(words) == 2
        assert capsys.readouterr().err == (
            "error: /: this is the root of the file system\n  expected a folder in it\n"
        )
    assert run(["inventory", "-q", "keys", "-o", ""]) in {1, 2}
    assert "error: " in capsys.readouterr().err


def test_all_faults_are_listed_at_once(
    folder: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    rpm = min(folder.glob("yum/*/Packages/kubelet-*.rpm"))
    layer = max((folder / NAME).iterdir(), key=lambda path: path.stat().st_size)
    manifest = folder / "manifests/001-tigera-operator.yaml"
    content = bytearray(rpm.read_bytes())
    content[len(content) // 2] ^= 1
    rpm.write_bytes(content)
    layer.unlink()
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files/stowaway").write_text("x")
    (folder / "keys/docker-ce.asc").unlink()
    code, value = verdict(capsys, folder)
    assert (code, value["whole"], value["right"]) == (1, False, False)
    assert {fault["where"] for fault in value["faults"]} >= {
        rpm.relative_to(folder).as_posix(),
        layer.relative_to(folder).as_posix(),
        "manifests/001-tigera-operator.yaml",
        "files/stowaway",
        "keys/docker-ce.asc",
    }
    assert all(fault["what"] for fault in value["faults"])
    assert run(["verify", "-q", str(folder)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {folder}: {len(value['faults'])} faults\n")
    for fault in value["faults"]:
        assert f"  {fault['where']}: {fault['what']}\n" in err
    assert err.endswith(
        "\n  hint: copy it again; where it was made, delete it and run airseed bundle again\n"
    )


def test_a_link_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keys/docker-ce.asc").unlink()
    (folder / "keys/docker-ce.asc").symlink_to("/etc/hostname")
    code, value = verdict(capsys, folder)
    assert (code, value["whole"]) == (1, False)
    assert "keys/docker-ce.asc" in {fault["where"] for fault in value["faults"]}


def test_one_byte_of_the_tar(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(sample.bundle, tmp_path / "bundle.tar")
    extent = sample.layout.extent("manifests/002-custom-resources.yaml")
    with copy.open("r+b") as file:
        file.seek(extent.offset + 3)
        byte = file.read(1)
        file.seek(extent.offset + 3)
        file.write(bytes([byte[0] ^ 1]))
    code, value = verdict(capsys, copy)
    assert code == 1
    assert [fault["where"] for fault in value["faults"]] == ["manifests/002-custom-resources.yaml"]


def test_a_truncated_tar_and_something_else(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(sample.bundle, tmp_path / "bundle.tar")
    os.truncate(copy, sample.layout.size - 10240)
    code, value = verdict(capsys, copy)
    assert (code, value["whole"]) == (1, False)
    other = tmp_path / "other.tar"
    other.write_bytes(b"x" * 4096)
    code, value = verdict(capsys, other)
    assert (code, value["whole"]) == (1, False)
    assert "not an airseed bundle" in value["faults"][0]["what"]
    assert run(["verify", str(other)]) == 1
    assert "error: " in capsys.readouterr().err
    assert run(["verify", str(tmp_path / "none.tar")]) == 2


def test_parts_that_changed_places_are_named(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.tar"
    words = ["-o", str(target), "--base", str(sample.bundle), "--split", "2M"]
    assert run(["bundle", "-q", str(sample.folder / "cluster.lock"), *words]) == 0
    first, second, aside = (tmp_path / f"b.tar.{name}" for name in ("001", "002", "aside"))
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    code, value = verdict(capsys, tmp_path / "b.tar.sha256")
    assert code == 1
    assert [(one["where"], one["what"][:14]) for one in value["faults"]] == [
        ("b.tar.001", "has the digest"),
        ("b.tar.002", "has the digest"),
    ]


def test_a_pipe_holds_nobody_up(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, target = tmp_path / "pipe", tmp_path / "b.tar"
    os.mkfifo(pipe)
    lock = str(sample.folder / "cluster.lock")
    for words in (
        ["verify", str(pipe)],
        ["bundle", str(pipe), "-o", str(target)],
        ["bundle", lock, "--base", str(pipe), "-o", str(target)],
        ["inspect", str(pipe)],
        ["export", str(pipe), "--keys-only", "-o", str(tmp_path / "keys")],
    ):
        assert run(words) == 2
        assert capsys.readouterr().err == (
            f"error: {pipe}: is neither a file nor a folder\n"
            "  hint: save what comes through it in a file first\n"
        )
    assert run(["inventory", "-q", str(pipe), "-o", str(tmp_path / "x.json")]) == 1
    assert f"error: {pipe}: is neither a file nor a disk\n" in capsys.readouterr().err
    shutil.copy(sample.bundle, target)
    os.mkfifo(f"{target}.provenance.json")
    assert run(["inspect", str(target), "--provenance"]) == 1
    assert f"error: {target}.provenance.json: is a pipe, not a file\n" in capsys.readouterr().err
    os.mkfifo(f"{tmp_path}/no.tar.sha256")
    assert run(["verify", f"{tmp_path}/no.tar"]) == 2
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 4096, 1 << 20])
def test_a_disk_that_cannot_be_read_is_told(
    sample: Sample,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: int,
) -> None:
    """One bad sector, wherever it is."""
    read = Files.readinto

    def failing(files: Files, view: memoryview, offset: int) -> int:
        if offset <= place < offset + len(view):
            raise OSError(errno.EIO, "Input/output error")
        return read(files, view, offset)

    monkeypatch.setattr(Files, "readinto", failing)
    assert run(["verify", "-q", str(sample.bundle)]) == 1
    err = capsys.readouterr().err
    assert "input/output error" in err.lower()
    assert "bug in airseed" not in err


def test_a_lock_is_no_bundle(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    lock = sample.folder / "cluster.lock"
    assert run(["verify", str(lock)]) == 1
    assert capsys.readouterr().err == (
        f"error: {lock}: not an airseed bundle\n"
        "  expected a tar that begins with README.txt (airseed offline bundle, format 1)\n"
        "  hint: this is a lock: airseed inspect shows it, airseed bundle makes its bundle\n"
    )


def test_a_damaged_blob_is_named_by_its_images(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared, owners = max(
        (
            (digest, [i.name for i in sample.lock.images if digest in i.manifests[0].layers])
            for image in sample.lock.images
            for digest in image.manifests[0].layers
        ),
        key=lambda pair: len(pair[1]),
    )
    assert len(owners) > 1
    extent = sample.layout.extent(f"{NAME}{shared.hex}")
    content = bytearray(sample.bundle.read_bytes())
    content[extent.offset] ^= 1
    copy = tmp_path / "copy.tar"
    copy.write_bytes(content)
    _, value = verdict(capsys, copy)
    [fault] = value["faults"]
    assert fault["where"] == extent.path
    more = f" and {len(owners) - 3} more" if len(owners) > 3 else ""
    assert fault["what"].endswith(f" (of {', '.join(owners[:3])}{more})")
