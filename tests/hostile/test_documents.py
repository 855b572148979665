"""Mutated documents of every kind: a value, or one of our errors; nothing else, and soon.

Each is taken as far as its verb would take it without a network: a lock to a bundle that is begun,
a primary to a closure with repodata of its own. Nothing may be written outside the folder that is
given for it. ``make hostile`` runs the long campaign, ``make test`` a sample. A room that reads a
document of its own adds a line to ``TARGETS``.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml
from confine import OutsideError, confined
from mutate import mutants
from primary import P, write_filelists, write_primary
from subjects import AMD64, SUBJECT

from builder.assets import tree
from builder.backoff import Backoff
from builder.bundle.policy import Policy
from builder.bundle.source import Supply
from builder.bundle.writer import write
from builder.errors import AirseedError, UnavailableError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.formats import lock as lock_format
from builder.formats import manifests as manifest_format
from builder.formats.manifest_edits import applied, edits
from builder.formats.text import decode, json_value, yaml_documents
from builder.model.artifact import Blob, File, Image, ImageManifest, Package, Repository
from builder.model.demand import demand
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.model.lock import Lock
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.oci import manifest as oci
from builder.pipeline import inspect
from builder.pipeline.lock_document import LockDocument
from builder.render import admit, inventory
from builder.render import seed as seeds
from builder.report import Silent
from builder.rpm import base as rpm_base
from builder.rpm.closure import PackageRequest, solve
from builder.rpm.installed import parse_comps
from builder.rpm.repodata import MetadataFiles, parse_repomd, resolve_href
from builder.rpm.subset import Rpm, write_subset
from builder.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mutate import Kind

    from builder.model.catalog import Catalog

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SECONDS = 10
CAMPAIGN = int(os.environ.get("AIRSEED_HOSTILE", "10000"))
"""Mutants of the whole campaign, all kinds together."""


def digest(number: int) -> Digest:
    return Digest(f"{number:064x}")


def lock() -> str:
    place: dict[str, Any] = {
        "digest": digest(5),
        "size": 5,
        "sources": ("https://h.example.com/x",),
    }
    manifest = ImageManifest(platform=AMD64, digest=digest(1), config=digest(2), layers=())
    return lock_format.write(
        Lock(
            subject=SUBJECT,
            images=(
                Image(
                    reference=Reference.parse("k8s.gcr.io/pause:3.2"),
                    digest=digest(1),
                    size=1,
                    media_type=MANIFEST,
                    sources=("registry.k8s.io/pause:3.2",),
                    manifests=(manifest,),
                    roles=("control-plane", "worker"),
                    needed_by=("kubelet",),
                ),
            ),
            blobs=(
                Blob(digest=digest(1), size=1, media_type=MANIFEST, sources=("k8s.gcr.io/pause",)),
                Blob(digest=digest(2), size=2, media_type=LAYER, sources=("k8s.gcr.io/pause",)),
            ),
            repositories=(Repository(name="base", keys=("AB" * 20,), signed=False, **place),),
            packages=(
                Package(
                    nevra=Nevra("kubeadm", 0, "1.18.5", "0", "x86_64"),
                    repository="base",
                    keys=("AB" * 20,),
                    requested=True,
                    needed_by=("kubeadm",),
                    **place,
                ),
            ),
            files=(
                File(kind="file", path="files/motd", **place),
                File(kind="key", path="keys/site", fingerprint="AB" * 20, **place),
            ),
        )
    ).decode()


def manifest() -> str:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 7}
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {**config, "digest": str(digest(1))},
        "layers": [{"mediaType": LAYER, "size": n, "digest": str(digest(n))} for n in (2, 3)],
        "annotations": {"org.opencontainers.image.ref.name": "x"},
    })  # fmt: skip


def index() -> str:
    platforms = [{"os": "linux", "architecture": a} for a in ("amd64", "arm64")]
    entries = [
        {"mediaType": MANIFEST, "size": 7, "digest": str(digest(n)), "platform": platform}
        for n, platform in enumerate(platforms)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


PACKAGES = (
    P(
        nevra="kubeadm-1.18.5-0.x86_64",
        requires=("kubelet >= 1.13.0", "/bin/sh"),
        files=("/usr/bin/kubeadm",),
        href="../../pool/0123-kubeadm-1.18.5-0.x86_64.rpm",
    ),
    P(nevra="kubelet-1.18.5-0.x86_64", requires=("kubernetes-cni",), conflicts=("docker < 1",)),
    P(nevra="kubernetes-cni-0.8.6-0.x86_64", requires=("kubelet",), provides=("cni = 1",)),
    P(nevra="bash-4.2.46-31.el7.x86_64", files=("/bin/sh",), obsoletes=("sh < 2",)),
)
CHECKSUM = f'<checksum type="sha256">{"ab" * 32}</checksum>'
OPEN_CHECKSUM = CHECKSUM.replace("checksum", "open-checksum")
REPOMD = (
    '<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo">'
    "<revision>1593561600</revision>"
    + "".join(
        f'<data type="{kind}">{CHECKSUM}{OPEN_CHECKSUM}'
        f'<location href="repodata/{kind}.xml.gz"/><timestamp>1</timestamp><size>100</size>'
        "<open-size>1000</open-size></data>"
        for kind in ("primary", "filelists", "other", "group")
    )
    + "</repomd>"
)
COMPS = (
    "<comps><group><id>core</id><name>Core</name><packagelist>"
    '<packagereq type="mandatory">bash</packagereq><packagereq type="default">tar</packagereq>'
    "</packagelist></group></comps>"
)
CATALOG = "calico/3.30.yaml"
MANIFEST_YAML = """\
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: a, namespace: b}
  spec:
    template:
      spec:
        initContainers: [{name: i, image: k8s.gcr.io/pause:3.2}]
        containers: [{name: c, image: 'quay.io/tigera/operator:v1.15.7'}]
        volumes: [{name: v, image: {reference: example.org/data:1}}]
- apiVersion: operator.tigera.io/v1
  kind: Installation
  metadata: {name: default}
"""


# How far each is taken. ``folder`` is the only place that may be written to.


@cache
def real_catalog() -> Catalog:
    return catalog_format.load()


def read_cluster(content: bytes, folder: Path) -> None:
    del folder
    catalog = real_catalog()
    text = decode(content, "cluster.yaml")
    read = cluster_format.read(text, "cluster.yaml", catalog=catalog, exists=lambda _: True)
    wanted = demand(read.cluster, read.choice, catalog)
    for file in (*wanted.manifests, *wanted.files):
        place = PurePosixPath(file.path)
        assert ".." not in place.parts
        assert not place.is_absolute()
    render(read)


class LocalFiles(dict[str, bytes]):
    """Have every local file that a mutant names."""

    def __missing__(self, path: str) -> bytes:
        return b'{"auths": {"registry.example.com:5000": {"auth": "bWU6cGFzcw=="}}}'


def render(read: cluster_format.ChosenCluster) -> None:
    """Go on to the seeds of a few nodes; what cloud-init reads says what cluster.yaml said."""
    plan = plans.of(read, files=LocalFiles())
    for node in read.cluster.nodes[:3]:
        data = seeds.seed(plan, node)["user-data"]
        packed = data.startswith(b"\x1f\x8b")
        found = yaml.load(gzip.decompress(data) if packed else data, Loader=yaml.CSafeLoader)
        assert found["hostname"] == node.name
        admit.script(plan, node)
    inventory.render(read.cluster)


def read_lock(content: bytes, folder: Path) -> None:
    """Go on to a bundle of which no source gives anything, and to what inspect shows."""
    document = LockDocument(path=Path("lock"), content=content)
    found = document.lock
    inspect.image_sizes(found)
    for image in found.images:
        inspect.why(found, image.name)
    inspect.totals(found)
    target = folder / "out/bundle.tar"
    target.parent.mkdir(exist_ok=True)
    layout = document.layout
    for extent in layout.extents:
        place = PurePosixPath(extent.path)
        assert not place.is_absolute()
        assert ".." not in place.parts
    policy = Policy(workers=1, backoff=Backoff(attempts=1), patience=1.0)
    try:
        with suppress(UnavailableError):  # of course
            write(layout, target, lambda _: Supply(sources=()), Silent(), policy=policy, sync=False)
    finally:
        shutil.rmtree(target.parent)


def read_manifest(content: bytes, folder: Path) -> None:
    del folder
    found = oci.parse(content)
    if isinstance(found, oci.OciIndex):
        oci.choose(found, AMD64)


def read_repomd(content: bytes, folder: Path) -> None:
    del folder
    for record in parse_repomd(content, where="repomd.xml").records:
        url = resolve_href("https://h.example.com/el7/", record.href)
        assert url.startswith("https://h.example.com/")


def read_primary(content: bytes, folder: Path) -> None:
    """Find a closure in it, and write repodata of what was chosen."""
    files = {name: folder / f"{name}.xml" for name in ("primary", "filelists")}
    files["primary"].write_bytes(content)
    files["filelists"].write_text(write_filelists(PACKAGES), "utf-8")
    go_on(files, folder)


def read_filelists(content: bytes, folder: Path) -> None:
    files = {name: folder / f"{name}.xml" for name in ("primary", "filelists")}
    files["primary"].write_text(write_primary(PACKAGES), "utf-8")
    files["filelists"].write_bytes(content)
    go_on(files, folder)


def go_on(files: dict[str, Path], folder: Path) -> None:
    metadata = MetadataFiles(name="el7", primary=files["primary"], filelists=files["filelists"])
    closure = solve(
        [PackageRequest(text="kubeadm", by="kubeadm")],
        arch="x86_64",
        metadata=[metadata],
        base=rpm_base.empty(),
    )
    place = folder / "repodata"
    place.mkdir(exist_ok=True)
    rpms = []
    for one in closure.packages:
        home = "https://h.example.com/el7/"
        for there in one.places:
            url = resolve_href(home, there.href, location_base=there.base)
            assert url.startswith("https://h.example.com/")
        assert "/" not in one.nevra.filename
        rpms.append(Rpm(nevra=one.nevra, digest=one.digest, size=one.size))
    upstream = MetadataFiles(name="el7", primary=files["primary"], filelists=files["filelists"])
    store = Store(folder / "kept")
    for made in write_subset(upstream, rpms, place):
        assert made.path.parent == place
        store.put(made.path.read_bytes())


def read_catalog(content: bytes, folder: Path) -> None:
    path = folder / "catalog" / CATALOG
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    catalog_format.load([folder / "catalog"])


def read_kubernetes(content: bytes, folder: Path) -> None:
    del folder
    images = manifest_format.read(decode(content, "m.yaml"), "m.yaml").images
    targets = ImageNames("r.lan/k8s").table(image.reference for image in images)
    made = applied(content, edits(content, "m.yaml", targets))
    edited = manifest_format.read(decode(made, "m"), "m").images
    assert [image.text for image in edited] == [targets[image.reference] for image in images]


def read_comps(content: bytes, folder: Path) -> None:
    del folder
    parse_comps(content, "core", where="comps.xml")


@dataclass(frozen=True, kw_only=True)
class Target:
    kind: Kind
    document: Callable[[], str]
    read: Callable[[bytes, Path], None]


def shipped(name: str) -> Callable[[], str]:
    return lambda: (tree("mirrors") / name).read_text(encoding="utf-8")


def everything() -> str:
    path = Path(__file__).parent.parent / "render" / "clusters" / "everything.yaml"
    return path.read_text(encoding="utf-8")


TARGETS = {
    "single": Target(kind="yaml", document=shipped("examples/single.yaml"), read=read_cluster),
    "ha": Target(kind="yaml", document=shipped("examples/ha.yaml"), read=read_cluster),
    "everything": Target(kind="yaml", document=everything, read=read_cluster),
    "lock": Target(kind="json", document=lock, read=read_lock),
    "manifest": Target(kind="json", document=manifest, read=read_manifest),
    "index": Target(kind="json", document=index, read=read_manifest),
    "repomd": Target(kind="xml", document=lambda: REPOMD, read=read_repomd),
    "primary": Target(kind="xml", document=lambda: write_primary(PACKAGES), read=read_primary),
    "filelists": Target(
        kind="xml", document=lambda: write_filelists(PACKAGES), read=read_filelists
    ),
    "comps": Target(kind="xml", document=lambda: COMPS, read=read_comps),
    "catalog": Target(kind="yaml", document=shipped(CATALOG), read=read_catalog),
    "kubernetes": Target(kind="yaml", document=lambda: MANIFEST_YAML, read=read_kubernetes),
}
SYNTAX: dict[str, Callable[[bytes], object]] = {
    "yaml": lambda content: yaml_documents(decode(content, "x"), "x"),
    "json": lambda content: json_value(decode(content, "x"), "x"),
    "xml": ET.fromstring,
}


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"still reading after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def passes(kind: Kind, content: bytes) -> bool:
    """Tell whether a document gets past the first syntax check."""
    try:
        SYNTAX[kind](content)
    except (AirseedError, ET.ParseError, LookupError, ValueError):
        return False
    return True


def hold(name: str, folder: Path, *, seed: int, count: int) -> None:
    target = TARGETS[name]
    document = target.document()
    past = good = 0
    began = time.monotonic()
    with confined(folder) as inside:
        assert passes(target.kind, document.encode())
        assert survives(target, document.encode(), inside)
        for number, mutant in enumerate(mutants(document, target.kind, seed=seed, count=count)):
            try:
                with no_longer_than(SECONDS):
                    past += passes(target.kind, mutant)
                    good += survives(target, mutant, inside)
            except BaseException as error:
                error.add_note(f"{name}: mutant {number} of seed {seed}: {mutant[:2000]!r}")
                raise
    seconds = time.monotonic() - began
    print(
        f"{name}: {count:,} mutants in {seconds:.1f} s, {past / count:.0%} past the first check, "
        f"{good / count:.0%} taken, the others refused by an error of ours, nothing outside"
    )
    assert past >= 0.3 * count
    assert good < count


def survives(target: Target, content: bytes, folder: Path) -> bool:
    """Tell whether a document is taken; only errors of ours may refuse it."""
    try:
        target.read(content, folder)
    except AirseedError:
        return False
    return True


@pytest.mark.parametrize("name", [*TARGETS])
def test_a_sample(name: str, tmp_path: Path) -> None:
    count = {"catalog": 30, "primary": 60, "filelists": 60, "lock": 80}.get(name, 150)
    hold(name, tmp_path, seed=1, count=count)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [*TARGETS])
def test_the_campaign(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, seed=2, count=-(-CAMPAIGN // len(TARGETS)))


@pytest.mark.parametrize("how", ["open", "move", "make"])
def test_whatever_is_written_outside_is_noticed(how: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    with pytest.raises((AssertionError, OutsideError)), confined(tmp_path) as inside:  # noqa: PT012 -- the end of the block is what may raise
        assert (inside / "fine").write_text("fine") == 4
        if how == "open":
            outside.write_text("x")
        elif how == "move":
            (inside / "fine").rename(outside)
        else:
            outside.mkdir()
    assert not outside.exists()
