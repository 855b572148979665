"""OpenPGP keys of the shape that old Linux distributions sign with.

CentOS 7, Docker and Google sign with one RSA primary key that certifies and signs; CentOS 7's
signatures have version 3. Today's libraries make subkeys for signing and version 4 only, and
rpm 4.11 knows no subkeys, so the few packets are written here. RFC 4880 describes them.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

Hash = Literal["sha1", "sha256", "sha512"]
_HASHES: dict[Hash, int] = {"sha1": 2, "sha256": 8, "sha512": 10}
_KINDS: dict[Hash, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- as old keys are
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}
_RSA = 1
_OVER_DATA, _OVER_USER = 0x00, 0x13
_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _USER = 2, 5, 6, 13
_CERTIFY_AND_SIGN = 0x03
_EXPONENT = 65537


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """Hold an RSA key with its name and the habits of its owner."""

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
        """Give the fingerprint as 40 upper-case hex digits."""
        return hashlib.sha1(_framed(self._public()), usedforsecurity=False).hexdigest().upper()

    @property
    def public(self) -> bytes:
        """Give the public key, armoured."""
        return armour("PUBLIC KEY BLOCK", self._with_user(_packet(_PUBLIC_KEY, self._public())))

    @property
    def secret(self) -> bytes:
        """Give the secret key, armoured and without a password."""
        return armour("PRIVATE KEY BLOCK", self._with_user(_packet(_SECRET_KEY, self._secret())))

    def sign(self, content: bytes) -> bytes:
        """Give a detached binary signature over bytes."""
        if self.version == 3:  # noqa: PLR2004 -- RFC 4880 5.2.2
            return self._sign_old(content)
        return self._sign(content, _OVER_DATA, self.hash, b"")

    def _public(self) -> bytes:
        numbers = self.private.public_key().public_numbers()
        head = b"\x04" + self.created.to_bytes(4) + bytes([_RSA])
        return head + _number(numbers.n) + _number(numbers.e)

    def _secret(self) -> bytes:
        numbers = self.private.private_numbers()
        p, q = sorted((numbers.p, numbers.q))  # RFC 4880 5.5.3: u is the inverse of p, p < q
        parts = b"".join(_number(value) for value in (numbers.d, p, q, pow(p, -1, q)))
        return self._public() + b"\x00" + parts + (sum(parts) & 0xFFFF).to_bytes(2)

    def _with_user(self, key: bytes) -> bytes:
        name = self.user.encode()
        covered = _framed(self._public()) + b"\xb4" + len(name).to_bytes(4) + name
        flags = _subpacket(27, bytes([_CERTIFY_AND_SIGN]))
        return key + _packet(_USER, name) + self._sign(covered, _OVER_USER, self.self_hash, flags)

    def _sign(self, covered: bytes, kind: int, algorithm: Hash, more: bytes) -> bytes:
        issuer = bytes.fromhex(self.fingerprint)
        hashed = _subpacket(2, self.created.to_bytes(4)) + more + _subpacket(33, b"\x04" + issuer)
        head = bytes([4, kind, _RSA, _HASHES[algorithm]]) + len(hashed).to_bytes(2) + hashed
        loose = _subpacket(16, issuer[-8:])
        trailer = b"\x04\xff" + len(head).to_bytes(4)
        proof = self._prove(covered + head + trailer, algorithm)
        return _packet(_SIGNATURE, head + len(loose).to_bytes(2) + loose + proof)

    def _sign_old(self, covered: bytes) -> bytes:
        hashed = bytes([_OVER_DATA]) + self.created.to_bytes(4)
        issuer = bytes.fromhex(self.fingerprint)[-8:]
        head = b"\x03\x05" + hashed + issuer + bytes([_RSA, _HASHES[self.hash]])
        return _packet(_SIGNATURE, head + self._prove(covered + hashed, self.hash))

    def _prove(self, covered: bytes, algorithm: Hash) -> bytes:
        digest = hashlib.new(algorithm, covered, usedforsecurity=False).digest()
        how = utils.Prehashed(_KINDS[algorithm])
        signature = self.private.sign(digest, padding.PKCS1v15(), how)
        return digest[:2] + _number(int.from_bytes(signature))


def generate(
    user: str,
    *,
    created: int,
    bits: int = 2048,
    version: Literal[3, 4] = 4,
    algorithm: Hash = "sha256",
    self_algorithm: Hash = "sha256",
) -> SigningKey:
    """Make a new key; ``created`` is in seconds since 1970."""
    return SigningKey(
        user=user,
        created=created,
        private=rsa.generate_private_key(_EXPONENT, bits),
        version=version,
        hash=algorithm,
        self_hash=self_algorithm,
    )


def armour(title: str, content: bytes) -> bytes:
    """Wrap packets as text (RFC 4880 6), with the checksum that old readers insist on."""
    coded = base64.b64encode(content)
    lines = [coded[at : at + 64] for at in range(0, len(coded), 64)]
    checksum = b"=" + base64.b64encode(_crc24(content).to_bytes(3))
    head, tail = f"-----BEGIN PGP {title}-----", f"-----END PGP {title}-----"
    return b"\n".join([head.encode(), b"", *lines, checksum, tail.encode(), b""])


def _crc24(content: bytes) -> int:
    register = 0xB704CE
    for byte in content:
        register ^= byte << 16
        for _ in range(8):
            register <<= 1
            if register & 0x1000000:
                register ^= 0x1864CFB
    return register


def _packet(tag: int, body: bytes) -> bytes:
    """Frame a packet in the old format with a two-byte length, as gnupg and rpm do."""
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2) + body


def _framed(body: bytes) -> bytes:
    """Frame a key the way in which it is hashed."""
    return b"\x99" + len(body).to_bytes(2) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _number(value: int) -> bytes:
    bits = value.bit_length()
    return bits.to_bytes(2) + value.to_bytes((bits + 7) // 8)
