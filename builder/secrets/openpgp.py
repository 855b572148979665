"""The few packets of OpenPGP that an RSA key needs that signs, as RFC 4880 has them.

rpm 4.11 (EL7) knows no subkeys and no other algorithms than RSA and DSA, and today's libraries
make nothing but keys with subkeys; so they are written here.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

RSA = 1
RSA_ALGORITHMS = {1, 3}
"""RSA that does everything, and RSA that signs only."""
SHA256 = 8
SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY, USER, PUBLIC_SUBKEY = 2, 5, 6, 7, 13, 14
OVER_DATA, OVER_USER = 0x00, 0x13
CERTIFY_AND_SIGN = 0x03
VERSION = 4


def armour(title: str, content: bytes) -> bytes:
    """Wrap packets as text (RFC 4880 6), with the checksum that old readers insist on."""
    coded = base64.b64encode(content)
    lines = [coded[at : at + 64] for at in range(0, len(coded), 64)]
    checksum = b"=" + base64.b64encode(crc24(content).to_bytes(3))
    head, tail = f"-----BEGIN PGP {title}-----", f"-----END PGP {title}-----"
    return b"\n".join([head.encode(), b"", *lines, checksum, tail.encode(), b""])


def fingerprint(public: bytes) -> str:
    """Return the fingerprint of a public key's body, as upper-case hex."""
    return hashlib.sha1(framed(public), usedforsecurity=False).hexdigest().upper()


def public_body(private: rsa.RSAPrivateKey, created: int, algorithm: int = RSA) -> bytes:
    numbers = private.public_key().public_numbers()
    head = bytes([VERSION]) + created.to_bytes(4) + bytes([algorithm])
    return head + number(numbers.n) + number(numbers.e)


def secret_body(public: bytes, private: rsa.RSAPrivateKey) -> bytes:
    """Return the body of the secret key packet, without a password."""
    numbers = private.private_numbers()
    p, q = sorted((numbers.p, numbers.q))  # RFC 4880 5.5.3: u is the inverse of p, p < q
    parts = b"".join(number(value) for value in (numbers.d, p, q, pow(p, -1, q)))
    return public + b"\x00" + parts + (sum(parts) & 0xFFFF).to_bytes(2)


def covered_user(public: bytes, name: bytes) -> bytes:
    """Return what a key's signature over its own name covers (RFC 4880 5.2.4)."""
    return framed(public) + b"\xb4" + len(name).to_bytes(4) + name


def signature(
    private: rsa.RSAPrivateKey,
    public: bytes,
    covered: bytes,
    *,
    created: int,
    kind: int,
    algorithm: int = RSA,
    digest: tuple[int, hashes.HashAlgorithm] = (SHA256, hashes.SHA256()),
    more: bytes = b"",
) -> bytes:
    """Return a signature packet of version 4; ``more`` are subpackets that it covers, too."""
    issuer = bytes.fromhex(fingerprint(public))
    hashed = subpacket(2, created.to_bytes(4)) + more + subpacket(33, b"\x04" + issuer)
    head = bytes([VERSION, kind, algorithm, digest[0]]) + len(hashed).to_bytes(2) + hashed
    loose = subpacket(16, issuer[-8:])
    trailer = b"\x04\xff" + len(head).to_bytes(4)
    proof = sign_digest(private, covered + head + trailer, digest[1])
    return packet(SIGNATURE, head + len(loose).to_bytes(2) + loose + proof)


def sign_digest(
    private: rsa.RSAPrivateKey, covered: bytes, algorithm: hashes.HashAlgorithm
) -> bytes:
    """Return the end of a signature: the digest's first two bytes, and the number."""
    digest = hashlib.new(algorithm.name, covered, usedforsecurity=False).digest()
    made = private.sign(digest, padding.PKCS1v15(), utils.Prehashed(algorithm))
    return digest[:2] + number(int.from_bytes(made))


def packet(tag: int, body: bytes) -> bytes:
    """Frame a packet in the old format with a two-byte length, as gnupg and rpm do."""
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2) + body


def framed(body: bytes) -> bytes:
    """Frame a key the way in which it is hashed."""
    return b"\x99" + len(body).to_bytes(2) + body


def subpacket(kind: int, body: bytes) -> bytes:
    """Frame a subpacket of at most 190 bytes."""
    return bytes([len(body) + 1, kind]) + body


def number(value: int) -> bytes:
    """Write a multiprecision integer (RFC 4880 3.2)."""
    bits = value.bit_length()
    return bits.to_bytes(2) + value.to_bytes((bits + 7) // 8)


def crc24(content: bytes) -> int:
    """Compute the checksum of an armour (RFC 4880 6.1)."""
    register = 0xB704CE
    for byte in content:
        register ^= byte << 16
        for _ in range(8):
            register <<= 1
            if register & 0x1000000:
                register ^= 0x1864CFB
    return register
