"""What the catalog says about RPMs that airseed builds, and what other catalogs may not say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builder.assets import tree
from builder.errors import DocumentError
from builder.formats import catalog as catalog_format
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.platform import Platform
from builder.model.recipe import recipes
from builder.model.version import Version

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.catalog import Catalog

AMD64 = Platform.parse("linux/amd64")
FILE = "builds/kubernetes-built-el7.yaml"


def test_digests_are_those_of_the_pinned_table(catalog: Catalog, upstream: Path) -> None:
    table = (upstream / "kubeadm" / "binaries-sha256-amd64.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    known = {(name, version): digest for name, version, digest in rows}
    ours = {
        (name, version): digest.hex
        for one in catalog.binaries.values()
        for version, row in one.digests["amd64"].items()
        for name, digest in row.items()
    }
    assert ours.items() <= known.items()
    minors = {f"1.{minor}" for minor in range(18, 32)}
    wanted = {key for key in known if ".".join(key[1].split(".")[:2]) in minors}
    wanted = {key for key in wanted if key[0].startswith("kube")}
    assert len(wanted) == 3 * 226
    assert wanted <= ours.keys()
    assert {key for key in known if not key[0].startswith("kube")} <= ours.keys()


@pytest.mark.parametrize("release", ["1.18.5", "1.19.5"])
def test_every_program_of_a_release_is_pinned(catalog: Catalog, release: str) -> None:
    found = recipes(
        catalog, catalog.kubernetes(Version.parse(release)), catalog.os("centos", "7.6"), AMD64
    )
    names = {recipe.nevra.name: recipe for recipe in found}
    assert set(names) == {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}
    for recipe in found:
        for program in recipe.programs:
            assert program.digest is not None, program.name
            assert not [source for source in program.sources if "$" in source]
    url = f"https://dl.k8s.io/v{release}/bin/linux/amd64/kubelet"
    assert names["kubelet"].programs[0].sources[0] == url
    assert str(names["kubelet"].nevra) == f"kubelet-{release}-0.airseed1.x86_64"


def test_dependencies_are_those_of_upstreams_spec(catalog: Catalog) -> None:
    found = recipes(
        catalog, catalog.kubernetes(Version.parse("1.18.5")), catalog.os("centos", "7.6"), AMD64
    )
    requires = {recipe.nevra.name: {*recipe.requires} for recipe in found}
    assert requires["kubelet"] == {
        "iptables >= 1.4.21", "kubernetes-cni >= 0.8.6", "socat", "util-linux", "ethtool",
        "iproute", "ebtables", "conntrack",
    }  # fmt: skip
    assert requires["kubeadm"] == {
        "kubelet >= 1.13.0", "kubectl >= 1.13.0", "kubernetes-cni >= 0.8.6", "cri-tools >= 1.13.0",
    }  # fmt: skip
    assert requires["kubernetes-cni"] == {"kubelet"}


def test_plugins_and_crictl_of_every_minor_are_pinned(catalog: Catalog) -> None:
    (builds,) = catalog.builds.values()
    for row in builds.series.values():
        assert row["kubernetes-cni"] in catalog.binaries["cni-plugins"].digests["amd64"]
        assert row["cri-tools"] in catalog.binaries["crictl"].digests["amd64"]


def test_every_release_can_be_built(catalog: Catalog) -> None:
    """Those whose programs nobody pinned are believed on first use."""
    seen, unpinned = 0, set()
    for series in catalog.kubernetes_series:
        for patch in range(40):
            try:
                release = catalog.kubernetes(Version.parse(f"{series}.{patch}"))
            except NotInCatalogError:
                continue
            found = recipes(catalog, release, catalog.os("centos", "7.9"), AMD64)
            assert len(found) == 5
            seen += 1
            if any(one.digest is None for recipe in found for one in recipe.programs):
                unpinned.add(str(release.version))
    assert seen > 200
    assert unpinned == {
        "1.18.7", "1.18.18", "1.18.19", "1.18.20", "1.19.16", "1.21.14", "1.22.16", "1.22.17",
        "1.23.17",
    }  # fmt: skip


def test_what_cannot_be_built_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    text = (tree("mirrors") / FILE).read_text("utf-8")
    text = re.sub(r"  1\.18: .*\n", "", text)
    (tmp_path / "builds").mkdir()
    (tmp_path / FILE).write_text(text, "utf-8")
    other = catalog_format.load([tmp_path])
    with pytest.raises(NotInCatalogError) as caught:
        recipes(other, other.kubernetes(Version.parse("1.18.5")), other.os("centos", "7.6"), AMD64)
    assert str(caught.value) == "how the RPMs of Kubernetes 1.18.5 are built is not known"
    assert catalog.builds != other.builds


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("family: el7", "family: el9", "family", "no system is of the family el9"),
        (
            "{program: kubectl}",
            "{program: kubectk}",
            "packages.kubectl.files./usr/bin/kubectl",
            "nothing under binaries is called kubectk",
        ),
        (
            "{program: kubectl}",
            "{program: kubectl, text: x}",
            "packages.kubectl.files./usr/bin/kubectl",
            "give one of program, archive, text and folder",
        ),
        (
            "{archive: crictl, member: crictl}",
            "{archive: crictl}",
            "packages.cri-tools.files./usr/bin/crictl",
            "only a file from an archive has a member",
        ),
        (
            "/opt/cni: {folder: true}",
            "/opt/../cni: {folder: true}",
            "packages.kubernetes-cni.files./opt/../cni",
            "the key '/opt/../cni' is not allowed here",
        ),
        (
            "kubernetes-cni >= $kubernetes-cni, socat",
            "kubernetes-cni >= $cni, socat",
            "packages.kubelet.requires[1]",
            "no package is called cni",
        ),
        (
            "1.31: {kubernetes-cni: 1.5.1,",
            "1.31: {kubernetes-cin: 1.5.1,",
            "series.1.31.kubernetes-cin",
            "there is no such package",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, where: str, what: str) -> None:
    text = (tree("mirrors") / FILE).read_text("utf-8")
    assert old in text
    (tmp_path / "builds").mkdir()
    (tmp_path / FILE).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(DocumentError) as caught:
        catalog_format.load([tmp_path])
    found = [
        (fault.where.partition(": ")[2].partition(" (line")[0], fault.what)
        for fault in caught.value.faults
    ]
    assert (where, what) in found


def test_a_source_may_have_no_other_words(tmp_path: Path) -> None:
    (tmp_path / "binaries").mkdir()
    text = "names: [crictl]\nsources: ['https://example.com/$release/$name']\n"
    (tmp_path / "binaries" / "crictl.yaml").write_text(text, "utf-8")
    with pytest.raises(DocumentError) as caught:
        catalog_format.load([tmp_path])
    assert [fault.what for fault in caught.value.faults] == [
        "'https://example.com/$release/$name' has a $ that is not in $version, $name, $arch"
    ]
