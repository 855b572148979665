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
    with pytest.raises(VerificationError) as caught:
        signature_source.find(
            image, "quay.io/app", cast("Puller", registry), repositories=("quay.io/app",)
        )
    assert (
        str(caught.value) == "quay.io/app: the image has 33 signatures (expected at most 32 in all)"
    )
