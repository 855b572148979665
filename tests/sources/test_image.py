"""Images resolved to digests, on the lab's registries with tokens, redirects and faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.faults import ExpiredToken, Reset, Status, WrongBytes

from builder.errors import Fault, FetchError, UnavailableError, VerificationError
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES, Blob
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.sources import image as image_source
from builder.sources.image import ImageRequest, read_blob, resolve

if TYPE_CHECKING:
    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.source import Source
    from builder.lab.images import BuiltImage
    from builder.sources.access import Access
    from builder.sources.image import ResolvedImage

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
NODE = "docker.io/calico/node:v3.18.6"
COPY = "quay.io/calico/node:v3.18.6"


def wanted(*candidates: str, **how: Any) -> ImageRequest:
    options = {
        "reference": Reference.parse(NODE),
        "platforms": (AMD64,),
        "roles": ("control-plane", "worker"),
        "needed_by": ("calico",),
        **how,
    }
    return ImageRequest(candidates=tuple(map(Reference.parse, candidates or (NODE,))), **options)


def check(resolved: ResolvedImage, made: BuiltImage, upstream: FaultyUpstream) -> None:
    """Hold what was found against the bytes that the lab made."""
    assert resolved.image.digest == made.digest
    assert {Digest.of(content) for content in resolved.kept} <= set(made.manifests)
    for blob in resolved.blobs:
        path = upstream.image_store.path(blob.digest)
        assert blob.size == path.stat().st_size
        assert Digest.of(path.read_bytes()) == blob.digest
    for part in resolved.image.manifests:
        document = json.loads(upstream.image_store.path(part.digest).read_bytes())
        assert str(part.config) == document["config"]["digest"]
        assert list(map(str, part.layers)) == [one["digest"] for one in document["layers"]]


@pytest.mark.parametrize("era", ["docker", "oci"])
def test_an_index_gives_the_platforms_that_are_wanted_and_no_others(
    upstream: FaultyUpstream, access: Access, era: Any
) -> None:
    made = upstream.add_image(
        NODE,
        platforms=("linux/arm64", "linux/amd64", "linux/ppc64le"),
        bases=[("base", 5000)],
        era=era,
        attestations=era == "oci",
    )
    found = resolve(wanted(platforms=(AMD64, ARM64)), access.registry)
    check(found, made, upstream)
    assert [part.platform for part in found.image.manifests] == [AMD64, ARM64]
    assert found.image.media_type == INDEX_TYPES[era == "docker"]
    assert len(found.kept) == 3
    kept = {blob.digest for blob in found.blobs if blob.kept}
    assert kept == {Digest.of(content) for content in found.kept}
    assert {blob.sources for blob in found.blobs} == {("docker.io/calico/node",)}
    assert found.image.sources == (NODE,)
    assert (found.image.trust, found.passed_over) == ("first-use", ())


def test_an_image_without_index_tells_its_platform_in_its_config(
    upstream: FaultyUpstream, access: Access
) -> None:
    made = upstream.add_image(NODE, index=False)
    found = resolve(wanted(), access.registry)
    check(found, made, upstream)
    assert found.image.media_type == MANIFEST_TYPES[1]
    assert [part.platform for part in found.image.manifests] == [AMD64]
    with pytest.raises(UnavailableError) as caught:
        resolve(wanted(platforms=(ARM64,)), access.registry)
    assert caught.value.faults == (
        Fault(where=NODE, what="the image is for linux/amd64 only", expected="linux/arm64"),
    )


def test_the_config_survives_a_bad_network(upstream: FaultyUpstream, access: Access) -> None:
    made = upstream.add_image(NODE, index=False)
    upstream.faults.add(Status(503, retry_after="0"), path="*/blobs/*", times=1)
    upstream.faults.add(Reset(), host="production.cloudflare.docker.com", times=1)
    upstream.faults.add(ExpiredToken(), path="*/blobs/*", times=1)
    check(resolve(wanted(), access.registry), made, upstream)


def test_a_config_with_wrong_bytes_is_refused(upstream: FaultyUpstream, access: Access) -> None:
    upstream.add_image(NODE, index=False)
    upstream.faults.add(WrongBytes(), host="production.cloudflare.docker.com")
    with pytest.raises(UnavailableError) as caught:
        resolve(wanted(), access.registry)
    [fault] = caught.value.faults
    assert fault.what == "the blob does not match its digest"
    assert fault.where.startswith("docker.io/calico/node@sha256:")


def test_a_large_config_is_not_fetched(access: Access) -> None:
    with pytest.raises(FetchError) as caught:
        read_blob(access.registry, "docker.io/x/y", Digest("a" * 64), 5 << 20)
    assert str(caught.value) == (
        f"docker.io/x/y@sha256:{'a' * 64}: the config has 5,242,880 bytes (expected at most 4 MiB)"
    )


def test_candidates_are_asked_in_order_and_failures_reported(
    upstream: FaultyUpstream, access: Access
) -> None:
    made = upstream.add_image(COPY)
    upstream.registry("docker.io")
    found = resolve(wanted(NODE, COPY), access.registry)
    assert (str(found.source), found.image.digest) == (COPY, made.digest)
    assert found.image.sources == (NODE, COPY)
    assert {blob.sources for blob in found.blobs} == {
        ("docker.io/calico/node", "quay.io/calico/node")
    }
    [fault] = found.passed_over
    assert "registry-1.docker.io" in fault.where
    assert fault.what == "the server answered 404 Not Found"


def test_only_the_right_digest_is_taken(upstream: FaultyUpstream, access: Access) -> None:
    ours = upstream.add_image(COPY, size=1000)
    theirs = upstream.add_image(NODE, size=2000)
    assert ours.digest != theirs.digest
    found = resolve(wanted(NODE, COPY, expected=ours.digest, trust="pinned"), access.registry)
    assert (str(found.source), found.image.digest) == (COPY, ours.digest)
    assert found.image.trust == "pinned"
    absent = Digest("b" * 64)
    with pytest.raises(UnavailableError) as caught:
        resolve(wanted(NODE, COPY, expected=absent), access.registry)
    assert str(caught.value) == f"{NODE}: no source has this image (expected {absent})"
    assert caught.value.hint == (
        "check the reference, the network and proxy, or add a mirror with --catalog"
    )
    assert len(caught.value.faults) == 2


def test_a_reference_with_a_digest_is_pinned_by_it(
    upstream: FaultyUpstream, access: Access
) -> None:
    made = upstream.add_image(NODE)
    upstream.add_image(NODE, size=5)  # the tag has moved since
    reference = Reference.parse(f"{NODE}@{made.digest}")
    found = resolve(wanted(NODE, reference=reference), access.registry)
    assert (found.image.digest, found.image.trust) == (made.digest, "pinned")


def test_a_platform_that_is_missing_says_what_there_is(
    upstream: FaultyUpstream, access: Access
) -> None:
    upstream.add_image(NODE, platforms=("linux/amd64", "linux/s390x"))
    with pytest.raises(UnavailableError) as caught:
        resolve(wanted(platforms=(AMD64, ARM64)), access.registry)
    assert caught.value.faults == (
        Fault(
            where=NODE,
            what="the image is not available for linux/arm64",
            expected="one of what it offers: linux/amd64, linux/s390x",
            hint="remove the platform from cluster.yaml, or use another image",
        ),
    )


def test_an_index_that_lies_about_a_size_is_refused(
    upstream: FaultyUpstream, access: Access
) -> None:
    made = upstream.add_image(NODE)
    index = json.loads(upstream.image_store.path(made.digest).read_bytes())
    entry = index["manifests"][0]
    size = entry["size"]
    entry["size"] += 1
    content = json.dumps(index).encode()
    digest = Digest.of(content)
    upstream.image_store.path(digest).write_bytes(content)
    images = upstream.image_store.repositories["docker.io/calico/node"]
    images.manifests[digest] = index["mediaType"]
    images.tags["v3.18.6"] = digest
    with pytest.raises(UnavailableError) as caught:
        resolve(wanted(), access.registry)
    assert caught.value.faults == (
        Fault(
            where=f"{NODE} {entry['digest']}",
            what=f"the manifest has {size} bytes",
            expected=f"the {size + 1} bytes that its index announces",
        ),
    )


def test_blobs_become_places_to_read_from(upstream: FaultyUpstream, access: Access) -> None:
    upstream.add_image(NODE)
    upstream.add_image(COPY)
    found = resolve(wanted(NODE, COPY), access.registry)
    for blob in found.blobs:
        places = image_source.sources(blob, access.registry)
        assert [place.host for place in places] == ["docker.io", "quay.io"]
        assert [place.name for place in places] == [
            f"docker.io/calico/node@{blob.digest}",
            f"quay.io/calico/node@{blob.digest}",
        ]
        whole = upstream.image_store.path(blob.digest).read_bytes()
        for place in places:
            assert drained(place, 0) == (0, whole)
            offset, rest = drained(place, 10)
            assert whole[offset:] == rest
            assert offset == (0 if blob.kept else 10), "manifests are small: always sent whole"


def drained(place: Source, offset: int) -> tuple[int, bytes]:
    stream = place.open(offset)
    buffer = memoryview(bytearray(1 << 16))
    content = b""
    while count := stream.readinto(buffer):
        content += buffer[:count]
    stream.close()
    return stream.offset, content


def test_a_blob_is_taken_from_the_lock_alone() -> None:
    blob = Blob(
        digest=Digest("c" * 64), size=3, media_type="application/x", sources=("a.io/x", "b.io/y")
    )
    registry: Any = object()
    assert [(source.name, source.host) for source in image_source.sources(blob, registry)] == [
        (f"a.io/x@{blob.digest}", "a.io"),
        (f"b.io/y@{blob.digest}", "b.io"),
    ]


def test_a_config_of_another_size_than_announced_is_refused(
    upstream: FaultyUpstream, access: Access
) -> None:
    upstream.add_image(NODE, index=False)
    found = resolve(wanted(), access.registry)
    config = found.image.manifests[0].config
    [size] = [blob.size for blob in found.blobs if blob.digest == config]
    assert len(read_blob(access.registry, "docker.io/calico/node", config, size)) == size
    with pytest.raises(VerificationError) as caught:
        read_blob(access.registry, "docker.io/calico/node", config, size + 1)
    assert str(caught.value) == (
        f"docker.io/calico/node@{config}: the blob does not match its digest"
    )
