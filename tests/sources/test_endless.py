"""What a source sends has an end, and so has what it says that there is."""

from __future__ import annotations

import io
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from builder.bundle.source import FileStream, Source
from builder.errors import FetchError, UnavailableError, VerificationError
from builder.http import Client, StatusError
from builder.model.digest import Digest
from builder.model.platform import EVERY, Platform
from builder.model.reference import Reference
from builder.oci.pull import RawManifest
from builder.sources import file as file_source
from builder.sources import image as image_source
from builder.sources import signature as signature_source

if TYPE_CHECKING:
    from builder.oci.pull import Puller

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"


class Zeros(io.RawIOBase):
    """Be a file without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def test_a_body_without_an_end() -> None:
    taken = []
    endless = io.BufferedReader(Zeros())
    source = Source(
        name="https://x.example/f", host="x", open=lambda _: FileStream(endless, 0, "f")
    )
    with closing(Client()) as client, pytest.raises(FetchError) as caught:
        file_source.through(
            source, client, taken.clear, lambda piece: taken.append(len(piece)), most=10 << 20
        )
    assert str(caught.value) == (
        "https://x.example/f: the file does not end (expected at most 10,485,760 bytes)"
    )
    assert sum(taken) <= 10 << 20


class Registry:
    """Answer with documents by name."""

    def __init__(self, manifests: dict[str, tuple[str, bytes]], referrers: bytes = b"") -> None:
        self._manifests, self._referrers = manifests, referrers

    def manifest(self, repository: str, reference: str) -> RawManifest:
        if reference not in self._manifests:
            raise StatusError(repository, 404, {})
        kind, content = self._manifests[reference]
        return RawManifest(content=content, media_type=kind, digest=Digest.of(content))

    def document(self, repository: str, digest: Digest, *, limit: int) -> bytes:
        if str(digest) not in self._manifests:
            raise StatusError(repository, 404, {})
        return self._manifests[str(digest)][1][:limit]

    def referrers(self, _repository: str, _digest: Digest) -> bytes:
        return self._referrers


def descriptor(number: int, media_type: str, **more: Any) -> dict[str, Any]:
    digest = str(Digest.of(str(number).encode()))
    return {"mediaType": media_type, "digest": digest, "size": 2, **more}


def test_an_index_of_endless_platforms() -> None:
    platform = {"os": "linux", "architecture": "amd64"}
    entries = [descriptor(n, MANIFEST, platform=platform) for n in range(513)]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    part = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": []}
    first = json.dumps(part).encode()
    registry = Registry({"1": (INDEX, content), entries[0]["digest"]: (MANIFEST, first)})
    reference = Reference.parse("quay.io/team/app:1")
    wanted = image_source.ImageRequest(
        reference=reference,
        candidates=(reference,),
        platforms=(),
        more=(EVERY,),
        roles=("worker",),
        needed_by=("extra",),
    )
    with pytest.raises(UnavailableError) as caught:
        image_source.resolve(wanted, cast("Puller", registry))
    [fault] = caught.value.faults
    assert fault.what == "its index names 513 manifests"
    assert Platform("linux", "amd64") != EVERY


@pytest.mark.parametrize("where", ["referrers", "layers"])
def test_endless_signatures(where: str) -> None:
    """Cut off without a word, the good one might be among those that nobody looks at."""
    image = Digest.of(b"image")
    own = descriptor(0, "application/vnd.oci.image.config.v1+json")
    layers = [descriptor(n, PAYLOAD) for n in range(33)]
    signature = {"schemaVersion": 2, "mediaType": MANIFEST, "config": own, "layers": layers}
    entries = [
        descriptor(n, MANIFEST, artifactType=signature_source.ARTIFACT_TYPE) for n in range(33)
    ]
    many = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    none = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    tag = f"sha256-{image.hex}.sig"
    signed = {tag: (MANIFEST, json.dumps(signature).encode())}
    registry = Registry(signed if where == "layers" else {}, none if where == "layers" else many)

    def find() -> signature_source.FoundSignatures:
        return signature_source.find(
            image, "quay.io/app", cast("Puller", registry), repositories=("quay.io/app",)
        )

    said = "the image has 33 signatures (expected at most 32 in all)"
    if where == "layers":
        assert find() == signature_source.FoundSignatures(passed_over=find().passed_over)
        assert list(map(str, find().passed_over)) == [f"quay.io/app: {said}"]
        return
    with pytest.raises(VerificationError) as caught:
        find()
    assert str(caught.value) == f"quay.io/app: {said}"


def test_what_somebody_lays_beside_a_signature_does_not_hide_it() -> None:
    """Whoever may write there may add what nobody can read; it is told, and the good one found."""
    image = Digest.of(b"image")
    payload = b"payload"
    layer = {"mediaType": PAYLOAD, "digest": str(Digest.of(payload)), "size": len(payload)}
    own = descriptor(0, "application/vnd.oci.image.config.v1+json")
    signature = {"schemaVersion": 2, "mediaType": MANIFEST, "config": own}
    documents = {
        "good": {**signature, "layers": [layer]},
        "index": {"schemaVersion": 2, "mediaType": INDEX, "manifests": []},
        "large": {**signature, "layers": [{**layer, "size": 1 << 30}]},
        "lost": {**signature, "layers": [descriptor(7, PAYLOAD)]},
    }
    contents = {name: json.dumps(document).encode() for name, document in documents.items()}
    digests = {name: Digest.of(content) for name, content in contents.items()}
    entries = [
        {
            **descriptor(0, MANIFEST),
            "digest": digest,
            "artifactType": signature_source.ARTIFACT_TYPE,
        }
        for digest in ["sha512:" + "0" * 128, *map(str, digests.values())]
    ]
    served = {str(digests[name]): (MANIFEST, content) for name, content in contents.items()}
    served[layer["digest"]] = (PAYLOAD, payload)  # type: ignore[index]
    registry = Registry(served, json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    found = signature_source.find(
        image, "quay.io/app", cast("Puller", registry), repositories=("quay.io/app",)
    )
    assert [one.digest for one in found.signatures] == [digests["good"]]
    assert [one.payload for one in found.evidence] == [payload]
    assert [fault.what for fault in found.passed_over] == [
        "the image cannot be used: is an index (expected a manifest)",
        "a signature's part has 1,073,741,824 bytes",
        "the server answered 404 Not Found",
    ]
