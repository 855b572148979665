"""Catalogs of the user's own: what they may say, and every mistake with file and place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.assets import tree
from builder.errors import DocumentError
from builder.formats import catalog as catalog_format
from builder.model.reference import Reference
from builder.model.version import Version

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def shipped(name: str) -> str:
    return (tree("mirrors") / name).read_text("utf-8")


def faults(folder: Path, files: dict[str, str]) -> list[tuple[str, str]]:
    write(folder, files)
    with pytest.raises(DocumentError) as caught:
        catalog_format.load([folder])
    return [
        (fault.where.removeprefix(f"{folder}/").partition(" (line")[0], fault.what)
        for fault in caught.value.faults
    ]


def test_a_file_replaces_the_one_of_its_name_and_others_stay(tmp_path: Path) -> None:
    text = "prefix: k8s.gcr.io\nsources: [mirror.example.com/k8s]\n"
    catalog = catalog_format.load([write(tmp_path, {"registries/k8s.gcr.io.yaml": text})])
    pause = Reference.parse("k8s.gcr.io/pause:3.2")
    assert [str(one) for one in catalog.image_sources(pause)] == [
        "mirror.example.com/k8s/pause:3.2"
    ]
    assert len(catalog.registries) == len(catalog_format.load().registries)


def test_the_last_catalog_wins_and_a_longer_prefix_goes_first(tmp_path: Path) -> None:
    name = "registries/docker.yaml"
    one = write(tmp_path / "1", {name: "prefix: docker.io\nsources: [one.example.com]\n"})
    two = write(tmp_path / "2", {name: "prefix: docker.io\nsources: [two.example.com]\n"})
    catalog = catalog_format.load([one, two])
    nginx = Reference.parse("nginx:1")
    assert [str(o) for o in catalog.image_sources(nginx)] == ["two.example.com/library/nginx:1"]
    calico = Reference.parse("calico/node:1")
    assert str(catalog.image_sources(calico)[0]) == "docker.io/calico/node:1"


def test_a_patch_is_one_row_more(tmp_path: Path) -> None:
    row = "  21: {pause: 3.9, etcd: 3.4.3-0, coredns: 1.6.7}\n"
    text = shipped("kubernetes/1.18.yaml").replace("# releases that should not", f"{row}# releases")
    text = text.replace(
        "    20: {kubernetes-cni", "    21: {kubernetes-cni: 0.8.7-0}\n    20: {kub"
    )
    text = text.replace("    20: {kub: ", "    20: {kubernetes-cni: ")
    catalog = catalog_format.load([write(tmp_path, {"kubernetes/1.18.yaml": text})])
    release = catalog.kubernetes(Version.parse("1.18.21"))
    assert "k8s.gcr.io/pause:3.9" in {str(image) for _, image in release.images}


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("os/centos-7.6.yaml", "centos-7.6-os,", "centos-7.6-so,", "repositories[0]"),
        ("os/centos-7.6.yaml", "kernel: 3.10.0", "kernel: old", "kernel"),
        ("repositories/docker-ce-stable-el7.yaml", "[docker-ce]", "[dokcer-ce]", "keys[0]"),
        ("repositories/docker-ce-stable-el7.yaml", "stable/", "stable", "sources[0]"),
        ("repositories/kubernetes-el7.yaml", "metadata: sometimes", "metadata: maybe", "metadata"),
        ("keys/docker-ce.yaml", "060A", "06", "fingerprint"),
        ("keys/docker-ce.yaml", "https://d", "ftp://d", "sources[0]"),
        ("registries/calico.yaml", "prefix: docker.io", "prefix: Docker", "prefix"),
        ("runtimes/docker-19.03.yaml", "19.03.9:", "20.10.1:", "releases.20.10.1"),
        ("runtimes/docker-19.03.yaml", "el7: {docker", "el9: {docker", "releases.19.03.0.el9"),
        ("kubernetes/1.18.yaml", "docker-19.03.9", "docker-1", "defaults.runtime"),
        ("kubernetes/1.18.yaml", "cni: calico-3.18", "cni: calico-3.1", "defaults.cni"),
        ("kubernetes/1.18.yaml", "el7: kubernetes-el7", "el7: kube", "packages.repositories.el7"),
        ("kubernetes/1.18.yaml", "5: {pause: 3.2, etcd", "5: {paus: 3.2, etcd", "tags.5"),
        ("kubernetes/1.18.yaml", "cri-tools-1.13.0-0.x", "cri-2.x", "packages.sha256.cri-2.x86_64"),
        ("calico/3.18.yaml", "most-nodes: 50", "most-nodes: 40", "install.manifest"),
        ("calico/3.18.yaml", "registry: {0:", "registry: {3:", "registry"),
    ],
)  # fmt: skip
def test_one_mistake_is_found_at_its_place(
    name: str, old: str, new: str, found: str, tmp_path: Path
) -> None:
    text = shipped(name)
    assert old in text
    places = [where for where, _ in faults(tmp_path, {name: text.replace(old, new, 1)})]
    assert f"{name}: {found}" in places


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        {
            "keys/a.yaml": "fingerprint: 12\n",
            "key/b.yaml": "",
            "os/Debian.yaml": "family: deb\n",
            "registries/c.yml": "prefix: x.io\nsources: [x.io]\n",
            "registries/d.yaml": "prefix: k8s.gcr.io\nsources: [x.io]\n",
            "calico/3.99.yaml": "kubernetes: [1.99\n",
        },
    )
    assert {where.partition(":")[0] for where, _ in found} == {
        "keys/a.yaml",
        "key/b.yaml",
        "os/Debian.yaml",
        "registries/c.yml",
        "registries/d.yaml",
        "calico/3.99.yaml",
    }
    assert ("registries/c.yml", "not a file of a catalog") in found
    assert ("key/b.yaml", "a catalog has no such file") in found


@pytest.mark.parametrize("make", ["nothing", "empty", "file"])
def test_what_is_no_catalog(make: str, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    if make == "empty":
        folder.mkdir()
    elif make == "file":
        folder.write_text("")
    with pytest.raises(DocumentError) as caught:
        catalog_format.load([folder])
    assert [fault.where for fault in caught.value.faults] == [str(folder)]
