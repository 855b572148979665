"""Locks that lead a cluster from one release to a later one: what each release needs is in."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder.formats import lock as lock_format
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sample, Sandbox

    from builder.model.lock import Lock

Site = Any
HOPS = ("1.18.5", "1.19.5")
WAY = "kubernetes: 1.19.5\nchanges: {from: 1.18.5}\nendpoint: lb.example.com\nnodes:\n" + "".join(
    f"  - {{name: {name}, role: {role}, address: 10.0.0.{number}}}\n"
    for number, (name, role) in enumerate((("a", "control-plane"), ("b", "worker")), start=1)
)


@pytest.fixture(scope="module")
def way(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Lock and bundle a cluster of 1.18.5, then the same on its way to 1.19.5."""
    with sample.sandbox(tmp_path_factory.mktemp("way") / "work", locked=False) as opened:
        path = opened.folder / "cluster.yaml"
        path.write_text(WAY.replace("1.19.5\nchanges: {from: 1.18.5}", "1.18.5"), "utf-8")
        assert opened.lock().code == 0
        opened.lock_path.rename(opened.folder / "before.lock")
        (opened.folder / "cluster.lock.d").rename(opened.folder / "before.lock.d")
        path.write_text(WAY, "utf-8")
        for ran in (opened.lock(), opened.bundle()):
            assert ran.code == 0, ran.err
        yield opened


@pytest.fixture
def lock(way: Sandbox) -> Lock:
    return lock_format.read(way.lock_path)


def builds(lock: Lock, *names: str) -> set[str]:
    return {str(package.nevra) for package in lock.packages if package.nevra.name in names}


def test_one_lock_has_what_every_release_needs(way: Sandbox, lock: Lock) -> None:
    assert (lock.subject.kubernetes, lock.subject.hops) == ("1.19.5", HOPS)
    first, last = lock.ways
    old = lock_format.read(way.folder / "before.lock")
    assert {image.name: image.digest for image in first.images} == {
        image.name: image.digest for image in old.images
    }
    assert {one.name: one.digest for one in first.packages} == {
        one.name: one.digest for one in old.packages
    }
    assert {blob.digest for blob in first.blobs} == {blob.digest for blob in old.blobs}
    pinned = ("kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools")
    assert builds(last, *pinned) == {
        "kubeadm-1.19.5-0.x86_64",
        "kubelet-1.19.5-0.x86_64",
        "kubectl-1.19.5-0.x86_64",
        "kubernetes-cni-0.8.7-0.x86_64",
        "cri-tools-1.13.0-0.x86_64",
    }
    assert builds(first, "kubernetes-cni") == {"kubernetes-cni-0.8.6-0.x86_64"}
    assert {image.reference.tag for image in last.images if "etcd" in image.name} == {"3.4.13-0"}
    # what both need is written down once, and as if there were no way
    shared = [one for one in (*lock.images, *lock.packages) if not one.hops]
    assert {"k8s.gcr.io/pause:3.2", "cri-tools-1.13.0-0.x86_64"} <= {one.name for one in shared}
    assert len({blob.digest for blob in lock.blobs}) == len(lock.blobs)


def test_each_release_has_lists_of_its_images_in_the_bundle(way: Sandbox, lock: Lock) -> None:
    layout = LockDocument.read(way.lock_path).layout
    with way.bundle_path.open("rb") as bundle:
        for prefix, release in (("1.18.5/", "1.18.5"), ("", "1.19.5")):
            for role in ("control-plane", "worker"):
                extent = layout.extent(f"images/{prefix}{role}/linux-amd64/manifest.json")
                bundle.seek(extent.offset)
                names = {
                    name
                    for image in json.loads(bundle.read(extent.size))
                    for name in image["RepoTags"]
                }
                wanted = lock.of(release).images
                assert names == {image.name for image in wanted if role in image.roles}
    ran = way.run("verify", "bundle.tar")
    assert ran.code == 0, ran.err


def test_a_lock_that_an_upgrade_moves_keeps_all_else(way: Sandbox, site: Site) -> None:
    sandbox = site.open()
    (sandbox.folder / "cluster.yaml").write_text(WAY, "utf-8")
    (sandbox.folder / "cluster.lock").write_bytes((way.folder / "before.lock").read_bytes())
    ran = sandbox.lock()
    assert (ran.code, "no longer fit" in ran.err) == (0, False), ran.err
    assert sandbox.lock_path.read_bytes() == way.lock_path.read_bytes()
    again = sandbox.lock()
    assert again.err.splitlines()[-1].startswith("nothing changed in cluster.lock: ")


def test_a_release_whose_closure_is_not_whole_is_found(way: Sandbox, lock: Lock) -> None:
    """What the last release has does not stand in for what an earlier one needs."""
    path = way.folder / "cut.lock"
    text = way.lock_path.read_text("ascii")
    line = next(line for line in text.splitlines() if '"kubelet-1.18.5-0.x86_64"' in line)
    claimed = line.replace('"hops": ["1.18.5"]', '"hops": ["1.19.5"]')
    assert claimed != line
    path.write_text(text.replace(line, claimed), "ascii")
    (way.folder / "cut.lock.d").symlink_to("cluster.lock.d")
    ran = way.run("bundle", "cut.lock", "-o", "cut.tar")
    assert ran.code != 0
    assert "kubernetes-cni-0.8.6-0.x86_64: no package here provides what it requires" in ran.err


def test_seeds_are_for_the_last_release(way: Sandbox) -> None:
    assert way.run("secrets", "cluster.yaml").code == 0
    ran = way.run("seeds", "cluster.yaml", "--catalog", str(way.catalog))
    assert ran.code == 0, ran.err
    files = yaml.safe_load((way.folder / "seeds/a/user-data").read_text("utf-8"))["write_files"]
    text = "".join(
        gzip.decompress(base64.b64decode(file["content"])).decode()
        if file.get("encoding") == "gz+b64"
        else str(file["content"])
        for file in files
    )
    assert "kubelet-1.19.5-0.x86_64" in text
    assert "1.18.5" not in text


def test_a_lock_cannot_name_releases_that_are_not_on_its_way(way: Sandbox, tmp_path: Path) -> None:
    text = way.lock_path.read_text("ascii")
    path = tmp_path / "cluster.lock"
    path.write_text(text.replace('"hops": ["1.18.5", "1.19.5"]', '"hops": ["1.18.5"]'), "ascii")
    ran = way.run("bundle", str(path))
    assert ran.code == 3
    assert "cluster.hops: they do not end with 1.19.5" in ran.err
    assert "it is for a release that the lock's hops do not name" in ran.err
