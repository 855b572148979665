"""Locks of newer releases than the walkthrough's, whole: from cluster.yaml to seeds.

What the lab does not play by itself is added here: CentOS 7.9, the project's own repositories of
Kubernetes and what belongs to these releases.
"""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import SCALE, Sandbox

from builder.assets import tree
from builder.formats import catalog as catalog_format
from builder.formats import lock as lock_format
from builder.lab import shapes, world
from builder.lab.packages import PackageRecipe
from builder.lab.profiles import read_data
from builder.model.platform import Platform
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream
    from sandboxes import Sample

    from builder.lab.openpgp import VendorKey
    from builder.model.catalog import Catalog
    from builder.model.lock import Lock

AMD64 = Platform.parse("linux/amd64")
RELEASES = ("1.20.15", "1.29.15", "1.31.14")
PROJECT = "isv:kubernetes OBS Project of the lab <kubernetes@build.example>"
BUILD = "150500.1.1"
NODES = (
    "name: newer\nendpoint: lb.example.com\nnodes:\n"
    "  - {name: a, role: control-plane, address: 10.0.0.1}\n"
    "  - {name: b, role: worker, address: 10.0.0.2}\n"
)


@pytest.fixture(scope="module")
def newer(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run an upstream that has the newer releases, too."""
    with sample.sandbox(tmp_path_factory.mktemp("newer") / "work") as opened:
        upstream = opened.upstream
        key = upstream.key(PROJECT)
        _write_key(opened.catalog, key)
        catalog = catalog_format.load([opened.catalog])
        _system(upstream, catalog)
        for minor in ("1.29", "1.31"):
            _project(upstream, catalog, minor, key, BUILD)
        for text in RELEASES:
            release = catalog.kubernetes(Version.parse(text))
            for _, reference in release.images:
                world._image(upstream, catalog, reference, SCALE)
        recipes = read_data("world.yaml")["manifests"]
        for series in ("3.21", "3.29"):
            world._calico(upstream, catalog, catalog.calico(series), recipes, SCALE)
        yield opened


def _write_key(folder: Path, key: VendorKey) -> None:
    text = (tree("mirrors") / "keys/kubernetes-project.yaml").read_text("utf-8")
    lines = [
        f"fingerprint: {key.fingerprint}" if line.startswith("fingerprint:") else line
        for line in text.splitlines()
    ]
    (folder / "keys/kubernetes-project.yaml").write_text("\n".join([*lines, ""]), "utf-8")


def _system(upstream: FaultyUpstream, catalog: Catalog) -> None:
    """Serve what the lab has of 7.6 as 7.9, at the first address of each repository."""
    key = upstream.key(**read_data("world.yaml")["keys"]["centos-7"])
    for part in ("os", "updates", "extras"):
        packages, groups = shapes.packages(part, SCALE)
        url = catalog.repository(f"centos-7.9-{part}").urls(AMD64)[0]
        upstream.add_repository(url, packages, key=key, groups=groups)


def _project(
    upstream: FaultyUpstream, catalog: Catalog, minor: str, key: VendorKey, *builds: str
) -> None:
    """Serve the repository of a minor: some patches of Kubernetes, and what goes with them."""
    last = max(catalog.kubernetes_series[minor].tags)
    own = [
        PackageRecipe(
            nevra=f"{name}-{minor}.{patch}-{build}.x86_64",
            size=4096,
            requires=("cri-tools >= 1.28.0", "kubernetes-cni") if name == "kubeadm" else (),
            files=(f"/usr/bin/{name}",),
        )
        for name in ("kubeadm", "kubelet", "kubectl")
        for patch, build in itertools.product((last - 1, last, last + 1), builds)
    ]
    others = [
        PackageRecipe(nevra=f"{name}-{version}-{BUILD}.x86_64", size=4096)
        for name, versions in (
            ("cri-tools", (f"{minor}.0", f"{minor}.1")),
            ("kubernetes-cni", ("1.2.0", "1.5.1")),
        )
        for version in versions
    ]
    url = catalog.repository(f"kubernetes-{minor}").urls(AMD64)[0]
    upstream.add_file(f"{url}repodata/repomd.xml.key", key.public)
    for other in catalog.key("kubernetes-project").sources:
        upstream.add_file(other, key.public)
    upstream.add_repository(url, [*own, *others], key=key, metadata_key=key, signed=True)


@pytest.fixture
def locked(newer: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Sandbox:
    """Lock a release in a folder of its own."""
    place = tmp_path / "work"
    place.mkdir()
    opened = Sandbox(newer.upstream, place, newer.catalog)
    opened.environment["XDG_CACHE_HOME"] = newer.environment["XDG_CACHE_HOME"]
    (place / "cluster.yaml").write_text(f"kubernetes: {request.param}\n{NODES}", "utf-8")
    ran = opened.lock()
    assert ran.code == 0, ran.err
    return opened


def lock_of(sandbox: Sandbox) -> Lock:
    return lock_format.read(sandbox.lock_path)


@pytest.mark.parametrize(
    ("locked", "registry", "runtime", "calico", "packages"),
    [
        (
            "1.20.15", "k8s.gcr.io", "docker 19.03.15", "calico 3.21.6 operator",
            {"kubeadm-1.20.15-0", "kubernetes-cni-0.8.7-0", "cri-tools-1.13.0-0",
             "docker-ce-19.03.15-3.el7", "containerd.io-1.2.13-3.2.el7"},
        ),
        (
            "1.29.15", "registry.k8s.io", "containerd 1.6.33", "calico 3.29.7 operator",
            {f"kubeadm-1.29.15-{BUILD}", f"kubelet-1.29.15-{BUILD}", f"cri-tools-1.29.1-{BUILD}",
             f"kubernetes-cni-1.5.1-{BUILD}", "containerd.io-1.6.33-3.1.el7"},
        ),
        (
            "1.31.14", "registry.k8s.io", "containerd 1.6.33", "calico 3.29.7 operator",
            {f"kubeadm-1.31.14-{BUILD}", f"kubectl-1.31.14-{BUILD}"},
        ),
    ],
    indirect=["locked"],
)  # fmt: skip
def test_a_newer_release_is_locked_whole(
    locked: Sandbox, registry: str, runtime: str, calico: str, packages: set[str]
) -> None:
    lock = lock_of(locked)
    assert (lock.subject.os, lock.subject.runtime, lock.subject.cni) == (
        "centos 7.9",
        runtime,
        calico,
    )
    release = catalog_format.load().kubernetes(Version.parse(lock.subject.kubernetes))
    names = {image.name for image in lock.images}
    assert {str(reference) for _, reference in release.images} <= names
    assert {name for name in names if name.startswith(registry)} == {
        str(reference) for _, reference in release.images
    }
    assert {
        f"{p.nevra.name}-{p.nevra.version}-{p.nevra.release}" for p in lock.packages
    } >= packages
    assert all(package.trust in {"signed", "pinned"} for package in lock.packages)
    own = next(r for r in lock.repositories if r.name == release.of.repositories["el7"])
    assert own.signed


@pytest.mark.parametrize(
    ("locked", "api"),
    [("1.20.15", "v1beta2"), ("1.29.15", "v1beta3"), ("1.31.14", "v1beta4")],
    indirect=["locked"],
)
def test_its_bundle_is_whole_and_its_seeds_speak_its_api(locked: Sandbox, api: str) -> None:
    for words in (("bundle", "cluster.lock"), ("verify", "bundle.tar")):
        ran = locked.run(*words)
        assert ran.code == 0, ran.err
    for words in (("secrets",), ("seeds", "--catalog", str(locked.catalog))):
        ran = locked.run(words[0], "cluster.yaml", *words[1:])
        assert ran.code == 0, ran.err
    content = (locked.folder / "seeds/a/user-data").read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    assert f"kubeadm.k8s.io/{api}" in text
    assert text.count("kubeadm.k8s.io/") == text.count(f"kubeadm.k8s.io/{api}")


@pytest.mark.parametrize("locked", ["1.29.15"], indirect=True)
def test_a_newer_build_moves_only_when_it_is_asked_for(newer: Sandbox, locked: Sandbox) -> None:
    """A lock without releases in its catalog holds on to the ones that it found."""
    catalog = catalog_format.load([locked.catalog])
    key = newer.upstream.key(PROJECT)
    _project(newer.upstream, catalog, "1.29", key, BUILD, "150500.2.1")
    try:
        assert locked.lock().code == 0
        assert _builds(lock_of(locked), "kubeadm", "kubelet") == {BUILD}
        ran = locked.lock("--check")
        assert (ran.code, "150500.2.1" in ran.out) == (1, True)
        assert locked.lock("--update", "kubeadm").code == 0
        assert _builds(lock_of(locked), "kubeadm") == {"150500.2.1"}
        assert _builds(lock_of(locked), "kubelet", "kubectl", "cri-tools") == {BUILD}
    finally:
        _project(newer.upstream, catalog, "1.29", key, BUILD)


def _builds(lock: Lock, *names: str) -> set[Any]:
    return {package.nevra.release for package in lock.packages if package.nevra.name in names}
