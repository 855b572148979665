"""One platform, several, or all of them: indexes and digests stay upstream's."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from push_registry import PushRegistry, Quirks

from builder.formats import lock as lock_format
from builder.model.artifact import INDEX_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Site
    from sandboxes import Sandbox

    from builder.model.artifact import Image
    from builder.model.lock import Lock


def locked(sandbox: Sandbox) -> Lock:
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    return lock_format.read(sandbox.lock_path)


def platforms(image: Image) -> list[str]:
    return [str(part.platform) for part in image.manifests]


def image(lock: Lock, path: str) -> Image:
    return next(one for one in lock.images if one.reference.path == path)


def index_of(sandbox: Sandbox, one: Image) -> list[dict[str, Any]]:
    """Return the entries of an image's index, as it lies beside the lock."""
    content = (sandbox.folder / "cluster.lock.d" / one.digest.hex).read_bytes()
    found: list[dict[str, Any]] = json.loads(content)["manifests"]
    return found


def test_what_more_is_wanted_is_added(site: Site) -> None:
    lone, both = (
        site.open(name="one"),
        site.open("imagePlatforms: [linux/arm64, linux/arm/v7]\n"),
    )
    before, after = locked(lone), locked(both)
    assert set(before.blobs) < set(after.blobs)
    assert {i.name: i.digest for i in before.images} == {i.name: i.digest for i in after.images}
    assert platforms(image(before, "pause")) == ["linux/amd64"]
    assert platforms(image(after, "pause")) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    # Calico has no linux/arm/v7, and that is no fault: no node is one
    assert platforms(image(after, "tigera/operator")) == ["linux/amd64", "linux/arm64"]
    assert [str(one) for one in after.subject.image_platforms] == ["linux/arm64", "linux/arm/v7"]


def test_all_is_whatever_an_index_names(site: Site, tmp_path: Path) -> None:
    sandbox = site.open("imagePlatforms: all\n")
    lock = locked(sandbox)
    whole = 0
    for one in lock.images:
        if one.media_type in INDEX_TYPES:
            digests = {str(part.digest) for part in one.manifests}
            named = {entry["digest"] for entry in index_of(sandbox, one)}
            assert digests <= named
            whole += digests == named
    assert whole > 3
    ran = sandbox.bundle()
    assert ran.code == 0, ran.err
    assert sandbox.run("verify", "bundle.tar").code == 0
    for words, architecture in ((["--platform", "linux/arm64"], "arm64"), ([], "amd64")):
        exported = sandbox.run("export", "--images-only", *words, "-o", "x.tar", "--force")
        assert exported.code == 0
        with tarfile.open(sandbox.folder / "x.tar") as tar:
            archive = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
            configs = [json.load(tar.extractfile(one["Config"])) for one in archive]  # type: ignore[arg-type]
        assert {config["architecture"] for config in configs} == {architecture}
    assert sandbox.run("inspect", "bundle.tar", "--sbom", "spdx").code == 0


def test_a_change_of_it_makes_the_lock_anew(site: Site) -> None:
    sandbox = site.open("imagePlatforms: linux/arm64\n")
    first = locked(sandbox)
    again = sandbox.run("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog))
    assert "cluster.lock fits cluster.yaml" in again.err
    text = (sandbox.folder / "cluster.yaml").read_text("utf-8")
    (sandbox.folder / "cluster.yaml").write_text(text.replace("linux/arm64", "all"), "utf-8")
    again = sandbox.run("bundle", "cluster.yaml", "--catalog", str(sandbox.catalog))
    assert "cluster.lock does not fit cluster.yaml (or --catalog " in again.err
    second = lock_format.read(sandbox.lock_path)
    assert len(image(second, "pause").manifests) > len(image(first, "pause").manifests)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("[all, linux/arm64]", "imagePlatforms (line 4): all already means every platform"),
        ("[linux/arm64, linux/arm64]", "imagePlatforms (line 4): linux/arm64 appears 2 times"),
        ("arm64", "imagePlatforms (line 4): 'arm64' is not a platform (like linux/amd64)"),
    ],
)
def test_what_is_no_choice_is_refused(site: Site, value: str, fault: str) -> None:
    ran = site.open(f"imagePlatforms: {value}\n").lock()
    assert ran.code == 3
    assert f"  {fault}\n" in ran.err


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(sparse=False), Quirks(immutable=True)])
def test_platforms_that_come_later_are_published(site: Site, quirks: Quirks) -> None:
    with PushRegistry(quirks) as registry:
        for number, more in enumerate(("", "imagePlatforms: linux/arm64\n")):
            sandbox = site.open(more, name=f"{number}")
            lock = locked(sandbox)
            assert sandbox.bundle().code == 0
            words = ("publish", "bundle.tar", "--registry", f"{registry.host}/k8s", "--json")
            said = json.loads(sandbox.run(*words, "--dry-run").out)
            done = sandbox.run(*words)
            assert done.code == 0, done.err
            assert json.loads(done.out)["size"] == said["size"] > 0
            for one in lock.images:
                assert {str(part.digest) for part in one.manifests} <= {
                    *registry.manifests[f"k8s/{one.reference.path}"]
                }
            assert registry.incomplete() == []
            again = json.loads(sandbox.run(*words).out)
            assert (again["blobs"], again["missing"]) == (0, [])
