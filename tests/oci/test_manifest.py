from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from builder.errors import IncompleteError, VerificationError
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.oci.manifest import OciIndex, OciManifest, choose, parse, platform_of

Fixture = Any
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ZERO = f"sha256:{'0' * 64}"


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_and_its_manifest_are_read(made: Fixture, *, docker: bool) -> None:
    content = made.index("app", "linux/amd64", "linux/arm64/v8", docker=docker)
    index = parse(content, json.loads(content)["mediaType"] + "; charset=utf-8")
    assert isinstance(index, OciIndex)
    assert index.content is content
    assert index.digest == Digest.of(content)
    assert [str(entry.platform) for entry in index.manifests] == ["linux/amd64", "linux/arm64/v8"]
    entry = choose(index, Platform("linux", "arm64"))
    manifest = parse(made.blobs[entry.digest], entry.media_type)
    assert isinstance(manifest, OciManifest)
    assert len(manifest.layers) == 2
    assert platform_of(made.blobs[manifest.config.digest]) == Platform("linux", "arm64", "v8")


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "text/plain; charset=utf-8"]
)
def test_a_vague_type_is_made_up_for_by_the_document(
    made: Fixture, content_type: str | None
) -> None:
    assert parse(made.index("app", "linux/amd64"), content_type).media_type == INDEX
    bare = json.loads(made.index("app", "linux/amd64"))
    del bare["mediaType"]
    assert parse(json.dumps(bare).encode(), content_type).media_type == INDEX
    assert parse(json.dumps(bare).encode(), LIST).media_type == LIST


def _index(*platforms: object) -> OciIndex:
    entries = [
        {"mediaType": MANIFEST, "digest": f"sha256:{n:064x}", "size": n, "platform": platform}
        for n, platform in enumerate(platforms)
    ]
    found = parse(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), INDEX)
    assert isinstance(found, OciIndex)
    return found


def _platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64", "linux/amd64"], 1),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/amd64", "linux/arm64"], 1),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], 1),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v6"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64/v1"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64"], 1),
        ("linux/s390x", ["linux/amd64", "linux/s390x"], 1),
        ("linux/riscv64/odd", ["linux/riscv64", "linux/riscv64/odd"], 1),
    ],
)
def test_the_nearest_platform_is_chosen(wanted: str, offered: list[str], chosen: int) -> None:
    index = _index(*map(_platform, offered))
    assert choose(index, Platform.parse(wanted)) == index.manifests[chosen]


def test_a_missing_platform_says_what_there_is() -> None:
    index = _index(
        _platform("linux/arm64/v8"), _platform("windows/amd64"), _platform("unknown/unknown")
    )
    with pytest.raises(IncompleteError) as caught:
        choose(index, Platform("linux", "amd64"), where="docker.io/library/app:1")
    assert str(caught.value) == (
        "docker.io/library/app:1: the image is not available for linux/amd64"
        " (expected one of what it offers: linux/arm64/v8, windows/amd64)"
    )


def test_attestations_are_never_chosen() -> None:
    content = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": ZERO,
                "size": 1,
                "platform": _platform("linux/amd64"),
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            },
            {"mediaType": INDEX, "digest": ZERO, "size": 1, "platform": _platform("linux/amd64")},
        ],
    }
    index = parse(json.dumps(content).encode(), INDEX)
    assert isinstance(index, OciIndex)
    with pytest.raises(IncompleteError, match="offers: nothing"):
        choose(index, Platform("linux", "amd64"))


def _broken(text: str) -> str:
    with pytest.raises(VerificationError) as caught:
        parse(text.encode(), INDEX, where="x")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x: not JSON: Expecting value (line 1, column 1)"),
        ("[]", "x: the image cannot be used: the document is a list (expected an object)"),
        (
            '{"schemaVersion":2,"schemaVersion":2}',
            "x: the key 'schemaVersion' appears twice",
        ),
        ('{"a":1e999999,"b":NaN}', "x: not JSON: NaN"),
        ('{"a":' + "9" * 5000 + "}", "x: the number 99999999999999999999… is too large"),
        ('{"a":"\\uD800"}', "x: not JSON: half of a surrogate pair"),
        ("[" * 100_000, "x: nested more than 64 levels deep"),
        (
            '{"schemaVersion":1,"fsLayers":[]}',
            (
                "x: the image cannot be used: schemaVersion: this is a schema 1 manifest, which"
                " nothing loads any more (expected 2)"
            ),
        ),
        (
            '{"schemaVersion":2,"manifests":[],"layers":[]}',
            (
                "x: the image cannot be used: has the parts of an index and of a manifest"
                " (expected one of them)"
            ),
        ),
        (
            f'{{"schemaVersion":2,"mediaType":"{LIST}","manifests":[]}}',
            f"x: the image cannot be used: mediaType: is '{LIST}' (expected {INDEX})",
        ),
        (
            '{"schemaVersion":2,"manifests":{}}',
            "x: the image cannot be used: manifests: is an object (expected a list)",
        ),
        (
            '{"schemaVersion":true,"manifests":[{"mediaType":7},null]}',
            "x: the image cannot be used: schemaVersion: is true or false (expected 2)",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert _broken(text) == message


def test_other_bytes_than_text_are_refused() -> None:
    with pytest.raises(VerificationError) as caught:
        parse(b"\xff\xfe{}", None, where="x")
    assert str(caught.value) == "x: this is not UTF-8 text"
    with pytest.raises(VerificationError, match=r"has 4,194,305 bytes \(expected at most 4,194"):
        parse(b" " * ((4 << 20) + 1))


def test_a_login_page_is_recognised() -> None:
    with pytest.raises(VerificationError) as caught:
        parse(b"<html>Please log in</html>", "text/html")
    assert caught.value.hint == "this looks like a login or error page of a proxy or portal"


def test_an_artifact_is_called_one(made: Fixture) -> None:
    """OCI 1.1: its configuration is empty, and artifactType says what it is."""
    index = json.loads(made.index("app", "linux/amd64"))
    manifest = json.loads(made.blobs[Digest.parse(index["manifests"][0]["digest"])])
    assert parse(json.dumps(manifest | {"artifactType": "application/x.y"}).encode())
    manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json"
    with pytest.raises(VerificationError, match=r"is 'application/vnd\.oci\.empty") as caught:
        parse(json.dumps(manifest).encode())
    assert (
        caught.value.hint == "it is an artifact that is no image, such as a signature or a policy"
    )


def test_foreign_layers_are_refused(made: Fixture) -> None:
    document = json.loads(made.manifest("app", "windows/amd64"))
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    document["layers"][1]["urls"] = ["https://elsewhere.invalid/layer"]
    document["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    with pytest.raises(VerificationError) as caught:
        parse(json.dumps(document).encode(), MANIFEST)
    assert [str(fault) for fault in caught.value.faults] == [
        (
            "config.mediaType: is 'application/vnd.cncf.helm.config.v1+json'"
            " (expected part of a container image)"
        ),
        "layers[0]: is a foreign layer, which its registry does not hold",
        "layers[1]: is a foreign layer, which its registry does not hold",
    ]


@pytest.mark.parametrize("size", [-1, 1 << 63, True, 1.5, "7", None])
def test_sizes_are_checked(made: Fixture, size: object) -> None:
    document = json.loads(made.manifest("app", "linux/amd64"))
    document["config"]["size"] = size
    with pytest.raises(VerificationError, match=r"config\.size: is .* \(expected a number of"):
        parse(json.dumps(document).encode(), MANIFEST)


JUNK: list[object] = [None, True, 0, -1, 1.5, 10**18, "", "x", "\ud800", [], {}, [[]], ZERO, [None]]


def _mutate(source: random.Random, document: Any) -> Any:
    """Change, drop or repeat something somewhere inside."""
    node, key, parent = document, None, None
    while isinstance(node, dict | list) and node and (parent is None or source.random() < 0.8):
        parent = node
        key = source.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    if parent is None:
        return copy.deepcopy(source.choice(JUNK))
    if source.random() < 0.25:
        del parent[key]
    else:
        parent[key] = copy.deepcopy(source.choice(JUNK))
    return document


def test_mutations_end_in_one_kind_of_error(made: Fixture) -> None:
    source = random.Random(7)
    index = made.index("app", "linux/amd64", "linux/arm64/v8", docker=True)
    manifest = made.manifest("one", "linux/amd64")
    config = made.blobs[Digest.parse(json.loads(manifest)["config"]["digest"])]
    good = 0
    for _ in range(1500):
        document = json.loads(source.choice([index, manifest, config]))
        for _ in range(source.randint(1, 2)):
            document = _mutate(source, document)
        content = json.dumps(document).encode()
        if source.random() < 0.3:
            at = source.randrange(len(content))
            content = content[:at] + source.randbytes(2) + content[at + 1 :]
        for read in (parse, platform_of):
            try:
                found = read(content)
                good += 1
                if isinstance(found, OciIndex):
                    choose(found, Platform("linux", "amd64"))
            except (VerificationError, IncompleteError) as error:
                assert str(error).startswith("sha256:")  # noqa: PT017 -- most mutations are refused
    assert good > 100
