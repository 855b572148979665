"""A signing service of the lab's own: keys, short-lived certificates and a log, as Sigstore has.

It makes what cosign makes: a payload, annotations, and the manifest that carries both beside an
image. Every part can be asked for alone, so that a test can put the wrong ones together.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builder.lab.image_store import RepositoryContent
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fault_lab.upstream import FaultyUpstream

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ISSUER_OLD = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_MINUTES = dt.timedelta(minutes=10)
_YEARS = dt.timedelta(days=3650)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key of the kind that cosign makes."""
    return ec.generate_private_key(ec.SECP256R1())


def public(key: PrivateKey) -> str:
    """Return the public half in PEM form."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def sign(content: bytes, key: PrivateKey) -> bytes:
    """Sign bytes as cosign does."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(hashes.SHA256()))
    return key.sign(content)


def payload(repository: str, digest: Digest) -> bytes:
    """Return what is signed: the simple signing format."""
    return json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": str(digest)},
                "type": "cosign container image signature",
            },
            "optional": None,
        },
        separators=(",", ":"),
    ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Hold one signature as a layer: its payload, and the rest in annotations."""

    payload: bytes = field(repr=False)
    annotations: Mapping[str, str]


def by_key(content: bytes, key: PrivateKey) -> Layer:
    """Sign a payload with a key."""
    signature = base64.b64encode(sign(content, key)).decode()
    return Layer(payload=content, annotations={"dev.cosignproject.cosign/signature": signature})


class Service:
    """Certify for whom a key is, and log what it signed."""

    def __init__(self, *, start: dt.datetime) -> None:
        self.start = start
        self.log_key = new_key()
        self._root_key = ec.generate_private_key(ec.SECP384R1())
        self._middle_key = ec.generate_private_key(ec.SECP384R1())
        self._root = self._authority("root", self._root_key, "root", self._root_key, below=1)
        self._middle = self._authority("middle", self._middle_key, "root", self._root_key, below=0)

    @property
    def certificates(self) -> tuple[str, str]:
        """Return root and intermediate in PEM form."""
        return _pem(self._root), _pem(self._middle)

    def certify(
        self,
        key: PrivateKey,
        subject: str,
        issuer: str,
        *,
        at: dt.datetime,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    ) -> str:
        """Return a certificate of ten minutes, in PEM form."""
        name: x509.GeneralName = x509.RFC822Name(subject)
        if "://" in subject:
            name = x509.UniformResourceIdentifier(subject)
        builder = self._builder(x509.Name([]), _name("middle"), key, self._middle_key)
        made = (
            builder.not_valid_before(at)
            .not_valid_after(at + _MINUTES)
            .add_extension(_usage(certify=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OLD, issuer.encode()), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(
                    _ISSUER, b"\x0c" + bytes([len(issuer)]) + issuer.encode()
                ),
                critical=False,
            )
        )
        return _pem(made.sign(self._middle_key, hashes.SHA384()))

    def promise(self, layer: Layer, key_text: str, *, at: dt.datetime) -> str:
        """Log a signature; return the entry with the inclusion promise, as cosign keeps it."""
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {
                    "hash": {
                        "algorithm": "sha256",
                        "value": hashlib.sha256(layer.payload).hexdigest(),
                    }
                },
                "signature": {
                    "content": layer.annotations["dev.cosignproject.cosign/signature"],
                    "publicKey": {"content": base64.b64encode(key_text.encode()).decode()},
                },
            },
        }
        log_der = self.log_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        entry = {
            "body": base64.b64encode(_compact(body)).decode(),
            "integratedTime": int(at.timestamp()),
            "logIndex": 42,
            "logID": hashlib.sha256(log_der).hexdigest(),
        }
        stamp = base64.b64encode(sign(_compact(entry), self.log_key)).decode()
        return json.dumps({"SignedEntryTimestamp": stamp, "Payload": entry})

    def by_identity(
        self, content: bytes, subject: str, issuer: str, *, at: dt.datetime,
        logged: dt.datetime | None = None,
    ) -> Layer:  # fmt: skip
        """Sign a payload as somebody, with a key that nobody keeps; ``logged`` is else ``at``."""
        key = new_key()
        certificate = self.certify(key, subject, issuer, at=at)
        made = by_key(content, key)
        promise = self.promise(made, certificate, at=logged or at)
        return Layer(
            payload=content,
            annotations={
                **made.annotations,
                "dev.sigstore.cosign/certificate": certificate,
                "dev.sigstore.cosign/chain": "".join(reversed(self.certificates)),
                "dev.sigstore.cosign/bundle": promise,
            },
        )

    def _authority(
        self, name: str, key: PrivateKey, above: str, above_key: PrivateKey, *, below: int
    ) -> x509.Certificate:
        builder = self._builder(_name(name), _name(above), key, above_key)
        made = (
            builder.not_valid_before(self.start)
            .not_valid_after(self.start + _YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
            .add_extension(_usage(certify=True), critical=True)
        )
        return made.sign(above_key, hashes.SHA384())

    def _builder(
        self, name: x509.Name, above: x509.Name, key: PrivateKey, above_key: PrivateKey
    ) -> x509.CertificateBuilder:
        own, other = key.public_key(), above_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(above)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(other), critical=False
            )
        )


def attach(
    upstream: FaultyUpstream,
    reference: str | Reference,
    digest: Digest,
    layers: Sequence[Layer],
    *,
    how: Literal["tag", "referrer"] = "tag",
) -> Digest:
    """Put signatures beside an image of the lab; return the digest of their manifest."""
    target = reference if isinstance(reference, Reference) else Reference.parse(reference)
    content = upstream.registry(target.host).profile.content
    repository = f"{content}/{target.path}"
    images = upstream.image_store.repositories.setdefault(repository, RepositoryContent())
    blobs = {upstream.image_builder.put(layer.payload) for layer in layers}
    described = [
        {
            "mediaType": PAYLOAD_TYPE,
            "size": len(layer.payload),
            "digest": str(Digest.of(layer.payload)),
            "annotations": dict(layer.annotations),
        }
        for layer in layers
    ]
    config = _compact({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers"}})
    blobs.add(upstream.image_builder.put(config))
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "config": {
            "mediaType": _CONFIG_TYPE,
            "size": len(config),
            "digest": str(Digest.of(config)),
        },
        "layers": described,
    }
    if how == "referrer":
        manifest |= {
            "artifactType": ARTIFACT_TYPE,
            "subject": {"mediaType": INDEX_TYPES[0], "size": 0, "digest": str(digest)},
        }
    made = upstream.image_builder.put(_compact(manifest))
    images.manifests[made] = MANIFEST_TYPES[0]
    images.blobs |= blobs
    if how == "tag":
        images.tags[f"sha256-{digest.hex}.sig"] = made
    else:
        images.referrers.setdefault(digest, []).append(made)
    return made


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "the lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )


def _usage(*, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certify, key_cert_sign=certify, crl_sign=certify,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _compact(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
