"""Every file of ``mirrors/`` is read, and every name in it is followed to its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

import pytest
import yaml

from builder.formats import catalog as catalog_format
from builder.formats import spec
from builder.model.catalog import NotInCatalogError
from builder.model.demand import demand
from builder.model.reference import Reference
from builder.model.spec import Provider
from builder.model.version import Version

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.catalog import Catalog

MINORS = ("1.18", "1.19")
FINGERPRINTS = {
    "centos-7": "6341AB2753D78A78A7C27BB124C6A8A7F4A80EB5",
    "docker-ce": "060A61C51B558A7F742B77AAC52FEB6B621E9F35",
    "google-automatic": "D0BC747FD8CAF7117500D6FA3746C208A7317B0F",
    "google-rpm": "3749E1BA95A86CE054546ED2F09C394C3E1BA8D5",
}
NODES = "nodes: [{name: a, role: control-plane, address: 10.0.0.1}]\n"


def test_every_file_is_part_of_the_catalog(catalog: Catalog, mirrors: Path) -> None:
    """No file is passed over: each is one entry, under the name of its file."""
    entries = {
        "kubernetes": catalog.kubernetes_series,
        "runtimes": catalog.runtime_series,
        "calico": catalog.calico_series,
        "os": catalog.systems,
        "repositories": catalog.repositories,
        "keys": catalog.keys,
        "registries": catalog.registries,
        "configuration": catalog.configurations,
        "cloud-init": catalog.cloud_inits,
        "binaries": catalog.binaries,
        "builds": catalog.builds,
    }
    files = {path.relative_to(mirrors).as_posix() for path in mirrors.rglob("*") if path.is_file()}
    files -= {"README.md", "kernels.yaml", "providers.yaml"}
    files -= {"examples/ha.yaml", "examples/single.yaml"}
    assert files == {f"{folder}/{name}.yaml" for folder, each in entries.items() for name in each}
    assert catalog.kernels
    assert {*catalog.limits} == {*get_args(Provider)}


def test_no_file_depends_on_the_order_of_the_others(mirrors: Path) -> None:
    """A copy that is laid over the catalog changes nothing."""
    assert catalog_format.load([mirrors]) == catalog_format.load()


@pytest.mark.parametrize("minor", MINORS)
def test_every_known_patch_can_be_asked_for_on_every_system(catalog: Catalog, minor: str) -> None:
    series = catalog.kubernetes_series[minor]
    known = []
    for patch in range(max(series.tags) + 2):
        try:
            release = catalog.kubernetes(Version.parse(f"{minor}.{patch}"))
        except NotInCatalogError:
            continue
        known.append(patch)
        assert [c.name for c, _ in release.images] == [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "pause",
            "etcd",
            "coredns",
        ]
        for system in catalog.systems.values():
            names = [package.name for package in release.packages(system)]
            assert names == ["kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"]
            for package in release.packages(system):
                assert catalog.repository(package.repository).keys
    assert known == [*range(min(series.tags), max(series.tags) + 1)]
    assert 5 in known


def test_every_runtime_has_its_packages_and_their_repository(catalog: Catalog) -> None:
    for series in catalog.runtime_series.values():
        for version in series.releases:
            release = catalog.runtime(series.name, version)
            for system in catalog.systems.values():
                for package in release.packages(system):
                    assert catalog.repository(package.repository).keys


def test_docker_of_the_walkthrough_is_pinned_whole(catalog: Catalog) -> None:
    system = catalog.os("centos", "7.6")
    assert [one.request for one in catalog.runtime("docker", "19.03.9").packages(system)] == [
        "docker-ce-3:19.03.9-3.el7",
        "docker-ce-cli-1:19.03.9-3.el7",
        "containerd.io-1.2.13-3.2.el7",
    ]


def test_every_release_of_calico_resolves(catalog: Catalog) -> None:
    for series in catalog.calico_series.values():
        for patch in series.operators:
            release = catalog.calico(f"{series.series}.{patch}")
            assert release.operator.tag == series.operators[patch]
            started = release.started_by(series.images, series.optional)
            assert len(started) == len({*started})
            assert ("operator" in release.ways) == bool(started)
        newest = catalog.calico(series.series)
        assert newest.version.patch == max(series.operators)
        for way in newest.ways:
            for nodes in (1, 50, 51, 1000):
                for name, urls in newest.manifests(way, nodes):
                    assert urls
                    assert all(url.endswith(f"/{name}") and "$" not in url for url in urls)


def test_where_to_go_is_written_completely(catalog: Catalog) -> None:
    """Whatever is fetched has an https address, and all but self-made folders a second one."""
    urls = [
        *(url for one in catalog.repositories.values() for url in one.sources),
        *(url for one in catalog.keys.values() for url in one.sources),
        *(url for one in catalog.calico_series.values() for url in one.sources),
        *(url for one in catalog.systems.values() for iso in one.isos.values()
          for url in iso.sources),
    ]  # fmt: skip
    for url in urls:
        parts = urlsplit(url)
        assert (parts.scheme, parts.query, parts.fragment) == ("https", "", ""), url
        assert parts.username is None, url
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", parts.netloc), url
    for repository in catalog.repositories.values():
        assert len({urlsplit(url).netloc for url in repository.sources}) > 1, repository.name
    for entry in catalog.registries.values():
        assert len(entry.sources) > 1, entry.prefix
    for key in catalog.keys.values():
        assert len(key.sources) > 1, key.name


def test_the_old_names_of_images_are_kept_while_others_are_asked(catalog: Catalog) -> None:
    pause = Reference.parse("k8s.gcr.io/pause:3.2")
    assert [str(one) for one in catalog.image_sources(pause)] == [
        "registry.k8s.io/pause:3.2",
        "k8s.gcr.io/pause:3.2",
        "registry.aliyuncs.com/google_containers/pause:3.2",
    ]
    other = Reference.parse("example.org/pause:3.2")
    assert catalog.image_sources(other) == (other,)
    near = Reference.parse("k8s.gcr.io.example.org/pause:3.2")
    assert catalog.image_sources(near) == (near,)


def test_keys_are_pinned_by_the_published_fingerprints(catalog: Catalog) -> None:
    assert {name: key.fingerprint for name, key in catalog.keys.items()} == FINGERPRINTS


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("way", ["operator", "manifest"])
def test_a_cluster_of_defaults_has_everything_it_asks_for(
    catalog: Catalog, minor: str, way: str
) -> None:
    text = f"kubernetes: {minor}.5\ncni: {{name: calico, install: {way}}}\n{NODES}"
    read = spec.read(text, "cluster.yaml", catalog=catalog)
    wanted = demand(read.cluster, catalog)
    assert wanted.cni == f"calico 3.18.6 {way}"
    sandbox = [one for one in wanted.images if "runtime" in one.needed_by]
    assert [str(one.reference) for one in sandbox] == ["k8s.gcr.io/pause:3.2"]
    assert sandbox[0].roles == ("control-plane", "worker")
    assert [one.name for one in wanted.repositories] == [
        "centos-7.6-os",
        "centos-7.6-updates",
        "centos-7.6-extras",
        "kubernetes-el7",
        "docker-ce-stable-el7",
    ]
    assert {one.name for one in wanted.keys} == {"centos-7", "google-rpm", "docker-ce"}


def test_python_has_no_address_of_an_upstream(catalog: Catalog, mirrors: Path) -> None:
    """Hosts live in ``mirrors/`` alone; the lab plays them by data of its own."""
    hosts = {
        urlsplit(url).hostname
        for each in (catalog.repositories, catalog.keys, catalog.calico_series)
        for one in each.values()
        for url in one.sources
    }
    hosts |= {source.partition("/")[0] for e in catalog.registries.values() for source in e.sources}
    hosts -= {"docker.io"}  # what a name without a host means is part of the grammar of references
    package = mirrors.parent / "builder"
    if not package.is_dir():
        pytest.skip("the package lies elsewhere")
    found = [
        f"{path.relative_to(package)}: {host}"
        for path in package.rglob("*.py")
        for host in hosts
        # in words for people a host may serve as an example
        if host and re.search(rf"https?://{re.escape(host)}\b", path.read_text("utf-8"))
    ]
    assert found == []


def test_numbers_in_the_files_are_what_was_meant(mirrors: Path) -> None:
    """Other YAML readers turn 1.20 into 1.2: where that would hurt, the file has quotes or a v."""
    hurt = []
    for path in sorted(mirrors.rglob("*.yaml")):
        for token in yaml.scan(path.read_text("utf-8")):
            if not (isinstance(token, yaml.ScalarToken) and token.plain):
                continue
            text = str(token.value)
            if re.fullmatch(r"0[0-9]+|[0-9]+:[0-9:]+", text):
                hurt.append(f"{path.relative_to(mirrors)}: {text}")
    assert hurt == []
