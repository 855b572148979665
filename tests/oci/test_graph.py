"""What a lock says of its images is what the bytes of their indexes and manifests say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.model.artifact import Blob, Image, ImageManifest
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.model.signer import ImageSignature
from builder.oci.graph import ImageGraphs

if TYPE_CHECKING:
    from collections.abc import Callable

Fixture = Any
TWO = "docker.io/calico/node:v3.18.6"
ONE = "k8s.gcr.io/pause:3.2"
AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def images(made: Fixture) -> list[Image]:
    return [
        made.image(TWO, "linux/amd64", "linux/arm64"),
        made.image(ONE, "linux/amd64", "linux/arm64", docker=True),
    ]


def described(made: Fixture) -> dict[Digest, Blob]:
    """Return blobs with the media type and size that some document says of them."""
    blobs = {}
    for content in made.blobs.values():
        try:
            document = json.loads(content)
        except ValueError:
            continue
        own = Digest.of(content)
        if "mediaType" in document:
            media_type = document["mediaType"]
            blobs[own] = Blob(digest=own, size=len(content), media_type=media_type, sources=())
        parts = [
            document.get("config"),
            *document.get("layers", []),
            *document.get("manifests", []),
        ]
        for part in filter(None, parts):
            digest = Digest.parse(part["digest"])
            blobs[digest] = Blob(
                digest=digest, size=part["size"], media_type=part["mediaType"], sources=()
            )
    return blobs


def faults(
    made: Fixture, images: list[Image], blobs: dict[Digest, Blob] | None = None
) -> list[str]:
    graphs = ImageGraphs(images, (blobs or described(made)).values())
    found = []
    for digest, content in made.blobs.items():
        if digest in graphs:
            found += graphs.check(digest, content)
    return [str(fault) for fault in (*found, *graphs.unproven())]


def lone(made: Fixture, image: Image, number: int = 0) -> Image:
    """Return an image without its index."""
    part = image.manifests[number]
    content = made.blobs[part.digest]
    media_type = described(made)[part.digest].media_type
    return replace(
        image, digest=part.digest, size=len(content), media_type=media_type, manifests=(part,)
    )


def test_what_agrees_is_right(made: Fixture, images: list[Image]) -> None:
    assert faults(made, images) == []
    assert faults(made, [lone(made, images[0]), lone(made, images[1], 1)]) == []
    fewer = replace(images[0], manifests=images[0].manifests[:1])
    assert faults(made, [fewer, images[1]]) == []


def swap(images: list[Image], **fields: Callable[[Any, Any], object]) -> list[Image]:
    """Give the first image's first manifest something of the second image's."""
    mine, theirs = images[0].manifests[0], images[1].manifests[0]
    changed = replace(mine, **{name: take(mine, theirs) for name, take in fields.items()})
    return [replace(images[0], manifests=(changed, *images[0].manifests[1:])), images[1]]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"config": lambda _, theirs: theirs.config}, ["the lock has the configuration"]),
        ({"layers": lambda _, theirs: theirs.layers}, ["the lock has the layers"]),
        ({"layers": lambda mine, _: mine.layers[::-1]}, ["the lock has the layers"]),
        (
            {"layers": lambda mine, _: mine.layers[:1]},
            ["names 2 layers", "the lock has the layers"],
        ),
        ({"digest": lambda _, theirs: theirs.digest}, ["its index", "configuration", "layers"]),
        ({"platform": lambda *_: Platform("linux", "s390x")}, ["for linux/s390x"]),
        (
            {"platform": lambda *_: ARM},
            ["for linux/arm64 (expected linux/amd64, as its index says)"],
        ),
        (
            {"config": lambda _, theirs: theirs.config, "layers": lambda _, theirs: theirs.layers},
            ["the lock has the configuration", "the lock has the layers"],
        ),
    ],
)
def test_no_part_of_another_image_stands_in(
    made: Fixture, images: list[Image], fields: dict[str, Any], what: list[str]
) -> None:
    """docker would load the other image under this one's name, and under its signature."""
    found = faults(made, swap(images, **fields))
    assert all(fault.startswith(TWO) for fault in found)
    for words in what:
        assert [fault for fault in found if words in fault], found


def test_an_image_without_an_index_is_its_only_manifest(made: Fixture, images: list[Image]) -> None:
    image = lone(made, images[0])
    other = images[0].manifests[1]
    for parts in ((other,), (*image.manifests, other)):
        found = faults(made, [replace(image, manifests=parts), images[1]])
        assert "alone, since the image has no index" in found[0]
    wrong = replace(image, manifests=(replace(image.manifests[0], platform=ARM),))
    [fault] = faults(made, [wrong, images[1]])
    assert fault.endswith("for linux/arm64 (expected linux/amd64, as its configuration says)")


@pytest.mark.parametrize("field", ["size", "media_type"])
@pytest.mark.parametrize("which", ["digest", "manifest", "config", "layer"])
def test_sizes_and_media_types_are_those_that_documents_say(
    made: Fixture, images: list[Image], field: str, which: str
) -> None:
    part = images[0].manifests[0]
    digest = {
        "digest": images[0].digest,
        "manifest": part.digest,
        "config": part.config,
        "layer": part.layers[1],
    }[which]
    blobs = described(made)
    wrong: Any = 7 if field == "size" else "application/vnd.oci.image.layer.v1.tar+zstd"
    if which in {"digest", "manifest"} and field == "media_type":
        wrong = "application/vnd.docker.distribution.manifest.v2+json"
    blobs[digest] = replace(blobs[digest], **{field: wrong})
    if which == "digest":
        images[0] = replace(images[0], **{field: wrong})
    found = faults(made, images, blobs)
    assert found, "nothing was found"
    assert all(str(digest) in fault and fault.startswith(TWO) for fault in found)


def test_a_configuration_speaks_of_the_manifests_layers(made: Fixture, images: list[Image]) -> None:
    part = images[0].manifests[0]
    for ids, words in ((["sha256:0"], "names 1 layers"), ("x", "names 0 layers")):
        graphs = ImageGraphs(images, described(made).values())
        [fault] = graphs.check(part.config, json.dumps({"rootfs": {"diff_ids": ids}}).encode())
        assert words in fault.what
        assert fault.expected == f"2, as its manifest {part.digest} does"
    twice = replace(part, layers=(part.layers[0],) * 2)
    graphs = ImageGraphs([replace(images[0], manifests=(twice,))], ())
    content = json.dumps({"rootfs": {"diff_ids": ["sha256:0", "sha256:1"]}}).encode()
    [fault] = graphs.check(part.config, content)
    assert fault.what.endswith("gives one layer two contents")


def test_a_signature_has_the_parts_that_its_manifest_names(
    made: Fixture, images: list[Image]
) -> None:
    part = images[1].manifests[0]
    size = len(made.blobs[part.digest])
    right = ImageSignature(digest=part.digest, size=size, blobs=(part.config, *part.layers))
    assert faults(made, [replace(images[0], signatures=(right,)), images[1]]) == []
    wrong = replace(right, blobs=right.blobs[:-1])
    [fault] = faults(made, [replace(images[0], signatures=(wrong,)), images[1]])
    assert fault.startswith(f"{TWO}: its signature {part.digest} has other parts in the lock")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"{}", b'{"schemaVersion":2,"layers":[]}']
)
def test_strange_documents_are_faults(made: Fixture, images: list[Image], content: bytes) -> None:
    graphs = ImageGraphs(images, ())
    part = images[0].manifests[0]
    for digest in (images[0].digest, part.digest, part.config):
        assert graphs.check(digest, content)
        assert graphs.check(digest, content.ljust((4 << 20) + 1))


def test_each_document_is_read_once_however_many_images_there_are(made: Fixture) -> None:
    many = [made.image(f"quay.io/some/app{n}:1", "linux/amd64", "linux/arm64") for n in range(60)]
    blobs, read = described(made), Counter[Digest]()
    graphs = ImageGraphs(many, blobs.values())
    for digest, content in made.blobs.items():
        if digest in graphs:
            read[digest] += 1
            assert graphs.check(digest, content) == []
    assert set(read.values()) == {1}
    assert list(graphs.unproven()) == []


Change = Any
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EVIL = str(Digest.of(b"evil"))


def forged(
    index: Change = None, manifest: Change = None, config: Change = None, nodes: Any = (AMD,)
) -> list[str]:
    """Check an image of which each document can be changed, and a lock that fits it."""
    made: dict[Digest, bytes] = {}
    blobs: dict[Digest, Blob] = {}

    def put(kind: str, document: dict[str, Any], change: Change) -> dict[str, Any]:
        if change is not None:
            change(document)
        content = json.dumps(document).encode()
        own = Digest.of(content)
        made[own] = content
        blobs[own] = Blob(digest=own, size=len(content), media_type=kind, sources=())
        return {"mediaType": kind, "digest": str(own), "size": len(content)}

    layer = Digest.of(b"layer")
    blobs[layer] = Blob(digest=layer, size=9, media_type=LAYER, sources=())
    image = "application/vnd.oci.image"
    amd64 = {"os": "linux", "architecture": "amd64"}
    ids = {"type": "layers", "diff_ids": [str(layer)]}
    own = put(f"{image}.config.v1+json", {**amd64, "rootfs": ids}, config)
    layers = [{"mediaType": LAYER, "digest": str(layer), "size": 9}]
    parts = {"schemaVersion": 2, "config": own, "layers": layers}
    one = put(f"{image}.manifest.v1+json", parts, manifest)
    entries = {"schemaVersion": 2, "manifests": [{**one, "platform": amd64}]}
    top = put(f"{image}.index.v1+json", entries, index)
    part = ImageManifest(
        platform=AMD,
        digest=Digest.parse(one["digest"]),
        config=Digest.parse(own["digest"]),
        layers=(layer,),
    )
    locked = Image(
        reference=Reference.parse(ONE),
        digest=Digest.parse(top["digest"]),
        size=top["size"],
        media_type=top["mediaType"],
        sources=(ONE,),
        manifests=(part,),
        roles=("worker",),
        needed_by=("kubelet",),
    )
    graphs = ImageGraphs([locked], blobs.values(), nodes)
    found = [fault for digest, content in made.items() for fault in graphs.check(digest, content)]
    return [str(fault) for fault in (*found, *graphs.unproven())]


def entry(**more: Any) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": EVIL,
        "size": 9,
        "platform": {"os": "linux", "architecture": "amd64"},
        **more,
    }


@pytest.mark.parametrize(
    ("where", "change", "what"),
    [
        ("manifest", lambda it: it.update(Layers=[]), "has the key 'Layers', which runtimes take"),
        ("manifest", lambda it: it.update({"layer\u017f": []}), "which runtimes take for layers"),
        ("manifest", lambda it: it.update(CONFIG={}), "has the key 'CONFIG', which runtimes take"),
        ("manifest", lambda it: it["layers"][0].update(Digest=EVIL), "layers[0]: has the key"),
        ("manifest", lambda it: it["config"].update(SIZE=1), "config: has the key 'SIZE'"),
        ("index", lambda it: it.update(Manifests=[entry()]), "has the key 'Manifests'"),
        ("index", lambda it: it["manifests"][0].update(DIGEST=EVIL), "does not name the manifest"),
        (
            "index",
            lambda it: it["manifests"][0].update(Platform={"architecture": "arm64"}),
            "does not name the manifest",
        ),
        (
            "index",
            lambda it: it["manifests"][0]["platform"].update(Architecture="arm64"),
            "for linux/amd64 (expected unknown/unknown, as its index says)",
        ),
        ("config", lambda it: it.update(RootFS={}), "has the key 'RootFS', which is misread"),
        ("config", lambda it: it.update(OS="windows"), "has the key 'OS', which is misread"),
        ("config", lambda it: it["rootfs"].update(Diff_IDs=[]), "has the key 'Diff_IDs'"),
    ],
)
def test_no_document_says_one_thing_here_and_another_to_runtimes(
    where: str, change: Change, what: str
) -> None:
    """Go's reader of JSON takes ``Layers`` for ``layers``, and the last one counts."""
    found = forged(**{where: change})
    assert found
    assert what in found[0]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda it: it["manifests"].insert(0, entry()), "first for linux/amd64"),
        (
            lambda it: it["manifests"][0].update(annotations={"vnd.docker.reference.type": "x"}),
            "is not available for linux/amd64",
        ),
        *(
            (lambda it, first=first: it["manifests"].insert(0, entry(**first)), "containerd takes")
            for first in (
                {"annotations": {"vnd.docker.reference.type": "x"}},
                {"platform": {"os": "linux", "architecture": "x86_64"}},
                {"platform": {"os": "Linux", "architecture": "AMD64", "variant": "v1"}},
                {"platform": {"os": "", "architecture": "amd64"}},
                {"platform": {"architecture": "x86-64"}},
                {"mediaType": "application/vnd.oci.image.index.v1+json"},
                {"mediaType": "application/vnd.oci.artifact.manifest.v1+json"},
                {"size": -1},
            )
        ),
        *(
            (lambda it, first=first: it["manifests"].insert(0, entry(**first)), "")
            for first in (
                {"platform": None},
                {"platform": {"os": "linux"}},
                {"platform": {"os": "linux", "architecture": "amd64", "variant": "v3"}},
                {"platform": {"os": "macos", "architecture": "amd64"}},
                {"platform": {"os": "linux", "architecture": ["amd64"]}},
                {"digest": 7},
                {"digest": f"sha512:{'0' * 128}"},
            )
        ),
        (lambda it: it["manifests"].insert(0, "amd64"), ""),
        (lambda it: it["manifests"].append(entry()), ""),
        (
            lambda it: it["manifests"].insert(
                0, entry(platform={"os": "linux", "architecture": "arm"})
            ),
            "",
        ),
    ],
)
def test_containerd_takes_the_manifest_that_docker_gets(change: Change, what: str) -> None:
    """docker has what the lock says first; containerd what the index has first."""
    found = forged(index=change)
    assert bool(found) == bool(what), found
    assert all(what in fault for fault in found)
    # of other platforms nobody loads anything, and indexes may have two of one
    assert forged(index=change, nodes=[ARM]) == []


@pytest.mark.parametrize(
    ("change", "platform"),
    [
        (lambda it: it.update(architecture="arm64"), "linux/arm64"),
        (lambda it: it.update(os="windows"), "windows/amd64"),
        (lambda it: it.update(os="windows", architecture=["x"]), "windows/['x']"),
        (lambda it: it.update(os="", architecture=None), ""),
        (lambda it: it.pop("architecture"), ""),
    ],
)
def test_what_nodes_load_is_for_them(change: Change, platform: str) -> None:
    """Of what only a registry gets, many configurations are wrong upstream."""
    found = forged(config=change)
    assert [f"(expected {platform}, as its configuration says)" in fault for fault in found] == (
        [True] if platform else []
    )
    assert forged(config=change, nodes=[ARM]) == []
