"""The walkthrough's whole upstream on real servers, and a user's catalog that points there.

Names and versions are the catalog's; what the packages need is the lab's stock. What the servers
hold is made by skopeo, rpmbuild, rpmsign and createrepo_c.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from builder.assets import tree
from builder.formats import catalog as catalog_format
from builder.lab import shapes
from builder.lab.packages import PackageRecipe
from builder.lab.profiles import DATA, read_data
from builder.lab.repositories import comps
from builder.model.version import Version
from interop import rpmbuild
from interop.image_recipes import ImageRecipe, push
from interop.programs import environment, run
from interop.servers import Servers, serve
from interop.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.model.reference import Reference

SCALE = 0.25
"""Of the real sizes: some 170 MB of images and 60 MB of RPMs."""
KUBERNETES, CALICO = "1.18.5", "3.18.6"
SITE = "registry.example.com/team"
"""Where a user's own images are said to be."""
IMAGES = (
    ImageRecipe(
        name=f"{SITE}/tool:1", era="oci", platforms=("linux/amd64", "linux/arm64"), size=9 << 20
    ),
    ImageRecipe(name=f"{SITE}/lone:1", era="oci", index=False, size=5 << 20),
    ImageRecipe(name=f"{SITE}/old:1", era="docker", index=False, size=5 << 20),
    ImageRecipe(name=f"{SITE}/direct:1", era="docker", index=False, size=2 << 20),
    ImageRecipe(
        name=f"{SITE}/pinned:1", era="oci", platforms=("linux/amd64", "linux/arm64"), size=3 << 20
    ),
    ImageRecipe(
        name=f"{SITE}/web:1", era="oci", platforms=("linux/arm64", "linux/amd64"), size=3 << 20
    ),
)
"""Beside those of Kubernetes and Calico, which are docker's."""
_GOOD = PackageRecipe(nevra="site-tool-2.0-1.el7.x86_64", requires=("bash", "socat"), size=3 << 20)
BAD = ("site-unsigned", "site-stranger", "site-tampered", "site-tampered-old")
"""Packages that no node should ever get."""
_WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: 'registry.example.com/team/web:1'}
"""
_COMPRESSION = {
    "centos-7.6-os": (),  # gzip, and SQLite beside it, as CentOS has
    "centos-7.6-updates": ("--general-compress-type", "xz", "--no-database"),
    "centos-7.6-extras": ("--general-compress-type", "bz2"),
}
_OLD = "centos-7"
_DIGESTS = re.compile(r"^ +(\S+): ([0-9a-f]{64})$", re.MULTILINE)
_SOURCES = re.compile(r"^sources:\n(?: +- .*\n)+", re.MULTILINE)


@dataclass
class RealUpstream:
    """Hold servers and all that is needed to send airseed to them."""

    folder: Path
    servers: Servers
    signers: dict[str, Signer] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of packages by ``NVR.ARCH``."""
    images: float = SCALE
    """How large images are, of the real sizes."""
    packages: float = SCALE

    @property
    def www(self) -> Path:
        return self.folder / "www"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog"

    def rpms(self, repository: str) -> Path:
        """Return the folder with a repository's RPMs."""
        return self.www / repository / ("pool" if repository == "kubernetes-el7" else "x86_64")

    @property
    def pinned(self) -> str:
        """Return an image's reference by digest, which crane says."""
        name = f"{self.servers.registry}/{SITE}/pinned:1"
        env = environment(self.folder, DOCKER_CONFIG=str(self.servers.login))
        return f"{SITE}/pinned@{run('crane', 'digest', name, env=env).stdout.strip()}"

    def base(self, repository: str) -> str:
        """Return a repository's URL; half of them lie behind TLS."""
        server = self.servers.tls if repository.startswith("centos") else self.servers.plain
        inside = "repos/el7-$basearch" if repository == "kubernetes-el7" else "$basearch"
        return f"{server}/{repository}/{inside}/"


@contextmanager
def real_upstream(
    folder: Path, *, images: float = SCALE, packages: float = SCALE, guarded: bool = True
) -> Iterator[RealUpstream]:
    """Build the upstream and serve it; ``images`` and ``packages`` scale the real sizes."""
    (folder / "www").mkdir(parents=True)
    with serve(folder, folder / "www", guarded=guarded) as servers:
        made = RealUpstream(folder, servers, images=images, packages=packages)
        catalog = catalog_format.load([tree("mirrors")])
        _sign_and_serve_keys(made)
        for name, how in read_data("world.yaml")["repositories"].items():
            _repository(made, name, how["stock"], catalog.repository(name).keys[0])
        _site_repository(made)
        release = catalog.calico(CALICO)
        started = release.started_by(release.of.images)
        references = [ref for _, ref in catalog.kubernetes(Version.parse(KUBERNETES)).images]
        _images(made, [*references, release.operator, *started])
        _manifests(made, release, started)
        _write_catalog(made)
        yield made


def _sign_and_serve_keys(made: RealUpstream) -> None:
    words = read_data("world.yaml")["keys"] | {
        "site": {"user": "Site", "algorithm": "sha512"},
        "stranger": {"user": "Stranger"},
    }
    (made.www / "keys").mkdir()
    for name, how in words.items():
        more = {key: how[key] for key in ("version", "algorithm", "self_algorithm") if key in how}
        user = how["user"].partition("<")[0].strip()
        signer = Signer(home=made.folder / "gnupg" / name, user=user, **more)
        signer.create()
        (made.www / "keys" / f"{name}.asc").write_text(signer.public, "utf-8")
        made.signers[name] = signer


def _repository(made: RealUpstream, name: str, kind: str, key: str) -> None:
    """Build, sign and index one repository."""
    recipes, groups = shapes.packages(kind, made.packages)
    folder = made.rpms(name)
    built = rpmbuild.build(recipes, folder, old=key == _OLD)
    made.signers[key].sign(built)
    made.digests |= {path.stem: _sha256(path) for path in built}
    file = None
    if groups:
        file = made.folder / "comps.xml"
        file.write_text(comps(groups), "utf-8")
    if name != "kubernetes-el7":
        rpmbuild.index(folder, *_COMPRESSION.get(name, ()), groups=file)
        return
    # Google's lay in a pool beside the repository, and their names began with their digests
    for path in built:
        path.rename(path.with_name(f"{_sha256(path)}-{path.name}"))
    top = folder.parent / "repos" / "el7-x86_64"
    top.mkdir(parents=True)
    rpmbuild.index(folder, "--location-prefix", "../../pool/", "--outputdir", str(top))
    made.signers["google-automatic"].detach(top / "repodata" / "repomd.xml")


def _site_repository(made: RealUpstream) -> None:
    """Build a repository of the user's own, with one good package and several bad ones."""
    folder = made.rpms("site")
    bad = [PackageRecipe(nevra=f"{name}-1.0-1.el7.x86_64", size=1 << 16) for name in BAD]
    good, unsigned, strange, tampered = rpmbuild.build([_GOOD, *bad[:3]], folder, old=False)
    (ancient,) = rpmbuild.build(bad[3:], folder / "old", old=True)
    made.signers["site"].sign([good, tampered])
    made.signers["stranger"].sign([strange])
    made.signers[_OLD].sign([ancient])
    for path in (tampered, ancient):
        path.write_bytes(rpmbuild.with_other_payload(path.read_bytes()))
    del unsigned
    rpmbuild.index(folder)


def _images(made: RealUpstream, references: list[Reference]) -> None:
    """Push the images of the catalog and the user's own."""
    recipes = [*IMAGES]
    for reference in references:
        shape = shapes.image(reference.path, reference.tag or "", made.images)
        platforms = [one for one in shape["platforms"] if one.startswith("linux/")]
        recipes.append(
            ImageRecipe(
                name=str(reference),
                era=shape["era"],
                index=shape["index"],
                platforms=tuple(platforms),
                size=shape["size"],
                bases=tuple(shape["bases"]),
            )
        )
    home = made.folder / "skopeo"
    home.mkdir()
    env = environment(home, REGISTRY_AUTH_FILE=str(made.servers.login / "config.json"))

    def pushed(number: int) -> None:
        push(recipes[number], home / str(number), made.servers.registry, env)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(pushed, range(len(recipes))))
    shutil.rmtree(home)


def _manifests(made: RealUpstream, release: Any, images: tuple[Reference, ...]) -> None:
    """Serve Calico's manifests and one of the user's, and a file."""
    words = {
        "operator": release.operator,
        "registry": images[0].repository.rpartition("/")[0],
        "version": f"v{release.version}",
    }
    folder = made.www / "calico" / f"v{CALICO.rpartition('.')[0]}" / "manifests"
    folder.mkdir(parents=True)
    for name, parts in read_data("world.yaml")["manifests"].items():
        text = "".join((DATA / "manifests" / part).read_text("utf-8") for part in parts)
        (folder / name).write_text(Template(text).substitute(words), "utf-8")
    (made.www / "web.yaml").write_text(_WEB, "utf-8")
    (made.www / "banner.txt").write_text("airseed\n" * 1000, "utf-8")


def _write_catalog(made: RealUpstream) -> None:
    """Write what a user writes who has mirrors of his own: the catalog's files, other sources."""
    mirrors, servers = tree("mirrors"), made.servers
    for name, signer in made.signers.items():
        text = f"fingerprint: {signer.fingerprint}\nsources:\n  - {servers.plain}/keys/{name}.asc\n"
        _write(made, f"keys/{name}", text)
    for name in read_data("world.yaml")["repositories"]:
        text = (mirrors / f"repositories/{name}.yaml").read_text("utf-8")
        _write(made, f"repositories/{name}", _at(text, made.base(name)))
    own = f"keys: [site, {_OLD}]\nmetadata: unsigned\nsources:\n  - {made.base('site')}\n"
    _write(made, "repositories/site", own)
    text = (mirrors / "os/centos-7.6.yaml").read_text("utf-8")
    _write(made, "os/centos-7.6", text.replace("centos-7.6-extras]", "centos-7.6-extras, site]"))
    for path in (mirrors / "registries").glob("*.yaml"):
        text = path.read_text("utf-8")
        prefix = yaml.safe_load(text)["prefix"]
        _write(made, f"registries/{path.stem}", _at(text, f"{servers.registry}/{prefix}"))
    text = f"prefix: {SITE}\nsources:\n  - {servers.registry}/{SITE}\n"
    _write(made, "registries/site", text)
    name = f"calico/{CALICO.rpartition('.')[0]}"
    text = (mirrors / f"{name}.yaml").read_text("utf-8")
    _write(made, name, _at(text, f"{servers.plain}/calico/$series/manifests/"))
    name = f"kubernetes/{KUBERNETES.rpartition('.')[0]}"
    text = (mirrors / f"{name}.yaml").read_text("utf-8")
    # as text, not as YAML: digests may look like numbers
    for package, digest in _DIGESTS.findall(text):
        text = text.replace(digest, made.digests[package])
    _write(made, name, text)


def _at(text: str, source: str) -> str:
    """Return a file of the catalog with one source in the place of its own."""
    return _SOURCES.sub(lambda _: f"sources:\n  - {source}\n", text)


def _write(made: RealUpstream, name: str, text: str) -> None:
    path = made.catalog / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
