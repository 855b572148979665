"""The yum side of ``airseed publish``: what lies where, what moves, what goes away."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import run
from builder.destinations.yum_folder import FolderTree
from builder.errors import StorageError

if TYPE_CHECKING:
    from sandboxes import Sample

BESIDE = {"airseed.repo", "airseed-published.json"}


def publish(bundle: Path, place: Path | str, *words: str, code: int = 0) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "builder", "publish", bundle, "--yum", place, "--json", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def files(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}


def expect_all(sample: Sample, folder: Path, *, images: bool = False) -> None:
    there = files(folder)
    wanted = {
        extent.path: extent.digest.hex
        for extent in sample.layout.extents
        if images or not extent.path.startswith("images/")
    }
    assert set(there) == set(wanted) | BESIDE
    for path, digest in wanted.items():
        assert hashlib.sha256(there[path].read_bytes()).hexdigest() == digest, path
        assert there[path].stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_a_second_run_moves_nothing(
    kind: str, sample: Sample, unpacked: Path, tmp_path: Path
) -> None:
    bundle, target = sample.bundle if kind == "tar" else unpacked, tmp_path / "www"
    first = publish(bundle, target, "--base-url", "http://10.0.0.5/k8s/")
    assert first["yum"]["there"] == 0
    expect_all(sample, target)
    before = {path: file.stat().st_mtime_ns for path, file in files(target).items()}
    second = publish(bundle, target, "--base-url", "http://10.0.0.5/k8s")
    assert (second["yum"]["files"], second["yum"]["size"]) == ([], 0)
    assert {path: file.stat().st_mtime_ns for path, file in files(target).items()} == before
    package = sample.lock.packages[0].path
    linked = (target / package).stat().st_ino == (unpacked / package).stat().st_ino
    assert linked == (kind == "folder")
    text = (target / "airseed.repo").read_text("utf-8")
    assert "baseurl=http://10.0.0.5/k8s/yum/docker-ce" in text
    assert "gpgkey=http://10.0.0.5/k8s/keys/docker-ce.asc" in text


def test_images_go_there_when_they_are_asked_for(sample: Sample, tmp_path: Path) -> None:
    publish(sample.bundle, tmp_path / "www", "--with-images")
    expect_all(sample, tmp_path / "www", images=True)
    verified = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "www", check=False
    )
    assert verified.returncode == 0


def test_prune_leaves_images_that_the_lock_names(sample: Sample, tmp_path: Path) -> None:
    target = tmp_path / "www"
    publish(sample.bundle, target, "--with-images")
    before = {path for path in target.rglob("*") if path.is_file()}
    done = publish(sample.bundle, target, "--prune")["yum"]
    assert (done["prunable"], done["pruned"]) == ([], [])
    assert {path for path in target.rglob("*") if path.is_file()} == before


def test_a_dry_run_makes_nothing(sample: Sample, tmp_path: Path) -> None:
    done = publish(sample.bundle, tmp_path / "www", "--dry-run")
    assert len(done["yum"]["files"]) > 50
    assert not (tmp_path / "www").exists()


def test_a_record_of_a_newer_airseed_is_not_taken_for_a_broken_one(
    sample: Sample, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "www"
    target.mkdir()
    (target / "airseed-published.json").write_text('{"format": 2, "names": []}', "utf-8")
    assert run(["publish", str(sample.bundle), "--yum", str(target)]) == 1
    assert capfd.readouterr().err == (
        f"error: {target}: airseed-published.json: another release of airseed wrote this\n"
        "  hint: use the airseed that wrote it, or a newer one\n"
    )
    assert len([*target.iterdir()]) == 1


def test_what_others_put_there_stays(sample: Sample, tmp_path: Path) -> None:
    target = tmp_path / "www"
    publish(sample.bundle, target)
    others = target / "yum" / "site" / "mine.rpm"
    others.parent.mkdir()
    others.write_bytes(b"mine")
    record = json.loads((target / "airseed-published.json").read_text("utf-8"))
    old = (target / sample.lock.packages[0].path).with_name("old-1.x86_64.rpm")
    changed = target / "files/changed"
    for file in (old, changed):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"old")
        digest = f"sha256:{hashlib.sha256(b'old').hexdigest()}"
        record["files"][str(file.relative_to(target))] = {"digests": [digest], "mark": ""}
    changed.write_bytes(b"by somebody")
    record["files"]["files/gone"] = record["files"]["files/changed"]
    (target / "airseed-published.json").write_text(json.dumps(record), "utf-8")
    shown = publish(sample.bundle, target, "--dry-run", "--prune")["yum"]
    assert (len(shown["prunable"]), shown["pruned"]) == (3, [])
    done = publish(sample.bundle, target, "--prune")["yum"]
    assert done["pruned"] == [str(old.relative_to(target))]
    assert done["changed"] == ["files/changed"]
    assert (others.read_bytes(), changed.read_bytes(), old.exists()) == (
        b"mine",
        b"by somebody",
        False,
    )
    assert publish(sample.bundle, target, "--prune")["yum"]["prunable"] == []


def test_damage_in_a_bundle_never_gets_there(
    sample: Sample, unpacked: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    subprocess.run(["cp", "-r", unpacked, bundle], check=True)
    package = sample.lock.packages[3]
    content = bytearray((bundle / package.path).read_bytes())
    content[-1] ^= 1
    (bundle / package.path).write_bytes(content)
    done = publish(bundle, tmp_path / "www", code=1)
    assert package.name in json.dumps(done)
    assert not (tmp_path / "www" / package.path).exists()
    assert not list((tmp_path / "www").rglob("repomd.xml"))
    assert not list((tmp_path / "www").rglob("*.part"))


def test_one_airseed_fills_a_folder_at_a_time(sample: Sample, tmp_path: Path) -> None:
    import fcntl

    target = tmp_path / "www"
    target.mkdir()
    handle = os.open(target, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    done = publish(sample.bundle, target, code=1)
    assert done["error"]["what"] == "another airseed process is filling this folder"
    os.close(handle)
    publish(sample.bundle, target)


def test_a_place_must_be_given(sample: Sample) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "builder", "publish", sample.bundle],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: there is no place to fill\n  expected --registry" in done.stderr


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with FolderTree(tmp_path / "www") as tree:
        with pytest.raises(StorageError, match=r"4,611,686,018,427,387,904 bytes are needed, "):
            tree.ready(["yum/os/Packages/a.rpm"], 1 << 62)
        with pytest.raises(StorageError, match="bytes are needed"):  # no link leads there
            tree.ready(["yum/os/Packages/a.rpm"], 1 << 62, Path("/proc"))
        tree.ready(["yum/os/Packages/a.rpm"], 1 << 62, tmp_path)
        assert not list((tmp_path / "www").iterdir())


def test_a_blank_does_not_end_an_address_in_the_repo_file(sample: Sample, tmp_path: Path) -> None:
    done = publish(sample.bundle, tmp_path, "--base-url", "http://10.0.0.5/k8s site/")
    assert done["yum"]["url"] == "http://10.0.0.5/k8s%20site"
    text = (tmp_path / "airseed.repo").read_text("utf-8")
    assert "baseurl=http://10.0.0.5/k8s%20site/yum/" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--registry", "r.example.com", "--base-url", "http://h"), "--base-url needs --yum"),
        (("--registry", "r.example.com", "--with-images"), "--with-images needs --yum"),
        (("--yum", "www", "--mapping", "m.json"), "--mapping needs --registry"),
    ],
)
def test_no_option_is_passed_by_in_silence(
    words: tuple[str, ...], said: str, sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["publish", str(sample.bundle), *words]) == 2
    assert capfd.readouterr().err == f"error: {said}\n"


@pytest.mark.parametrize(
    "url", ["http://ci:secret@h/k8s", "http://h/#k8s", "http://h/?k8s", "h/k8s", "http://h:99999/"]
)
def test_what_machines_cannot_use_is_no_base_url(
    url: str, sample: Sample, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The .repo file is for everybody to read, and names of files are put behind the URL."""
    place = tmp_path / "www"
    assert run(["publish", str(sample.bundle), "--yum", str(place), "--base-url", url]) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: --base-url: ")
    assert "secret" not in told
    assert not place.exists()


@pytest.mark.parametrize(
    "place", ["http//ci:secret@h/k8s", "http:/ci:secret@h", "s3:/ci:secret@b", "ci:secret@h/k8s"]
)
def test_what_was_meant_for_a_url_is_made_no_folder(
    place: str,
    sample: Sample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["publish", str(sample.bundle), "--yum", place]) == 2
    assert "is neither a folder nor a URL" in (told := capfd.readouterr().err)
    assert "secret" not in told
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "www" / "yum"
    folder.mkdir(parents=True)
    ours, other = folder / ".a.rpm.0123abcd.part", folder / ".b.rpm.0123abcd.part"
    ours.touch()
    other.touch()
    with FolderTree(tmp_path / "www") as tree:
        tree.ready(["yum/a.rpm"], 0)
    assert (ours.exists(), other.exists()) == (False, True)
