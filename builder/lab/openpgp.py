"""OpenPGP keys of the shape that old Linux distributions sign with.

CentOS 7, Docker and Google sign with one RSA primary key that certifies and signs; CentOS 7's
signatures have version 3 and its key certifies itself with SHA-1. What airseed itself would never
do is here, the rest comes from :mod:`builder.secrets.openpgp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from builder.secrets import openpgp
from builder.secrets.openpgp import armour

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.build_cache import BuildCache

Hash = Literal["sha1", "sha256", "sha512"]
_HASHES: dict[Hash, tuple[int, hashes.HashAlgorithm]] = {
    "sha1": (2, hashes.SHA1()),  # noqa: S303 -- as old keys are
    "sha256": (8, hashes.SHA256()),
    "sha512": (10, hashes.SHA512()),
}
_EXPONENT = 65537


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorKey:
    user: str
    created: int
    """Seconds since 1970, of the key and of all its signatures, so that these are reproducible."""
    private: rsa.RSAPrivateKey
    version: Literal[3, 4] = 4
    """Of signatures over data; the self-signature always has version 4."""
    hash: Hash = "sha256"
    self_hash: Hash = "sha256"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as 40 upper-case hex digits."""
        return openpgp.fingerprint(self._public())

    @property
    def public(self) -> bytes:
        packet = openpgp.packet(openpgp.PUBLIC_KEY, self._public())
        return armour("PUBLIC KEY BLOCK", self._with_user(packet))

    @property
    def secret(self) -> bytes:
        """Return the secret key, armoured and without a password."""
        body = openpgp.secret_body(self._public(), self.private)
        packet = openpgp.packet(openpgp.SECRET_KEY, body)
        return armour("PRIVATE KEY BLOCK", self._with_user(packet))

    def sign(self, content: bytes) -> bytes:
        """Return a detached binary signature over bytes."""
        if self.version == 3:  # noqa: PLR2004 -- RFC 4880 5.2.2
            return self._sign_old(content)
        return self._sign(content, openpgp.OVER_DATA, self.hash, b"")

    def _public(self) -> bytes:
        return openpgp.public_body(self.private, self.created)

    def _with_user(self, key: bytes) -> bytes:
        name = self.user.encode()
        covered = openpgp.covered_user(self._public(), name)
        flags = openpgp.subpacket(27, bytes([openpgp.CERTIFY_AND_SIGN]))
        certified = self._sign(covered, openpgp.OVER_USER, self.self_hash, flags)
        return key + openpgp.packet(openpgp.USER, name) + certified

    def _sign(self, covered: bytes, kind: int, algorithm: Hash, more: bytes) -> bytes:
        return openpgp.signature(
            self.private,
            self._public(),
            covered,
            created=self.created,
            kind=kind,
            digest=_HASHES[algorithm],
            more=more,
        )

    def _sign_old(self, covered: bytes) -> bytes:
        hashed = bytes([openpgp.OVER_DATA]) + self.created.to_bytes(4)
        issuer = bytes.fromhex(self.fingerprint)[-8:]
        number, algorithm = _HASHES[self.hash]
        head = b"\x03\x05" + hashed + issuer + bytes([openpgp.RSA, number])
        proof = openpgp.sign_digest(self.private, covered + hashed, algorithm)
        return openpgp.packet(openpgp.SIGNATURE, head + proof)


def generate(
    user: str,
    *,
    created: int,
    bits: int = 2048,
    version: Literal[3, 4] = 4,
    algorithm: Hash = "sha256",
    self_algorithm: Hash = "sha256",
) -> VendorKey:
    """Make a new key; ``created`` is in seconds since 1970."""
    return VendorKey(
        user=user,
        created=created,
        private=rsa.generate_private_key(_EXPONENT, bits),
        version=version,
        hash=algorithm,
        self_hash=self_algorithm,
    )


def cached_key(
    build_cache: BuildCache,
    user: str,
    *,
    created: int,
    version: Literal[3, 4] = 4,
    algorithm: Hash = "sha256",
    self_algorithm: Hash = "sha256",
) -> VendorKey:
    """Return the key of a user, from the build cache if it is there: RSA keys take a while."""

    def make(folder: Path) -> Any:
        key = generate(user, created=created)
        text = key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / "key.pem").write_bytes(text)

    folder, _ = build_cache.get(["key", user, created], make)
    private = serialization.load_pem_private_key(
        (folder / "key.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True
    )  # it is our own, and the check takes longer than all else
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError(f"{folder} holds no RSA key")
    return VendorKey(
        user=user,
        created=created,
        private=private,
        version=version,
        hash=algorithm,
        self_hash=self_algorithm,
    )


__all__ = ["Hash", "VendorKey", "armour", "cached_key", "generate"]
