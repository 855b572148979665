"""The catalog against what the real upstreams say: kubeadm's tables, Calico's manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from subjects import AMD64, SUBJECT

from builder.errors import DocumentError, IncompleteError
from builder.formats import cluster as cluster_format
from builder.formats import manifests as manifest_format
from builder.model.artifact import File, Image, ImageManifest
from builder.model.catalog.calico import OPERATOR
from builder.model.demand import demand
from builder.model.digest import Digest
from builder.model.lock import Lock
from builder.model.version import Version
from builder.pipeline import find_images
from builder.pipeline.lock import files, proof

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoRelease
    from builder.model.demand import Demand, WantedImage

DIGEST = Digest("ab" * 32)
RELEASES = ("3.18.6", "3.26.5", "3.30.7")
CLUSTER = (
    "kubernetes: 1.18.5\nnodes:\n"
    "  - {name: a, role: control-plane, address: 10.0.0.1}\n"
    "  - {name: b, role: worker, address: 10.0.0.2}\n"
)
HAND_WRITTEN = {"1.18.4"}
"""Rows of the upstream table that its makers corrected later."""
COMPONENTS = {
    "CalicoAPIServer": "APIServer",
    "CalicoGoldmane": "Goldmane",
    "CalicoWhisker": "Whisker",
    "CalicoWhiskerBackend": "Whisker",
    "CalicoGuardian": "ManagementClusterConnection",
    "CalicoEnvoyGateway": "GatewayAPI",
    "CalicoEnvoyProxy": "GatewayAPI",
    "CalicoEnvoyRatelimit": "GatewayAPI",
}
"""The operator's components that another resource than the Installation starts."""
OPTIONAL = ("FIPS", "Windows", "WindowsUpgrade", "CSRInitContainer")
REGISTRY = {"3.18.6": "docker.io", "3.26.5": "docker.io", "3.30.7": "quay.io"}


MINORS = [f"1.{minor}" for minor in range(18, 32)]
READ_IN_SOURCE = {
    "1.18.5", "1.19.0", "1.19.1", "1.19.5", "1.23.0", "1.25.15", "1.25.16", "1.26.10", "1.27.7",
}  # fmt: skip
"""Rows that the upstream table lacks; the constants in kubeadm's source have them."""
NODE = "nodes: [{name: a, role: control-plane, address: 10.0.0.1}]\n"


def _table(upstream: Path) -> dict[str, list[str]]:
    """Read pause, etcd and coredns by version, as kubeadm printed them."""
    rows = {}
    for line in (upstream / "kubeadm/images-by-patch.txt").read_text("utf-8").splitlines():
        version, _, *images = line.split()[:5]
        if not version.startswith("#") and "-" not in images and version not in HAND_WRITTEN:
            rows[version] = images
    return rows


def _series(version: str) -> str:
    return version.rpartition(".")[0]


@pytest.mark.parametrize("minor", MINORS)
def test_image_tables_are_those_of_kubeadm(catalog: Catalog, upstream: Path, minor: str) -> None:
    rows = {v: images for v, images in _table(upstream).items() if _series(v) == minor}
    assert len(rows) >= 6
    known = {f"{minor}.{patch}" for patch in catalog.kubernetes_series[minor].tags}
    assert known == {*rows} | {v for v in READ_IN_SOURCE if _series(v) == minor}
    for version, images in rows.items():
        release = catalog.kubernetes(Version.parse(version))
        found = {component.name: str(image) for component, image in release.images}
        assert [found["pause"], found["etcd"], found["coredns"]] == images
        registry = images[0].partition("/")[0]
        for name in ("apiserver", "controller-manager", "scheduler", "proxy"):
            assert found[f"kube-{name}"] == f"{registry}/kube-{name}:v{version}"


@pytest.mark.parametrize("system", ["7.6", "7.9"])
def test_every_patch_up_to_1_31_can_be_had_on_centos_7(
    catalog: Catalog, upstream: Path, system: str
) -> None:
    """And every newer one is refused, with the reason."""
    had, refused = 0, 0
    for version in _table(upstream):
        minor = tuple(map(int, _series(version).split(".")))
        if minor < (1, 18):
            continue
        text = f"kubernetes: {version}\nos: {{name: centos, version: {system}}}\n"
        text += f"runtime: {{name: containerd, version: 1.6.33}}\n{NODE}"
        if minor <= (1, 31):
            read = cluster_format.read(text, "cluster.yaml", catalog=catalog)
            wanted = demand(read.cluster, read.choice, catalog)
            assert f"kubeadm-{version}" in {
                "-".join(one.request.split("-")[:2]) for one in wanted.packages
            }
            had += 1
            continue
        with pytest.raises(DocumentError) as caught:
            cluster_format.read(text, "cluster.yaml", catalog=catalog)
        (fault,) = caught.value.faults
        kernel = "4.19" if minor < (1, 34) else "5.4"
        assert fault.what == (
            f"Kubernetes {version} needs kernel {kernel} or newer; centos {system} has 3.10.0"
        )
        assert fault.expected == "a version before 1.32"
        refused += 1
    assert (had, refused) == (193, 27)


def test_1_18_5_and_1_19_5_are_as_their_neighbours(catalog: Catalog) -> None:
    for version, etcd, coredns in (("1.18.5", "3.4.3-0", "1.6.7"), ("1.19.5", "3.4.13-0", "1.7.0")):
        release = catalog.kubernetes(Version.parse(version))
        assert [str(image) for _, image in release.images] == [
            *(
                f"k8s.gcr.io/kube-{name}:v{version}"
                for name in ("apiserver", "controller-manager", "scheduler", "proxy")
            ),
            "k8s.gcr.io/pause:3.2",
            f"k8s.gcr.io/etcd:{etcd}",
            f"k8s.gcr.io/coredns:{coredns}",
        ]


def _operators(upstream: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (upstream / "calico/operator-images.json").read_text("utf-8")
    )
    return found


def test_every_operator_that_is_known_is_known_whole(catalog: Catalog, upstream: Path) -> None:
    """What an operator may start under any condition is in the table of its series."""
    operators = _operators(upstream)
    assert operators
    for tag, components in operators.items():
        versions = {c["version"] for c in components if c["image"].endswith("kube-controllers")}
        version = next(v for v in versions if "fips" not in v).removeprefix("v")
        release = catalog.calico(version)
        assert release.operator.tag == tag
        started = release.started_by(release.of.images, release.of.optional)
        found = {(one.path.rpartition("/")[2], one.tag) for one in started}
        assert found == {
            (one["image"].rpartition("/")[2], one["version"])
            for one in components
            if one["component"] != "OperatorInit"
        }, tag


def _installed(release: CalicoRelease, folder: Path) -> list[files.LockedManifest]:
    """Read the manifests that an installation by the operator applies."""
    found = []
    for name, _ in release.manifests(OPERATOR, 5):
        content = (folder / name).read_bytes()
        file = File(
            kind="manifest",
            path=f"manifests/{name}",
            digest=Digest.of(content),
            size=len(content),
            sources=(),
            needed_by=("calico",),
        )
        text = content.decode()
        found.append(files.LockedManifest(file=file, content=manifest_format.read(text, name)))
    return found


def _expected(upstream: Path, version: str, kinds: set[str]) -> set[str]:
    """Work out what will run from the operator's own list, without the catalog."""
    text = (upstream / f"calico/v{version}/tigera-operator.yaml").read_text("utf-8")
    line = next(line for line in text.splitlines() if "image: quay.io/tigera/operator:" in line)
    operator = line.split()[-1]
    return {operator} | {
        f"{REGISTRY[version]}/{one['image']}:{one['version']}"
        for one in _operators(upstream)[operator.rpartition(":")[2]]
        if not one["component"].endswith(OPTIONAL)
        and one["component"] != "OperatorInit"
        and COMPONENTS.get(one["component"], "Installation") in kinds
    }


def _demand(catalog: Catalog, release: CalicoRelease) -> Demand:
    read = cluster_format.read(CLUSTER, "cluster.yaml", catalog=catalog)
    wanted = demand(read.cluster, read.choice, catalog)
    return replace(wanted, calico=release, images=(), packages=(), manifests=(), keys=())


def _lock(images: tuple[WantedImage, ...]) -> Lock:
    part = ImageManifest(platform=AMD64, digest=DIGEST, config=DIGEST, layers=())
    return Lock(
        subject=SUBJECT,
        images=tuple(
            Image(
                reference=one.reference,
                digest=DIGEST,
                size=1,
                media_type="application/vnd.oci.image.manifest.v1+json",
                sources=(str(one.reference),),
                manifests=(part,),
                roles=one.roles,
                needed_by=one.needed_by,
            )
            for one in images
        ),
    )


@pytest.mark.parametrize("version", RELEASES)
def test_what_is_found_is_what_the_chosen_installation_starts(
    catalog: Catalog, upstream: Path, version: str
) -> None:
    release = catalog.calico(version)
    manifests = _installed(release, upstream / f"calico/v{version}")
    kinds = {one.kind for manifest in manifests for one in manifest.content.resources}
    assert "Installation" in kinds
    wanted = _demand(catalog, release)
    started = files.started(wanted, manifests)
    assert {str(one.reference) for one in started} == _expected(upstream, version, kinds)
    assert len(started) == {"3.18.6": 6, "3.26.5": 9, "3.30.7": 12}[version]


@pytest.mark.parametrize("version", RELEASES)
def test_without_any_one_of_them_the_proof_fails_and_names_it(
    catalog: Catalog, upstream: Path, version: str
) -> None:
    release = catalog.calico(version)
    wanted = _demand(catalog, release)
    started = files.started(wanted, _installed(release, upstream / f"calico/v{version}"))
    whole = _lock(started)
    proof.check(wanted, started, whole)
    for missing in started:
        images = tuple(one for one in whole.images if one.reference != missing.reference)
        with pytest.raises(IncompleteError) as caught:
            proof.check(wanted, started, replace(whole, images=images))
        assert [(fault.where, fault.what) for fault in caught.value.faults] == [
            (str(missing.reference), "calico will ask for it; not in the lock")
        ]


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("typha", [False, True])
def test_the_plain_manifest_is_found_whole(upstream: Path, version: str, typha: bool) -> None:
    """Compared with every line that has an image, which in these manifests all are started."""
    path = upstream / f"calico/v{version}" / ("calico-typha.yaml" if typha else "calico.yaml")
    lines = path.read_text("utf-8").splitlines()
    images = {
        line.split()[-1] for line in lines if line.strip().removeprefix("- ").startswith("image: ")
    }
    (manifest,) = find_images.find([path])
    assert {str(image.text) for image in manifest.images} == images
    expected = {"cni", "node", "kube-controllers"} | ({"typha"} if typha else set())
    if version == "3.18.6":
        expected |= {"pod2daemon-flexvol"}
    assert images == {f"docker.io/calico/{name}:v{version}" for name in expected}


def test_operators_belong_to_the_patches_that_their_makers_say(
    catalog: Catalog, upstream: Path
) -> None:
    """The table of operator releases names every pair that the catalog has."""
    pairs = {}
    for line in (upstream / "calico/tigera-operator-to-calico.txt").read_text().splitlines():
        operator, calico, *_ = line.split()
        pairs[operator] = calico
    checked = 0
    for series in catalog.calico_series.values():
        for patch, operator in series.operators.items():
            if operator in pairs:
                assert pairs[operator] == f"v{series.series}.{patch}", operator
                checked += 1
    assert checked >= 60
