"""``airseed export``: what other tools get out of a bundle, and what it refuses."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from builder import disk
from builder.cli.root import run
from builder.destinations import folder, image_archive
from builder.pipeline import export

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_export(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(["export", *map(str, words)]) == code
    return capsys.readouterr().err


def test_a_part_that_is_missing_is_named(
    sample: Sample, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-o", "set/b.tar", "--base", str(sample.bundle), "--split", "4M"]
    (work / "set").mkdir()
    assert run(["bundle", "-q", str(sample.folder / "cluster.lock"), *words]) == 0
    (work / "set/b.tar.002").unlink()
    capsys.readouterr()
    assert run_export(capsys, "set/b.tar.sha256", "--keys-only", code=1) == (
        "error: set/b.tar.002: is missing\n  hint: it is part of b.tar: copy it as well\n"
    )
    assert run_export(capsys, "set", "--keys-only", code=1) == (
        "error: set: not an airseed bundle\n"
        "  expected a folder with README.txt (airseed offline bundle, format 1)\n"
        "  hint: this folder has a bundle in parts: give set/b.tar.sha256\n"
    )


def test_a_full_disk_does_not_promise_to_continue(
    sample: Sample, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        name = str(work / disk.unfinished("images.tar"))
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(export, "deliver", full)
    assert run_export(capsys, sample.bundle, "--images-only", code=1).endswith(
        "error: images.tar: no space left on device\n"
        "  hint: free some space and run the command again; whatever was fetched is kept\n"
    )
    assert [*work.iterdir()] == []


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def images_of(path: Path) -> set[str]:
    """Read an archive as docker does, every blob hashed."""
    with tarfile.open(path) as tar:
        content = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    for name, blob in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]
    archive = json.loads(content["manifest.json"])
    for image in archive:
        assert {image["Config"], *image["Layers"]} <= content.keys()
    for entry in json.loads(content["index.json"])["manifests"]:
        assert f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}" in content
    assert json.loads(content["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    return {tag for image in archive for tag in image["RepoTags"]}


def tags(sample: Sample, role: str = "") -> set[str]:
    return {
        f"{image.reference.repository}:{image.reference.tag}"
        for image in sample.lock.images
        if not role or role in image.roles
    }


def test_all_images(work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    err = run_export(capsys, sample.bundle, "--images-only")
    assert f"wrote images.tar: {len(sample.lock.images)} images, " in err
    assert images_of(work / "images.tar") == tags(sample)
    assert len(names(work / "images.tar")) == 3 + len(sample.lock.blobs)
    first = (work / "images.tar").read_bytes()
    run_export(capsys, sample.bundle, "--images-only", "--force")
    assert (work / "images.tar").read_bytes() == first
    assert [path.name for path in work.iterdir()] == ["images.tar"]


@pytest.mark.parametrize("role", ["worker", "control-plane"])
def test_the_images_of_a_role(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], role: str
) -> None:
    run_export(capsys, sample.bundle, "--images-only", "--role", role, "--platform", "linux/amd64")
    assert images_of(work / "images.tar") == tags(sample, role)
    folder = f"images/{role}/linux-amd64"
    with tarfile.open(sample.bundle) as tar:
        lines = tar.extractfile(f"{folder}/blobs").read().decode().split()  # type: ignore[union-attr]
    assert set(names(work / "images.tar")) == {"oci-layout", "index.json", "manifest.json", *lines}


def test_one_image_by_a_short_name(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(i for i in sample.lock.images if i.reference.host == "docker.io")
    short = image.name.removeprefix("docker.io/")
    run_export(capsys, sample.bundle, "--images-only", "--image", short, "-o", "one.tar")
    assert images_of(work / "one.tar") == {image.name}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pause", ["k8s.gcr.io/pause:3.2"]),
        ("calico/node", ["docker.io/calico/node:v3.18.6"]),
        ("runtime", ["k8s.gcr.io/pause:3.2"]),
        ("DIGEST", ["k8s.gcr.io/etcd:3.4.3-0"]),
    ],
)
def test_an_image_by_any_name_that_inspect_shows(
    name: str, found: list[str], work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    etcd = next(image for image in sample.lock.images if "etcd" in image.name)
    name = name.replace("DIGEST", etcd.digest.short)
    run_export(capsys, sample.bundle, "--images-only", "--image", name, "-o", "one.tar")
    assert images_of(work / "one.tar") == {*found}


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not here")
def test_skopeo_takes_the_archive(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    run_export(capsys, sample.bundle, "--images-only")
    image = sample.lock.images[0]
    done = subprocess.run(
        ["skopeo", "inspect", "--config", f"docker-archive:images.tar:{image.name}"],
        check=True,
        capture_output=True,
    )
    assert json.loads(done.stdout)["architecture"] == "amd64"


@pytest.mark.parametrize("shape", ["tar", "folder"])
def test_packages_are_a_yum_tree(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    source = sample.bundle
    if shape == "folder":
        source = work / "unpacked"
        with tarfile.open(sample.bundle) as tar:
            tar.extractall(source, filter="data")
    run_export(capsys, source, "--packages-only", "-o", "out")
    with tarfile.open(sample.bundle) as tar:
        wanted = {n for n in tar.getnames() if n.startswith(("yum/", "keys/"))}
    out = work / "out"
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == wanted
    for package in sample.lock.packages:
        content = (out / package.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == package.digest.hex


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_a_folder_without_a_name_is_no_place(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    err = run_export(capsys, sample.bundle, "--keys-only", "-o", place, code=2)
    assert err == (
        f"error: {place}: the result would take the place of this folder\n"
        "  hint: choose a name in it with -o\n"
    )
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("kind", ["manifests", "keys"])
def test_small_kinds_lie_flat(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    run_export(capsys, sample.bundle, f"--{kind}-only")
    wanted = [f for f in sample.lock.files if f.path.startswith(f"{kind}/")]
    assert sorted(path.name for path in (work / kind).iterdir()) == sorted(
        file.path.removeprefix(f"{kind}/") for file in wanted
    )


def test_nothing_damaged_comes_out(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    extent = max(sample.layout.fetched, key=lambda e: e.size)
    content = bytearray(sample.bundle.read_bytes())
    content[extent.offset] ^= 1
    (work / "x.tar").write_bytes(content)
    flag = "--packages-only" if extent.path.startswith("yum/") else "--images-only"
    err = run_export(capsys, "x.tar", flag, code=1)
    assert f"x.tar: {extent.path}: has the digest sha256:" in err
    assert [path.name for path in work.iterdir()] == ["x.tar"]


def test_the_lock_is_believed_and_not_the_sums(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody changed a manifest and added one, and SHA256SUMS agrees with both."""
    folder = work / "unpacked"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(folder, filter="data")
    sums = folder / "SHA256SUMS"
    evil = hashlib.sha256(b"evil").hexdigest()
    (folder / "manifests/evil.yaml").write_bytes(b"evil")
    sums.write_text(f"{sums.read_text('utf-8')}{evil}  manifests/evil.yaml\n", "utf-8")
    run_export(capsys, folder, "--manifests-only", "-o", "out")
    wanted = {f.path.removeprefix("manifests/"): f for f in sample.lock.files}
    written = {path.name for path in (work / "out").iterdir()}
    assert written
    assert written == {n for n, f in wanted.items() if f.kind == "manifest"}
    name = min(written)
    content = b"evil".ljust(wanted[name].size)
    evil = hashlib.sha256(content).hexdigest()
    (folder / "manifests" / name).write_bytes(content)
    text = sums.read_text("utf-8").replace(wanted[name].digest.hex, evil)
    assert text != sums.read_text("utf-8")
    sums.write_text(text, "utf-8")
    err = run_export(capsys, folder, "--manifests-only", "-o", "more", code=1)
    assert f"unpacked: manifests/{name}: has the digest sha256:{evil}" in err
    assert not (work / "more").exists()


def test_what_is_larger_than_the_lock_says_is_not_begun(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sparse file costs nothing, and would fill this disk before it is found to be wrong."""
    folder = work / "unpacked"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(folder, filter="data")
    for name, flag in (("keys/docker-ce.asc", "--keys-only"), ("images/blobs", "--images-only")):
        chosen = [e for e in sample.layout.fetched if e.path.startswith(name)]
        extent = max(chosen, key=lambda e: e.size)
        with (folder / extent.path).open("r+b") as file:
            file.truncate(1 << 40)
        err = run_export(capsys, folder, flag, "-o", "out", code=1)
        assert "unpacked: the bundle is damaged\n" in err
        assert f"{extent.path}: has 1,099,511,627,776 bytes\n    expected {extent.size:,}\n" in err
        assert [path.name for path in work.iterdir()] == ["unpacked"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "error: choose what to export"),
        (["--images-only", "--keys-only"], "error: only one kind can be exported at a time"),
        (["--keys-only", "--role", "worker"], "error: --role, --platform and --image choose"),
        (["--images-only", "--image", "pauze:1"], "error: no image is called 'pauze:1'"),
        (["--images-only", "--image", "pouse:3.2"], "`airseed inspect` lists what there is"),
        (["--images-only", "--image", "docker-ce"], "error: no image is called 'docker-ce'"),
        (["--images-only", "--platform", "linux/mips"], "error: no image is for linux/mips"),
        (["--images-only", "--platform", "odd"], "error: --platform: 'odd' is not a platform"),
        (["--files-only"], "there are no files in it"),
        (["--keys-only", "-o", "full"], "error: full: something is there already"),
        (["--images-only", "-o", "full"], "error: full: there is a folder already"),
    ],
)
def test_what_is_refused(
    work: Path,
    sample: Sample,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    error: str,
) -> None:
    (work / "full").mkdir()
    (work / "full/x").write_text("", "utf-8")
    assert error in run_export(capsys, sample.bundle, *words, code=2)
    assert [path.name for path in work.iterdir()] == ["full"]


@pytest.mark.parametrize("name", ["b.tar", "link.tar", "mine.txt"])
def test_what_is_no_archive_is_not_replaced(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The bundle that is read, a link and somebody's file; what was never filled may be."""
    shutil.copy(sample.bundle, work / "b.tar")
    (work / "mine.txt").write_text("mine", "utf-8")
    (work / "link.tar").symlink_to("mine.txt")
    before = sorted(work.iterdir())
    what = "is not a regular file, so it can't be replaced" if name == "link.tar" else "there is an"
    assert f"error: {name}: {what}" in run_export(
        capsys, "b.tar", "--images-only", "-o", name, code=2
    )
    assert sorted(work.iterdir()) == before
    assert (work / "b.tar").read_bytes() == sample.bundle.read_bytes()
    assert (work / "mine.txt").read_text("utf-8") == "mine"
    (work / "mine.txt").write_bytes(b"")
    run_export(capsys, "b.tar", "--images-only", "-o", "mine.txt")
    assert images_of(work / "mine.txt") == tags(sample)


def test_an_earlier_archive_is_replaced_by_force_alone(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    run_export(capsys, sample.bundle, "--images-only")
    first = (work / "images.tar").stat().st_ino
    words = [str(sample.bundle), "--images-only", "--role", "worker"]
    assert run_export(capsys, *words, code=2) == (
        "error: images.tar: the file exists\n  hint: --force replaces it\n"
    )
    assert (work / "images.tar").stat().st_ino == first
    run_export(capsys, *words, "--force")
    assert images_of(work / "images.tar") < tags(sample)


def test_a_part_of_somebody_elses_is_left(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "keys.part").mkdir()
    (work / "keys.part/mine").write_text("mine", "utf-8")
    (work / "mine.txt").write_text("mine", "utf-8")
    (work / "images.tar.part").symlink_to("mine.txt")
    run_export(capsys, sample.bundle, "--keys-only")
    run_export(capsys, sample.bundle, "--images-only")
    assert (work / "keys.part/mine").read_text("utf-8") == "mine"
    assert (work / "mine.txt").read_text("utf-8") == "mine"
    assert {path.name for path in work.iterdir()} == {
        *("images.tar", "images.tar.part", "keys", "keys.part", "mine.txt")
    }


@pytest.mark.parametrize("name", ["images.tar", "keys"])
def test_what_a_killed_run_left_goes_and_what_is_being_written_stays(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Also a link of such a name stays, and another target's."""
    left, alive = work / f".{name}.0123abcd.part", work / f".{name}.4567cdef.part"
    for path in (left, alive):
        if name == "keys":
            path.mkdir()
            (path / "half").touch()
        else:
            path.touch()
    (work / ".mine.0123abcd.part").touch()
    (work / f".{name}.89abcdef.part").symlink_to(left)
    with disk._locked(alive):
        run_export(capsys, sample.bundle, f"--{name.removesuffix('.tar')}-only")
    assert {path.name for path in work.iterdir()} == {
        *(name, alive.name, ".mine.0123abcd.part", f".{name}.89abcdef.part")
    }


@pytest.mark.parametrize("kind", ["images", "keys"])
def test_two_runs_at_once_share_no_file(
    work: Path,
    sample: Sample,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """The second runs from beginning to end while the first copies."""
    alone = image_archive.copy
    others: list[int] = []

    def crowded(*about: Any) -> None:
        if not others:
            others.append(-1)
            others[0] = run(["export", "-q", str(sample.bundle), f"--{kind}-only"])
        alone(*about)

    for destination in (image_archive, folder):
        monkeypatch.setattr(destination, "copy", crowded)
    ended = run(["export", "-q", str(sample.bundle), f"--{kind}-only"])
    assert others == [0]
    if kind == "images":
        assert ended == 0
        assert images_of(work / "images.tar") == tags(sample)
    else:  # a folder that is filled is nobody's to replace
        assert ended == 1
        assert "error: " in capsys.readouterr().err
        wanted = {file.path for file in sample.lock.files if file.path.startswith("keys/")}
        assert {f"keys/{path.name}" for path in (work / "keys").iterdir()} == wanted
    assert len([*work.iterdir()]) == 1


def test_a_delta_gives_what_it_has(
    work: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = max(sample.lock.blobs, key=lambda blob: blob.size)
    have = {"kind": "blob", "name": "x", "digest": str(layer.digest), "size": layer.size}
    (work / "have.json").write_text(json.dumps({"format": 1, "has": [have]}), "utf-8")
    words = ["bundle", sample.bundle, "--have", "have.json", "-o", "delta.tar"]
    assert run(list(map(str, words))) == 0
    run_export(capsys, "delta.tar", "--packages-only")
    err = run_export(capsys, "delta.tar", "--images-only", code=1)
    assert "this is a delta, which leaves out 1 of what is wanted" in err
    assert layer.path in err
    assert "airseed bundle DELTA --base OLD -o WHOLE" in err
