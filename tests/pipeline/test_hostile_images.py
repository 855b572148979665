"""A lock, bundle or folder whose docker view of an image is another image's is refused."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import run
from builder.formats import lock as lock_format
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

    from builder.model.lock import Lock


def swapped(lock: Lock) -> Lock:
    """Give the first image configuration and layers of the second one."""
    first, second, *others = lock.images
    theirs = second.manifests[0]
    part = replace(first.manifests[0], config=theirs.config, layers=theirs.layers)
    back = replace(theirs, config=first.manifests[0].config, layers=first.manifests[0].layers)
    first = replace(first, manifests=(part, *first.manifests[1:]))
    second = replace(second, manifests=(back, *second.manifests[1:]))
    return replace(lock, images=(first, second, *others))


@pytest.fixture
def site(sample: Sample, tmp_path: Path) -> Path:
    shutil.copy(sample.folder / "cluster.yaml", tmp_path)
    shutil.copytree(sample.folder / "cluster.lock.d", tmp_path / "cluster.lock.d")
    (tmp_path / "cluster.lock").write_bytes(lock_format.write(swapped(sample.lock)))
    return tmp_path


@pytest.fixture
def unpacked(sample: Sample, site: Path) -> Path:
    """Return a bundle of that lock, consistent in all but what the manifests say."""
    place = site / "unpacked"
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(place, filter="data")
    document = LockDocument.read(site / "cluster.lock")
    for extent in document.layout.extents:
        if isinstance(extent.content, bytes):
            (place / extent.path).write_bytes(extent.content)
    return place


def test_the_lock_is_refused_before_anything_is_fetched(
    sample: Sample, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sample.lock.images[:2]
    assert run(["bundle", "-q", str(site / "cluster.lock")]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"error: {site / 'cluster.lock'}: 4 mistakes\n")
    assert f"  {first.name}: the lock has the configuration {second.manifests[0].config}" in err
    assert f"    expected {first.manifests[0].config}, as the manifest says\n" in err
    assert not (site / "bundle.tar").exists()


def test_documents_that_a_registry_gives_are_compared_too(
    sample: Sample, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the documents beside the lock, they come from an earlier bundle here."""
    kept = site / "cluster.lock.d"
    lock = LockDocument.read(site / "cluster.lock").lock
    for blob in lock.blobs:
        (kept / blob.digest.hex).unlink(missing_ok=True)
    words = ["bundle", "-q", str(site / "cluster.lock"), "--base", str(sample.bundle)]
    assert run(words) == 1
    assert "the lock has the configuration" in capsys.readouterr().err
    assert not (site / "bundle.tar").exists()


def test_verify_and_export_see_it(
    sample: Sample, unpacked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (image.name for image in sample.lock.images[:2])
    assert run(["verify", "-q", str(unpacked)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {unpacked}: 4 faults\n")
    assert f"  {first}: the lock has the layers" in err
    assert f"  {second}: the lock has the layers" in err
    archive = unpacked.parent / "images.tar"
    words = ["export", "-q", str(unpacked), "--images-only", "-o", str(archive)]
    assert run(words) == 1
    assert "its lock is not what the images' manifests say" in capsys.readouterr().err
    assert not archive.exists()
    assert run([*words, "--image", sample.lock.images[2].name]) == 0
