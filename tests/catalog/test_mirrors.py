"""Every file of ``mirrors/`` is read, and every name in it is followed to its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

import pytest
import yaml

from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.image_signatures.certificates import read_certificates
from builder.image_signatures.verify import check_authority, check_signer
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.cluster import Provider
from builder.model.demand import demand
from builder.model.reference import Reference
from builder.model.version import Version, numbers

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.catalog import Catalog

MINORS = tuple(f"1.{minor}" for minor in range(18, 32))
IMAGES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "pause",
    "etcd",
    "coredns",
)
PACKAGES = ["kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"]
ISOS = {
    "CentOS-7-x86_64-Minimal-1810.iso": (
        "38d5d51d9d100fd73df031ffd6bd8b1297ce24660dc8c13a3b8b4534a4bd291c"
    ),
    "CentOS-7-x86_64-DVD-1810.iso": (
        "6d44331cc4f6c506c7bbe9feb8468fad6c51a88ca1393ca6b8b486ea04bec3c1"
    ),
    "CentOS-7-x86_64-Minimal-2009.iso": (
        "07b94e6b1a0b0260b94c83d6bb76b26bf7a310dc78d7a9c7432809fb9bc6194a"
    ),
    "CentOS-7-x86_64-DVD-2009.iso": (
        "e33d7b1ea7a9e2f38c8f693215dd85254c3a4fe446f93f563279715b68d07987"
    ),
}
FINGERPRINTS = {
    "centos-7": "6341AB2753D78A78A7C27BB124C6A8A7F4A80EB5",
    "docker-ce": "060A61C51B558A7F742B77AAC52FEB6B621E9F35",
    "google-automatic": "D0BC747FD8CAF7117500D6FA3746C208A7317B0F",
    "google-rpm": "3749E1BA95A86CE054546ED2F09C394C3E1BA8D5",
    "kubernetes-project": "DE15B14486CD377B9E876E1A234654DA9A296436",
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
        "arguments": catalog.arguments,
        "authorities": catalog.authorities,
        "signers": catalog.signers,
    }
    files = {path.relative_to(mirrors).as_posix() for path in mirrors.rglob("*") if path.is_file()}
    files -= {
        "README.md",
        "allowed.yaml",
        "apis.yaml",
        "endpoints.yaml",
        "eviction.yaml",
        "instead.yaml",
        "kernels.yaml",
        "listeners.yaml",
        "packer.yaml",
        "paths.yaml",
        "ports.yaml",
        "programs.yaml",
        "providers.yaml",
    }
    files -= {f"examples/{name}.yaml" for name in ("ha", "hardened", "single")}
    assert files == {f"{folder}/{name}.yaml" for folder, each in entries.items() for name in each}
    assert catalog.kernels
    assert {one.program for one in catalog.listeners} >= {"kubelet", "etcd", "kube-proxy"}
    for table in catalog.configurations.values():
        for kind in table.kinds:
            said = {name.partition(".")[0] for name in catalog.allowed.get(kind, {})}
            assert said <= {*table.types[kind]}
    for program, known in catalog.arguments.items():
        said = {name.partition(".")[0] for name in catalog.allowed.get(program, {})}
        assert said <= {*known.names}
    assert {*catalog.eviction} == {"kubelet", "bundled"}
    assert {*catalog.limits} == {*get_args(Provider)}


def test_no_file_depends_on_the_order_of_the_others(mirrors: Path) -> None:
    """A copy that is laid over the catalog changes nothing."""
    assert catalog_format.load([mirrors]) == catalog_format.load()


def test_the_minors_are_those_that_centos_7_runs(catalog: Catalog) -> None:
    assert (*catalog.kubernetes_series,) == MINORS
    kernels = {system.kernel for system in catalog.systems.values()}
    for minor in MINORS:
        assert catalog.oldest_kernel(Version.parse(f"{minor}.0")) == "3.10"
    assert kernels == {"3.10.0"}
    assert catalog.oldest_kernel(Version(1, 32, 0)) == "4.19"


@pytest.mark.parametrize("minor", MINORS)
def test_every_known_patch_can_be_asked_for_on_every_system(catalog: Catalog, minor: str) -> None:
    series = catalog.kubernetes_series[minor]
    known = set()
    instead = {}
    for patch in range(max(series.tags) + 2):
        try:
            release = catalog.kubernetes(Version.parse(f"{minor}.{patch}"))
        except NotInCatalogError as error:
            instead[patch] = error.expected
            continue
        known.add(patch)
        assert tuple(component.name for component, _ in release.images) == IMAGES
        assert {image.repository.partition("/")[0] for _, image in release.images} == {
            release.registry
        }
        for system in catalog.systems.values():
            packages = release.packages(system)
            assert [package.name for package in packages] == PACKAGES
            assert {package.repository for package in packages} == {series.repositories["el7"]}
            for package in packages[:3]:
                assert package.request.startswith(f"{package.name}-{minor}.{patch}")
            assert catalog.repository(packages[0].repository).keys
    assert {*series.tags} <= known
    assert all(instead.values()), instead
    # what lies between two rows is known, if they are equal, and nothing beyond the last one is
    gaps = {*range(min(series.tags), max(series.tags) + 1)} - known
    for patch in gaps:
        below = max(other for other in series.tags if other < patch)
        above = min(other for other in series.tags if other > patch)
        assert series.tags[below] != series.tags[above], f"{minor}.{patch}"
    assert not known - {*range(min(series.tags), max(series.tags) + 1)}


def test_every_runtime_has_its_packages_and_their_repository(catalog: Catalog) -> None:
    refused = {}
    for series in catalog.runtime_series.values():
        for version in series.releases:
            release = catalog.runtime(series.name, version)
            assert release.version == version
            for system in catalog.systems.values():
                try:
                    packages = release.packages(system)
                except NotInCatalogError as error:
                    refused[f"{series.name} {series.series}", str(system)] = error.what
                    continue
                for package in packages:
                    assert package.evr
                    assert catalog.repository(package.repository).keys
    newer = ("20.10", "23.0", "24.0", "25.0", "26.0", "26.1")
    assert {*refused} == {(f"docker {series}", "centos 7.6") for series in newer}
    assert all("fuse-overlayfs" in what for what in refused.values())


def test_docker_is_there_up_to_its_last_build_for_el7(catalog: Catalog) -> None:
    """Each package of a release has its version, and containerd.io what that docker asks for."""
    last = {"19.03": 15, "20.10": 24, "23.0": 6, "24.0": 9, "25.0": 5, "26.0": 2, "26.1": 4}
    wants = {"19.03": (1, 2, 2), "20.10": (1, 4, 1)}
    system = catalog.os("centos", "7.9")
    found = {s.series: s for s in catalog.runtime_series.values() if s.name == "docker"}
    assert {*found} == {*last}
    for series, patch in last.items():
        releases = found[series].releases
        assert [*releases] == [f"{series}.{number}" for number in range(patch + 1)]
        for version in releases:
            packages = {p.name: p for p in catalog.runtime("docker", version).packages(system)}
            own = ["docker-ce", "docker-ce-cli"]
            own += [] if series == "19.03" else ["docker-ce-rootless-extras"]
            for name, epoch in zip(own, ("3:", "1:", ""), strict=False):
                release = 3 if series in {"19.03", "20.10"} else 1
                assert packages[name].evr == f"{epoch}{version}-{release}.el7"
            containerd = (packages["containerd.io"].evr or "").partition("-")[0]
            assert numbers(containerd) >= wants.get(series, (1, 6, 4))
    assert catalog.runtime("docker").version == "26.1.4"
    assert catalog.runtime("containerd").version == "1.6.33"


def test_kubernetes_takes_no_runtime_that_it_cannot_talk_to(catalog: Catalog) -> None:
    for minor in MINORS:
        release = catalog.kubernetes(Version.parse(f"{minor}.{max_patch(catalog, minor)}"))
        assert release.runtime("containerd").socket.removeprefix("unix://").startswith("/run/")
        if numbers(minor) < (1, 24):
            assert release.runtime("docker").socket == "/var/run/dockershim.sock"
            validated = release.runtime("docker").validated
            assert ("20.10" in validated) == (numbers(minor) >= (1, 21))
        else:
            with pytest.raises(NotInCatalogError, match=r"dockershim since 1\.24"):
                release.runtime("docker")


def test_media_are_pinned_by_the_published_digests(catalog: Catalog) -> None:
    found = {
        iso.file: iso.digest.hex
        for system in catalog.systems.values()
        for iso in system.isos.values()
    }
    assert found == ISOS
    for system in catalog.systems.values():
        for iso in system.isos.values():
            assert all(url.endswith(f"/{iso.file}") for url in iso.sources)
            assert len({urlsplit(url).netloc for url in iso.sources}) > 1


def max_patch(catalog: Catalog, minor: str) -> int:
    return max(catalog.kubernetes_series[minor].tags)


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


@pytest.mark.parametrize("minor", MINORS)
def test_a_cluster_of_every_patch_can_be_asked_for_on_every_system(
    catalog: Catalog, minor: str
) -> None:
    """From cluster.yaml to what a lock would ask for, with a runtime that all of them take."""
    for patch in catalog.kubernetes_series[minor].tags:
        for system in catalog.systems.values():
            text = f"kubernetes: {minor}.{patch}\n{NODES}"
            text += f"os: {{name: {system.name}, version: {system.version}}}\n"
            text += "runtime: {name: containerd, version: 1.6.33}\n"
            read = cluster_format.read(text, "c", catalog=catalog)
            wanted = demand(read.cluster, read.choice, catalog)
            asked = [one for one in wanted.packages if one.needed_by == ("kubeadm",)]
            assert len(asked) == len(PACKAGES)
            assert len(wanted.images) == len(IMAGES)
            assert wanted.os == system


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
    read = cluster_format.read(text, "cluster.yaml", catalog=catalog)
    assert read.remarks == ()
    wanted = demand(read.cluster, read.choice, catalog)
    series = catalog.kubernetes_series[minor]
    calico = catalog.calico(series.defaults.cni.removeprefix("calico-"))
    assert minor in calico.of.kubernetes
    assert wanted.cni == f"calico {calico.version} {way}"
    sandbox = [one for one in wanted.images if "runtime" in one.needed_by]
    pause = f"{wanted.kubernetes.registry}/pause:{wanted.kubernetes.tags['pause']}"
    assert [str(one.reference) for one in sandbox] == [pause]
    assert sandbox[0].roles == ("control-plane", "worker")
    system = "7.6" if minor in {"1.18", "1.19"} else "7.9"
    legacy = numbers(minor) < (1, 24)
    assert [one.name for one in wanted.repositories] == [
        *(f"centos-{system}-{part}" for part in ("os", "updates", "extras")),
        "kubernetes-el7" if legacy else f"kubernetes-{minor}",
        "docker-ce-stable-el7",
    ]
    signer = "google-rpm" if legacy else "kubernetes-project"
    assert {one.name for one in wanted.keys} == {"centos-7", signer, "docker-ce"}


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


def test_every_signer_can_be_checked_with(catalog: Catalog) -> None:
    """Keys and certificates are sound, and an authority has a root and a log."""
    assert catalog.signers
    for signer in catalog.signers.values():
        check_signer(signer, where=signer.name)
    for authority in catalog.authorities.values():
        assert check_authority(authority, where=authority.name) == []
        certificates = [one for text in authority.certificates for one in read_certificates(text)]
        roots = [one for one in certificates if one.issuer == one.subject]
        assert roots
        for one in certificates:
            assert any(root.subject == one.issuer for root in roots)
