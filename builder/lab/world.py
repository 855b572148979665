"""Everything that the catalog names for the walkthrough's cluster, at the URLs that it names.

The URLs, versions and image names come from the catalog; ``data/world.yaml`` says how much of it
is played. Real signing keys and real digests cannot be had here, so an overlay catalog puts the
lab's own in their place: give it last (``--catalog``).
"""

from __future__ import annotations

import hashlib
import re
from itertools import chain
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from builder.assets import tree
from builder.formats import catalog as catalog_format
from builder.lab import binaries, shapes
from builder.lab.profiles import DATA, read_data
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.model.platform import Platform
from builder.model.recipe import recipes
from builder.model.reference import Reference
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.lab.openpgp import VendorKey
    from builder.lab.upstream import Upstream
    from builder.model.catalog import Catalog
    from builder.model.catalog.calico import CalicoRelease
    from builder.model.catalog.kubernetes import KubernetesSeries
    from builder.model.catalog.repositories import CatalogRepository
    from builder.model.recipe import Recipe

SCALE = 0.125
"""Of the real sizes: enough for many blobs of many MB, little enough for a demo."""
_STOCKED = Platform.parse("linux/amd64")
_DIGEST = re.compile(r"^[0-9a-f]{64}-")
_SIGNATURES = ("repodata/repomd.xml.asc", "repodata/repomd.xml.key")


def fill(upstream: Upstream, catalogs: Sequence[Path] = (), *, scale: float = SCALE) -> None:
    """Serve what the catalog (``mirrors/`` and further folders) names; write ``upstream.catalog``.

    Raise DocumentError for a catalog that is wrong, NotInCatalogError where it lacks what the
    lab is to play.
    """
    folders = [tree("mirrors"), *catalogs]
    catalog = catalog_format.load(folders)
    choice = read_data("world.yaml")
    keys = {name: upstream.key(**how) for name, how in choice["keys"].items()}
    for name, key in keys.items():
        for url in catalog.key(name).sources:
            upstream.add_file(url, key.public)
    for entry in catalog.registries.values():
        if entry.pulls is not None:
            upstream.add_image(entry.pulls, size=1 << 10)
    digests: dict[str, str] = {}
    for name, how in choice["repositories"].items():
        digests |= _repository(upstream, catalog.repository(name), how, keys, scale)
    keepers = (keeper.images.values() for keeper in catalog.endpoints.keepers.values())
    releases = (catalog.kubernetes(Version.parse(one)).images for one in choice["kubernetes"])
    started = (reference for images in releases for _, reference in images)
    named = map(Reference.parse, choice["images"])
    for reference in dict.fromkeys(chain(started, chain.from_iterable(keepers), named)):
        _image(upstream, catalog, reference, scale)
    programs = binaries.serve(upstream, _recipes(catalog, choice["kubernetes"]), scale)
    for version in choice["calico"]:
        _calico(upstream, catalog, catalog.calico(version), choice["manifests"], scale)
    _write_overlay(upstream.catalog, folders, catalog, keys, digests)
    _write_programs(upstream.catalog, folders, catalog, programs)


def _repository(
    upstream: Upstream,
    repository: CatalogRepository,
    how: Mapping[str, Any],
    keys: Mapping[str, VendorKey],
    scale: float,
) -> dict[str, str]:
    """Serve a repository at every URL that is not gone; return SHA-256 by ``NVR.ARCH``."""
    packages, groups = shapes.packages(how["stock"], scale)
    recipe = RepositoryRecipe(
        packages=packages,
        groups=groups,
        pool=how.get("pool"),
        signed=repository.metadata != "unsigned",
    )
    owner = (*repository.metadata_keys, *repository.keys)[0]
    files = build_repository(
        upstream.build_cache, recipe, key=keys[repository.keys[0]], metadata_key=keys[owner]
    )
    for base in repository.urls(_STOCKED):
        host = urlsplit(base).hostname
        upstream.site(host or "")  # a host whose files are gone still answers
        if host in how.get("gone", ()):
            continue
        for href, path in files.items():
            if href not in _SIGNATURES or host not in how.get("unsigned", ()):
                upstream.add_file(urljoin(base, href), path)
    rpms = (path for path in files.values() if path.suffix == ".rpm")
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in rpms}


def stock(upstream: Upstream) -> str:
    """List what an upstream has, for people: packages by repository, and images."""
    names: dict[str, set[str]] = {}
    for host, site in upstream.sites.items():
        for path in site.paths:
            if path.endswith(".rpm"):
                name = _DIGEST.sub("", path.rpartition("/")[2]).removesuffix(".rpm")
                names.setdefault(name, set()).add(host)
    images = {
        f"{repository}:{tag}"
        for repository, content in upstream.image_store.repositories.items()
        for tag in content.tags
    }
    packages = [f"{name}  {', '.join(sorted(hosts))}" for name, hosts in sorted(names.items())]
    return "\n".join(["# packages, and where", *packages, "", "# images", *sorted(images), ""])


def _recipes(catalog: Catalog, versions: Sequence[str]) -> Iterator[Recipe]:
    for version in versions:
        release = catalog.kubernetes(Version.parse(version))
        for name in {builds.family for builds in catalog.builds.values()}:
            system = next(known for known in catalog.systems.values() if known.family == name)
            yield from recipes(catalog, release, system, _STOCKED)


def _image(upstream: Upstream, catalog: Catalog, reference: Reference, scale: float) -> None:
    """Serve an image under its own name and everywhere else where it may be fetched."""
    shape = shapes.image(reference.path, reference.tag or "", scale)
    made = upstream.add_image(reference, **shape)
    for source in catalog.image_sources(reference):
        upstream.tag(source, made)


def _calico(
    upstream: Upstream,
    catalog: Catalog,
    release: CalicoRelease,
    recipes: Mapping[str, Sequence[str]],
    scale: float,
) -> None:
    """Serve Calico's manifests and the images that they and the operator start."""
    images = release.started_by(release.of.images, release.of.optional)
    for reference in (release.operator, *images):
        _image(upstream, catalog, reference, scale)
    words = {
        "operator": release.operator,
        "registry": images[0].repository.rpartition("/")[0],
        "version": f"v{release.version}",
    }
    for install, manifests in release.of.install.items():
        for nodes in {manifest.least_nodes or 1 for manifest in manifests}:
            for name, urls in release.manifests(install, nodes):
                if name not in recipes:
                    continue
                parts = ((DATA / "manifests" / part).read_text("utf-8") for part in recipes[name])
                text = Template("".join(parts)).substitute(words)
                for url in urls:
                    upstream.add_file(url, text)


def _write_overlay(
    folder: Path,
    folders: Sequence[Path],
    catalog: Catalog,
    keys: Mapping[str, VendorKey],
    digests: Mapping[str, str],
) -> None:
    texts = {}
    for name, key in keys.items():
        sources = "".join(f"  - {url}\n" for url in catalog.key(name).sources)
        texts[f"keys/{name}.yaml"] = f"fingerprint: {key.fingerprint}\nsources:\n{sources}"
    for name, series in catalog.kubernetes_series.items():
        if series.digests:
            file = f"kubernetes/{name}.yaml"
            original = next(path / file for path in reversed(folders) if (path / file).exists())
            texts[file] = _with_digests(original.read_text("utf-8"), series, digests)
    for file, text in texts.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _write_programs(
    folder: Path, folders: Sequence[Path], catalog: Catalog, digests: Mapping[str, str]
) -> None:
    """Write the files about programs with the digests of the lab's in place of the real ones."""
    for name in catalog.binaries:
        file = f"binaries/{name}.yaml"
        original = next(path / file for path in reversed(folders) if (path / file).exists())
        text = original.read_text("utf-8")
        for real, ours in digests.items():
            text = text.replace(real, ours)
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _with_digests(text: str, series: KubernetesSeries, digests: Mapping[str, str]) -> str:
    """Put the digests of the lab's packages where those of the real ones stand."""
    for name, digest in series.digests.items():
        if name in digests:
            text = text.replace(digest.hex, digests[name])
    return text
