from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pysequoia
import pytest
from fault_lab.upstream import running_world

from builder.assets import tree
from builder.formats.catalog import load
from builder.formats.text import yaml_documents
from builder.lab.profiles import read_data
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.model.catalog import Catalog

AMD64 = Platform.parse("linux/amd64")
CHOICE = read_data("world.yaml")


@pytest.fixture
def upstream(lab_folder: Path) -> Iterator[FaultyUpstream]:
    with running_world(lab_folder, scale=0.001) as running:
        yield running


@pytest.fixture
def catalog(upstream: FaultyUpstream) -> Catalog:
    return load([tree("mirrors"), upstream.catalog])


def test_the_overlay_pins_the_keys_that_are_served(catalog: Catalog, client: Any) -> None:
    real = load([tree("mirrors")])
    for name in CHOICE["keys"]:
        key = catalog.key(name)
        assert key.fingerprint != real.key(name).fingerprint
        for url in key.sources:
            served = pysequoia.Cert.from_bytes(client.ask(url).body)
            assert served.fingerprint.upper() == key.fingerprint, url


def test_the_overlay_changes_nothing_else(catalog: Catalog) -> None:
    real = load([tree("mirrors")])
    assert catalog.repositories == real.repositories
    assert catalog.calico_series == real.calico_series
    assert catalog.systems == real.systems
    assert {name: key.sources for name, key in catalog.keys.items()} == {
        name: key.sources for name, key in real.keys.items()
    }
    for name, series in catalog.kubernetes_series.items():
        assert series.tags == real.kubernetes_series[name].tags
        assert series.digests.keys() == real.kubernetes_series[name].digests.keys()


def test_the_overlay_pins_the_packages_that_are_served(
    upstream: FaultyUpstream, catalog: Catalog, client: Any
) -> None:
    system = catalog.os("centos", "7.6")
    pool = urlsplit(catalog.repository("kubernetes-el7").sources[1])
    pinned = 0
    for package in catalog.kubernetes(Version.parse("1.18.5")).packages(system):
        for digest in package.digests.values():
            name = f"{digest.hex}-{package.request}.x86_64.rpm"
            url = f"https://{pool.hostname}/kubernetes/yum/pool/{name}"
            assert Digest.of(client.ask(url).body) == digest
            pinned += 1
    assert pinned == 2


def test_every_source_of_every_repository_is_as_the_world_is(catalog: Catalog, client: Any) -> None:
    for name, how in CHOICE["repositories"].items():
        repository = catalog.repository(name)
        for url in repository.urls(AMD64):
            host = urlsplit(url).hostname
            is_there = host not in how.get("gone", ())
            is_signed = repository.metadata != "unsigned" and host not in how.get("unsigned", ())
            assert client.ask(f"{url}repodata/repomd.xml").status == (200 if is_there else 404)
            signature = client.ask(f"{url}repodata/repomd.xml.asc")
            assert signature.status == (200 if is_there and is_signed else 404), url


@pytest.mark.parametrize("version", CHOICE["kubernetes"])
def test_every_source_of_every_image_has_it(
    upstream: FaultyUpstream, catalog: Catalog, version: str
) -> None:
    references = [reference for _, reference in catalog.kubernetes(Version.parse(version)).images]
    for release in (catalog.calico(name) for name in CHOICE["calico"]):
        references.append(release.operator)
        references += release.started_by(["Installation"], ["certificate-management"])
    assert len(references) == 14
    for reference in references:
        digests = {held(upstream, source) for source in catalog.image_sources(reference)}
        assert len(digests) == 1, reference


def held(upstream: FaultyUpstream, reference: Reference) -> Digest:
    registry = upstream.registry(reference.host)
    images = upstream.image_store.repositories[f"{registry.profile.content}/{reference.path}"]
    return images.tags[reference.tag or ""]


@pytest.mark.parametrize("install", ["operator", "manifest"])
@pytest.mark.parametrize("nodes", [1, 100])
def test_manifests_name_images_that_are_there(
    upstream: FaultyUpstream, catalog: Catalog, client: Any, install: str, nodes: int
) -> None:
    for release in (catalog.calico(name) for name in CHOICE["calico"]):
        found = set()
        for name, urls in release.manifests(install, nodes):
            texts = {client.ask(url).body for url in urls}
            assert len(texts) == 1
            documents = yaml_documents(texts.pop().decode(), name)
            found |= {image for each in documents for image in images_in(each.value)}
        started = {str(image) for image in release.started_by(["Installation"])}
        if install == "operator":
            assert found == {str(release.operator)}
        else:
            typha = {image for image in started if "typha" in image}
            assert found == (started if nodes > 50 else started - typha)
        for image in found:
            assert held(upstream, Reference.parse(image))


def images_in(value: Any) -> Iterator[str]:
    """Return what stands under ``image`` in containers."""
    if isinstance(value, list):
        for item in value:
            yield from images_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"containers", "initContainers"}:
                yield from (container["image"] for container in item)
            else:
                yield from images_in(item)


def test_a_second_start_serves_the_same(upstream: FaultyUpstream, lab_folder: Path) -> None:
    before = upstream.catalog.joinpath("keys/centos-7.yaml").read_bytes()
    with running_world(lab_folder, scale=0.001) as again:
        assert again.image_store.repositories == upstream.image_store.repositories
        assert again.catalog.joinpath("keys/centos-7.yaml").read_bytes() == before


def test_a_user_catalog_is_played_too(tmp_path: Path, lab_folder: Path) -> None:
    file = tmp_path / "keys" / "docker-ce.yaml"
    file.parent.mkdir()
    url = "https://keys.example.org/docker.asc"
    file.write_text(f"fingerprint: {'0' * 40}\nsources: ['{url}']\n")
    with running_world(lab_folder, catalogs=[tmp_path], scale=0.001) as running:
        catalog = load([tree("mirrors"), tmp_path, running.catalog])
        assert catalog.key("docker-ce").sources == (url,)
        assert "keys.example.org" in running.sites


@pytest.mark.interop
def test_dnf_installs_the_walkthrough_with_every_check(
    upstream: FaultyUpstream, catalog: Catalog, tmp_path: Path
) -> None:
    system = catalog.os("centos", "7.6")
    kubernetes = catalog.kubernetes(Version.parse("1.18.5")).packages(system)
    docker = catalog.runtime("docker", "19.03.9").packages(system)
    options = ["--disablerepo=*", f"--installroot={tmp_path / 'root'}", "--releasever=7"]
    options += [f"--setopt=cachedir={tmp_path / 'cache'}", "--forcearch=x86_64"]
    for name in (*system.repositories, docker[0].repository, kubernetes[0].repository):
        options += repository_options(upstream, catalog, name, tmp_path)
    wanted = [package.request for package in (*kubernetes, *docker)]
    wanted += [*system.packages, *system.installed, *(f"@{group}" for group in system.groups)]
    subprocess.run(["dnf", "-y", *options, "install", "--downloadonly", *wanted], check=True)
    fetched = {path.name for path in (tmp_path / "cache").rglob("*.rpm")}
    assert len(fetched) > 100
    for package in docker:
        version = package.evr.rpartition(":")[2]
        assert f"{package.name}-{version}.x86_64.rpm" in fetched


def repository_options(
    upstream: FaultyUpstream, catalog: Catalog, name: str, folder: Path
) -> list[str]:
    """Write down a repository for dnf, with all the checks that it can pass."""
    repository = catalog.repository(name)
    gone = CHOICE["repositories"][name].get("gone", ())
    url = next(url for url in repository.urls(AMD64) if urlsplit(url).hostname not in gone)
    parts = urlsplit(url)
    keys = []
    for key in dict.fromkeys((*repository.keys, *repository.metadata_keys)):
        path = folder / f"{key}.asc"
        path.write_bytes(upstream.key(**CHOICE["keys"][key]).public)
        keys.append(f"file://{path}")
    signed = int(repository.metadata != "unsigned")
    return [
        f"--repofrompath={name},http://{upstream.listen(parts.hostname or '')}{parts.path}",
        f"--setopt={name}.gpgcheck=1",
        f"--setopt={name}.repo_gpgcheck={signed}",
        f"--setopt={name}.gpgkey={' '.join(keys)}",
    ]
