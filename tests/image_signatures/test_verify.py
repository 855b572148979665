"""Signatures that count, and every way in which one can fail to."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cosign
import pytest
from cosign import Layer, Service
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from builder.errors import VerificationError
from builder.image_signatures.certificates import is_for
from builder.image_signatures.signature import CosignSignature, read_signature
from builder.image_signatures.verify import check_signer, verify
from builder.model.digest import Digest
from builder.model.reference import Reference
from builder.model.signer import Authority, Identity, Signer

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = Digest.of(b"an image")
OTHER = Digest.of(b"another image")
REPOSITORY = "registry.example.org/team/app"
APP = Reference.parse(f"{REPOSITORY}:1")
START = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
AT = dt.datetime(2023, 5, 1, 12, 0, tzinfo=dt.UTC)
WHO, BY = "release@example.org", "https://accounts.example.org"
PAYLOAD = cosign.payload(REPOSITORY, IMAGE)
SIGNATURE = "dev.cosignproject.cosign/signature"
ENTRY = "dev.sigstore.cosign/bundle"
CERTIFICATE = "dev.sigstore.cosign/certificate"


def read(layer: Layer) -> CosignSignature:
    return read_signature(layer.payload, layer.annotations, where="app")


def by(key: cosign.PrivateKey) -> Signer:
    return Signer(name="team", images=("*",), keys=(cosign.public(key),))


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(start=START)


def named(service: Service, **changes: Any) -> Signer:
    fields = {"subject": WHO, "issuer": BY, "logs": (cosign.public(service.log_key),), **changes}
    return Signer(
        name="release",
        images=("*",),
        identities=(Identity(subject=fields["subject"], issuer=fields["issuer"]),),
        authority=Authority(
            name="lab",
            certificates=fields.get("certificates", service.certificates),
            logs=fields["logs"],
        ),
    )


def fault(layer: Layer, signer: Signer, image: Digest = IMAGE) -> str:
    """Return the one reason for which a signature does not count."""
    with pytest.raises(VerificationError) as caught:
        verify(image, APP, [read(layer)], [signer])
    [fault] = caught.value.faults
    assert fault.where == f"{APP}, expected from {signer.name}"
    return fault.what


@pytest.mark.parametrize(
    "make",
    [
        cosign.new_key,
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate,
    ],
)
def test_a_key(make: Callable[[], cosign.PrivateKey]) -> None:
    key = make()
    signer, words = verify(IMAGE, APP, [read(cosign.by_key(PAYLOAD, key))], [by(key)])
    assert signer.name == "team"
    assert words.startswith("team, key sha256:")
    assert fault(cosign.by_key(PAYLOAD, make()), by(key)) == (
        "it was made with another key, or was changed afterwards"
    )


def test_one_good_signature_among_others_is_enough() -> None:
    mine, theirs = cosign.new_key(), cosign.new_key()
    proofs = [read(cosign.by_key(PAYLOAD, key)) for key in (theirs, mine)]
    signer, _ = verify(IMAGE, APP, proofs, [by(cosign.new_key()), by(mine)])
    assert signer.keys == (cosign.public(mine),)
    with pytest.raises(VerificationError) as caught:
        verify(IMAGE, APP, proofs, [by(cosign.new_key())])
    assert [fault.where for fault in caught.value.faults] == [
        f"{APP}: signature 1, expected from team",
        f"{APP}: signature 2, expected from team",
    ]


def test_no_signature() -> None:
    with pytest.raises(VerificationError) as caught:
        verify(IMAGE, APP, [], [by(cosign.new_key())])
    assert str(caught.value) == f"{APP}: the image is not signed"


def test_the_signature_of_another_image() -> None:
    key = cosign.new_key()
    layer = cosign.by_key(cosign.payload(REPOSITORY, OTHER), key)
    assert fault(layer, by(key)) == f"it is the signature of another image, {OTHER}"


def test_a_payload_that_was_changed() -> None:
    key = cosign.new_key()
    layer = cosign.by_key(cosign.payload(REPOSITORY, OTHER), key)
    forged = replace(layer, payload=PAYLOAD)
    assert fault(forged, by(key)) == "it was made with another key, or was changed afterwards"


QUAY = {"mirror.lan/quay/*": ["quay.io/*"]}
MOVED = {"k8s.gcr.io/pause": ["registry.k8s.io/pause"]}
NO_STAR = {"k8s.gcr.io/*": ["registry.k8s.io/pause"]}
REGIONS = {"k8s.gcr.io/*": ["*-x.dev/images/*"]}


@pytest.mark.parametrize(
    ("asked", "named", "signed_as", "good"),
    [
        ("quay.io/team/app:1", "quay.io/team/app", {}, True),
        ("quay.io/team/app:1", "quay.io/team/app:1", {}, True),
        ("quay.io/team/app@" + str(IMAGE), "quay.io/team/app:7", {}, True),
        ("quay.io/team/app:1", "quay.io/team/app:2", {}, False),
        ("quay.io/team/app:1", f"quay.io/team/app:1@{IMAGE}", {}, True),
        ("quay.io/team/app:1", f"quay.io/team/app@{OTHER}", {}, False),
        (f"quay.io/team/app@{OTHER}", f"quay.io/team/app@{OTHER}", {}, False),
        ("quay.io/team/app:1", "quay.io/team/other", {}, False),
        ("quay.io/team/app:1", "quay.io/team/app/more", {}, False),
        ("quay.io/team/app:1", "evil.example/quay.io/team/app", {}, False),
        ("quay.io/team/app:1", "", {}, False),
        ("quay.io/team/app:1", "\x1b[31m", {}, False),
        ("busybox:1", "index.docker.io/library/busybox", {}, True),
        ("docker.io/library/busybox:1", "busybox", {}, True),
        ("mirror.lan/quay/team/app:1", "quay.io/team/app", {}, False),
        ("mirror.lan/quay/team/app:1", "quay.io/team/app", QUAY, True),
        ("mirror.lan/quay/team/app:1", "quay.io/team/b", QUAY, False),
        ("mirror.lan/team/app:1", "quay.io/team/app", QUAY, False),
        ("k8s.gcr.io/pause:3.2", "registry.k8s.io/pause", MOVED, True),
        ("k8s.gcr.io/pause:3.2", "registry.k8s.io/pause", NO_STAR, False),
        ("k8s.gcr.io/pause:3.2", "us-east1-x.dev/images/pause", REGIONS, True),
        ("k8s.gcr.io/pause:3.2", "a/us-x.dev/images/pause", REGIONS, False),
        ("k8s.gcr.io/pause:3.2", "us-x.dev/images/etcd", REGIONS, False),
    ],
)
def test_the_name_that_was_signed_is_the_one_that_was_asked_for(
    asked: str, named: str, signed_as: dict[str, list[str]], good: bool
) -> None:
    """A signer has many images; the signature of one is none of another's name."""
    key = cosign.new_key()
    signer = replace(by(key), signed_as={name: tuple(to) for name, to in signed_as.items()})
    reference = Reference.parse(asked)
    signature = read(cosign.by_key(cosign.payload(named, IMAGE), key))
    if good:
        assert verify(IMAGE, reference, [signature], [signer])[0] is signer
        return
    with pytest.raises(VerificationError) as caught:
        verify(IMAGE, reference, [signature], [signer])
    [fault] = caught.value.faults
    assert fault.what == f"it is the signature of an image of another name, {named!r}"
    assert fault.expected == reference.repository


@pytest.mark.parametrize("identity", [None, {}, [], "x", {"docker-reference": 7}])
def test_a_payload_without_a_name(identity: object) -> None:
    key = cosign.new_key()
    document = json.loads(PAYLOAD)
    document["critical"]["identity"] = identity
    layer = cosign.by_key(json.dumps(document).encode(), key)
    assert fault(layer, by(key)) == "the signed payload does not name the image"


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"", "the signed payload: not JSON: Expecting value (line 1, column 1)"),
        (b"[]", "the signed payload is not about an image"),
        (b'{"critical":{}}', "the signed payload is not about an image"),
        (b'{"critical":{"type":"atomic container signature"}}', "the signed payload is not about"),
        (PAYLOAD[:-1] + b',"critical":{}}', "the signed payload: the key 'critical' appears twice"),
        (b'{"critical":' * 5000, "the signed payload: "),
    ],
)
def test_payloads_that_say_nothing(payload: bytes, what: str) -> None:
    key = cosign.new_key()
    assert fault(cosign.by_key(payload, key), by(key)).startswith(what)


@pytest.mark.parametrize("text", ["", "%%%", "YQ", "A" * 8000])
def test_signatures_that_are_none(text: str) -> None:
    """They are no fault of a good one beside them."""
    key = cosign.new_key()
    none = read_signature(PAYLOAD, {SIGNATURE: text}, where="app")
    with pytest.raises(VerificationError):
        verify(IMAGE, APP, [none], [by(key)])
    good = read(cosign.by_key(PAYLOAD, key))
    assert verify(IMAGE, APP, [none, good], [by(key)])[0].name == "team"


def test_a_signature_in_lines() -> None:
    """openssl base64 writes it so, and cosign attach and verify take it."""
    key = cosign.new_key()
    layer = cosign.by_key(PAYLOAD, key)
    text = re.sub(r"(.{64})", "\\1\r\n", layer.annotations[SIGNATURE]) + "\n"
    written = read_signature(PAYLOAD, {SIGNATURE: text}, where="app")
    assert verify(IMAGE, APP, [written], [by(key)])[0].name == "team"


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("a@b.c", "a@b.c", True),
        ("a@b.c", "*", True),
        ("a@b.c", "*@b.*", True),
        ("a@b.c", "a*c", True),
        ("ac", "a*c*c", False),
        ("abcbc", "a*bc*bc", True),
        ("abc", "a*bc*bc", False),
        ("xa@b.c", "a@*", False),
        ("a", "a*a", False),
        ("a" * 5000, "*a" * 500 + "*b", False),  # nobody waits for this
    ],
)
def test_a_pinned_name_may_have_stars(name: str, pattern: str, *, fits: bool) -> None:
    identity, wanted = Identity(subject=name, issuer=BY), Identity(subject=pattern, issuer=BY)
    assert is_for(identity, wanted) is fits
    assert not is_for(replace(identity, issuer="https://evil.example.org"), wanted)


def test_an_identity(service: Service) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    signer, words = verify(IMAGE, APP, [read(layer)], [named(service)])
    assert (signer.name, words) == ("release", f"release, {WHO}")
    workflow = "https://github.com/team/app/.github/workflows/release.yml@refs/tags/v1"
    layer = service.by_identity(PAYLOAD, workflow, BY, at=AT)
    pinned = named(service, subject="https://github.com/team/app/.github/workflows/*@refs/tags/*")
    assert verify(IMAGE, APP, [read(layer)], [pinned])[1] == f"release, {workflow}"


def test_without_the_chain_that_came_along(service: Service) -> None:
    """The authority has it anyway."""
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    assert verify(IMAGE, APP, [replace(read(layer), chain=None)], [named(service)])
    root = (service.certificates[0],)
    assert verify(IMAGE, APP, [read(layer)], [named(service, certificates=root)])
    assert "was not issued by the authority lab" in fault(
        replace(layer, annotations={**layer.annotations, "dev.sigstore.cosign/chain": ""}),
        named(service, certificates=root),
    )


def test_somebody_else(service: Service) -> None:
    layer = service.by_identity(PAYLOAD, "mallory@example.org", BY, at=AT)
    assert fault(layer, named(service)) == f"it was made by mallory@example.org (by {BY})"
    layer = service.by_identity(PAYLOAD, WHO, "https://evil.example.org", at=AT)
    assert fault(layer, named(service)) == f"it was made by {WHO} (by https://evil.example.org)"
    layer = service.by_identity(PAYLOAD, f"x{WHO}", BY, at=AT)
    assert fault(layer, named(service)).startswith("it was made by x")


@pytest.mark.parametrize("minutes", [11, 60 * 24 * 365, -1])
def test_a_certificate_that_was_not_valid_then(service: Service, minutes: int) -> None:
    logged = AT + dt.timedelta(minutes=minutes)
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT, logged=logged)
    assert fault(layer, named(service)).startswith("the certificate was not valid when it was")


def test_an_authority_that_was_not_valid_then() -> None:
    young = Service(start=AT + dt.timedelta(minutes=5))
    layer = young.by_identity(PAYLOAD, WHO, BY, at=AT)
    assert fault(layer, named(young)).startswith("the certificate was not issued by")


def test_another_authority(service: Service) -> None:
    """One that has the same names."""
    impostor = Service(start=START)
    impostor.log_key = service.log_key
    layer = impostor.by_identity(PAYLOAD, WHO, BY, at=AT)
    assert fault(layer, named(service)).startswith("the certificate was not issued by")


def test_a_certificate_for_something_else(service: Service) -> None:
    key = cosign.new_key()
    text = service.certify(key, WHO, BY, at=AT, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    made = cosign.by_key(PAYLOAD, key)
    notes = {**made.annotations, CERTIFICATE: text, ENTRY: service.promise(made, text, at=AT)}
    assert "not for code signing" in fault(replace(made, annotations=notes), named(service))


def test_a_signature_that_its_certificate_did_not_make(service: Service) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    other = cosign.by_key(PAYLOAD, cosign.new_key())
    notes = {**layer.annotations, **other.annotations}
    assert fault(replace(layer, annotations=notes), named(service)) == (
        "it was not made with its certificate's key, or was changed afterwards"
    )


def without(layer: Layer, name: str) -> Layer:
    return replace(layer, annotations={k: v for k, v in layer.annotations.items() if k != name})


def edited(layer: Layer, edit: Callable[[dict[str, Any]], None]) -> Layer:
    entry = json.loads(layer.annotations[ENTRY])
    edit(entry)
    return replace(layer, annotations={**layer.annotations, ENTRY: json.dumps(entry)})


def test_what_no_log_has(service: Service) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    signer = named(service)
    assert fault(without(layer, ENTRY), signer) == "no transparency log says when it was made"
    later = edited(
        layer, lambda e: e["Payload"].update(integratedTime=e["Payload"]["integratedTime"] + 1)
    )
    assert fault(later, signer) == "the log's inclusion promise is not signed by the log"
    stamp = base64.b64encode(cosign.sign(b"something", service.log_key)).decode()
    forged = edited(layer, lambda e: e.update(SignedEntryTimestamp=stamp))
    assert fault(forged, signer) == "the log's inclusion promise is not signed by the log"
    again = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    swapped = replace(layer, annotations={**layer.annotations, ENTRY: again.annotations[ENTRY]})
    assert fault(swapped, signer) == "the log's entry is about another signature"
    stranger = named(service, logs=(cosign.public(cosign.new_key()),))
    assert fault(layer, stranger).endswith("is not pinned")
    text = service.certify(cosign.new_key(), WHO, BY, at=AT)
    about = {**layer.annotations, ENTRY: service.promise(layer, text, at=AT)}
    assert fault(replace(layer, annotations=about), signer) == (
        "the log's entry is about another certificate"
    )


@pytest.mark.parametrize(
    "entry",
    ["", "{", "[]", "{}", '{"Payload": 1}', '{"SignedEntryTimestamp": "YQ==", "Payload": {}}',
     '{"SignedEntryTimestamp": 1, "Payload": {"integratedTime": true, "logID": "x"}}',
     '{"SignedEntryTimestamp": "YQ==", "Payload": {"integratedTime": 1, "logID": "x"}}'],
)  # fmt: skip
def test_promises_that_are_none(service: Service, entry: str) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    assert fault(replace(layer, annotations={**layer.annotations, ENTRY: entry}), named(service))


@pytest.mark.parametrize(
    "text", ["x", "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n"]
)
def test_certificates_that_are_none(service: Service, text: str) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    layer = replace(layer, annotations={**layer.annotations, CERTIFICATE: text})
    assert fault(layer, named(service)) == "the certificate cannot be read"


def test_a_certificate_where_only_keys_are_pinned(service: Service) -> None:
    layer = service.by_identity(PAYLOAD, WHO, BY, at=AT)
    assert fault(layer, by(cosign.new_key())).startswith(
        "it was made with a certificate, and only keys are pinned"
    )


def test_a_signer_that_cannot_be_used() -> None:
    weak = cosign.public(rsa.generate_private_key(65537, 1024))  # noqa: S505 -- to see it refused
    signer = Signer(name="x", images=("*",), keys=("garbage", weak))
    with pytest.raises(VerificationError) as caught:
        check_signer(signer, where="the signer x")
    assert [fault.what for fault in caught.value.faults] == [
        "the public key cannot be read",
        "keys of this kind are not accepted",
    ]


@pytest.mark.parametrize(
    ("pattern", "image", "is_its"),
    [
        ("registry.k8s.io/*", "registry.k8s.io/coredns/coredns:v1.11", True),
        ("registry.k8s.io/*", "registry.k8s.io.example.org/pause:3.9", False),
        ("docker.io/library/nginx", "nginx:1.25", True),
        ("docker.io/library/nginx", "docker.io/library/nginx-extra:1", False),
    ],
)
def test_whose_an_image_is(pattern: str, image: str, is_its: bool) -> None:
    assert Signer(name="x", images=(pattern,)).signs(Reference.parse(image)) is is_its
