"""Locks that lead a cluster from one release to a later one: what each release needs is in."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sandboxes import SCALE

from builder.formats import catalog as catalog_format
from builder.formats import lock as lock_format
from builder.lab import world
from builder.model.version import Version
from builder.pipeline.lock_document import LockDocument
from builder.pipeline.workspace import Workspace

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


def test_inspect_says_what_is_for_which_release(way: Sandbox) -> None:
    ran = way.run("inspect", "bundle.tar")
    assert ran.out.startswith("kubernetes: Kubernetes 1.18.5 -> 1.19.5 on centos 7.6")
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert lines["k8s.gcr.io/etcd:3.4.3-0"].endswith("kubeadm (1.18.5)")
    assert lines["kubelet-1.19.5-0.x86_64"].endswith("(1.19.5)")
    assert "(1." not in lines["k8s.gcr.io/pause:3.2"]
    value = json.loads(way.run("inspect", "bundle.tar", "--json").out)
    assert value["cluster"]["hops"] == [*HOPS]
    hops = {one["name"]: one.get("hops") for one in (*value["images"], *value["packages"])}
    assert hops["k8s.gcr.io/etcd:3.4.3-0"] == ["1.18.5"]
    assert hops["k8s.gcr.io/pause:3.2"] is None


def test_a_package_is_explained_by_what_is_beside_it(way: Sandbox) -> None:
    """1.18.5's kubelet is no reason for the plugins of 1.19.5."""
    ran = way.run("inspect", "bundle.tar", "--why", "kubernetes-cni-0.8.7-0.x86_64")
    assert ran.code == 0, ran.err
    assert "1.18.5" not in ran.out
    bill = json.loads(way.run("inspect", "bundle.tar", "--sbom", "cyclonedx").out)
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    names = {one["bom-ref"]: one["purl"] for one in bill["components"]}
    (kubelet,) = (key for key, purl in names.items() if "rpm/centos/kubelet@1.18.5" in purl)
    assert any("kubernetes-cni@0.8.6" in names[key] for key in needs[kubelet])
    assert not any("kubernetes-cni@0.8.7" in names[key] for key in needs[kubelet])


def test_minors_that_nobody_names_are_gone_through(sample: Sample, tmp_path: Path) -> None:
    """Two minors in one lock and one bundle."""
    with sample.sandbox(tmp_path / "work", locked=False) as opened:
        catalog = catalog_format.load([opened.catalog])
        for text in ("1.19.16", "1.20.15"):
            for _, reference in catalog.kubernetes(Version.parse(text)).images:
                world._image(opened.upstream, catalog, reference, SCALE)
        path = opened.folder / "cluster.yaml"
        path.write_text(WAY.replace("kubernetes: 1.19.5", "kubernetes: 1.20.15"), "utf-8")
        for ran in (opened.lock(), opened.bundle(), opened.run("verify", "bundle.tar")):
            assert ran.code == 0, ran.err
        lock = lock_format.read(opened.lock_path)
        assert lock.subject.hops == ("1.18.5", "1.19.16", "1.20.15")
        kubelets = [builds(way, "kubelet") for way in lock.ways]
        assert kubelets == [{f"kubelet-{hop}-0.x86_64"} for hop in lock.subject.hops]
        # what two of three need is neither everybody's nor named twice
        (plugins,) = (one for one in lock.packages if one.name == "kubernetes-cni-0.8.7-0.x86_64")
        assert plugins.hops == ("1.19.16", "1.20.15")
        hops = Workspace(path, catalogs=[opened.catalog]).hops
        assert [hop.release for hop in hops] == [*lock.subject.hops]
        assert {(str(hop.choice.os), str(hop.choice.runtime), hop.choice.cni) for hop in hops} == {
            ("centos 7.6", "docker 19.03.9", "calico 3.18.6 operator")
        }


@pytest.mark.parametrize(
    ("version", "changes", "fault"),
    [
        (
            "1.18.5",
            "{from: 1.19.5}",
            "changes.from (line 2): Kubernetes 1.19.5 is newer than 1.18.5: kubeadm does not go",
        ),
        (
            "1.21.14",
            "{from: 1.18.5, through: [1.20.15, 1.19.16]}",
            "changes.through[1] (line 2): 1.19.16 is not on the way from 1.18.5 to 1.21.14",
        ),
        (
            "1.21.14",
            "{from: 1.18.5, through: 1.19.99}",
            "changes.through[0]: on the way from 1.18.5: the images of Kubernetes 1.19.99 are not",
        ),
        (
            "1.19.5",
            "{from: 1.18.4}",
            "changes.from (line 2): on the way from 1.18.4: Kubernetes 1.18.4 should not be used",
        ),
        (
            "1.24.17",
            "{from: 1.18.5}\nruntime: docker",
            "runtime (line 3): Kubernetes 1.24.17 cannot use docker: kubelet has no dockershim",
        ),
    ],
)
def test_a_way_that_can_not_be_gone_is_refused(
    site: Site, version: str, changes: str, fault: str
) -> None:
    sandbox = site.open()
    text = WAY.replace("1.19.5\nchanges: {from: 1.18.5}", f"{version}\nchanges: {changes}")
    (sandbox.folder / "cluster.yaml").write_text(text, "utf-8")
    ran = sandbox.lock()
    assert (ran.code, ran.requests) == (3, ())
    assert fault in ran.err


def test_a_way_that_ends_where_it_begins_is_none(site: Site, sample: Sample) -> None:
    """The key may stay when the change is done: the lock is that of a cluster without it."""
    sandbox = site.open()
    text = (sample.folder / "cluster.yaml").read_text("utf-8")
    (sandbox.folder / "cluster.yaml").write_text(f"{text}\nchanges: {{from: 1.18.5}}\n", "utf-8")
    assert sandbox.lock().code == 0
    assert sandbox.lock_path.read_bytes() == (sample.folder / "cluster.lock").read_bytes()


MANIFEST = """\
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
"""


def test_a_manifest_that_the_release_does_not_serve_is_refused(site: Site) -> None:
    sandbox = site.open("extra: {manifests: [web.yaml]}\n")
    (sandbox.folder / "web.yaml").write_text(MANIFEST, "utf-8")
    ran = sandbox.lock()
    assert ran.code == 3
    what = "web.yaml: Ingress web: 1.18.5 does not serve networking.k8s.io/v1 Ingress: 1.19 does"
    assert what in ran.err
    assert "PodDisruptionBudget" not in ran.err
