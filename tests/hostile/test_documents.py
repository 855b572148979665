"""Mutated documents of every kind: a value, or one of our errors; nothing else, and soon.

``make hostile`` runs the long campaign, ``make test`` a sample. A room that reads a document of
its own adds a line to ``TARGETS``.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from mutate import mutants

from builder.assets import tree
from builder.errors import AirseedError
from builder.formats import lock as lock_format
from builder.formats import spec
from builder.formats.text import decode, json_value, yaml_documents
from builder.model.artifact import Blob, File, Image, ImageManifest, Package, Repository
from builder.model.digest import Digest
from builder.model.lock import Lock, Subject
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.oci import manifest as oci

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mutate import Kind

AMD64 = Platform("linux", "amd64")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SECONDS = 10
CAMPAIGN = int(os.environ.get("AIRSEED_HOSTILE", "10000"))
"""Mutants of the whole campaign, all kinds together."""


def digest(number: int) -> Digest:
    return Digest(f"{number:064x}")


def lock() -> str:
    place = {"digest": digest(5), "size": 5, "sources": ("https://h.example.com/x",)}
    manifest = ImageManifest(platform=AMD64, digest=digest(1), config=digest(2), layers=())
    return lock_format.write(
        Lock(
            subject=Subject(
                cluster="lab",
                kubernetes="1.18.5",
                os="centos 7.6",
                base="core",
                runtime="docker 19.03.9",
                cni="calico 3.18.6",
                platforms=(AMD64,),
            ),
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


def choose(content: bytes) -> None:
    found = oci.parse(content)
    if isinstance(found, oci.Index):
        oci.choose(found, AMD64)


@dataclass(frozen=True, kw_only=True)
class Target:
    kind: Kind
    document: Callable[[], str]
    read: Callable[[bytes], Any]


TARGETS = {
    "single": Target(
        kind="yaml",
        document=lambda: (tree("mirrors") / "examples/single.yaml").read_text(encoding="utf-8"),
        read=lambda content: spec.read(decode(content, "cluster.yaml"), "cluster.yaml"),
    ),
    "ha": Target(
        kind="yaml",
        document=lambda: (tree("mirrors") / "examples/ha.yaml").read_text(encoding="utf-8"),
        read=lambda content: spec.read(decode(content, "cluster.yaml"), "cluster.yaml"),
    ),
    "lock": Target(
        kind="json",
        document=lock,
        read=lambda content: lock_format.parse(decode(content, "lock"), "lock"),
    ),
    "manifest": Target(kind="json", document=manifest, read=choose),
    "index": Target(kind="json", document=index, read=choose),
}
SYNTAX: dict[str, Callable[[bytes], object]] = {
    "yaml": lambda content: yaml_documents(decode(content, "x"), "x"),
    "json": lambda content: json_value(decode(content, "x"), "x"),
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


def survives(read: Callable[[bytes], Any], content: bytes) -> bool:
    try:
        read(content)
    except AirseedError:
        return False
    return True


def hold(name: str, *, seed: int, count: int) -> None:
    target = TARGETS[name]
    document = target.document()
    assert survives(target.read, document.encode())
    past = 0
    for number, mutant in enumerate(mutants(document, target.kind, seed=seed, count=count)):
        try:
            with no_longer_than(SECONDS):
                past += survives(SYNTAX[target.kind], mutant)
                survives(target.read, mutant)
        except BaseException as error:
            error.add_note(f"{name}: mutant {number} of seed {seed}: {mutant[:2000]!r}")
            raise
    assert past >= 0.3 * count


@pytest.mark.parametrize("name", [*TARGETS])
def test_a_sample(name: str) -> None:
    hold(name, seed=1, count=200)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [*TARGETS])
def test_the_campaign(name: str) -> None:
    hold(name, seed=2, count=-(-CAMPAIGN // len(TARGETS)))
