"""The site's key, which signs what is made here: one RSA key that certifies and signs.

All its signatures bear the key's own time, so that the same content gives the same signature.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from builder.openpgp import PacketError, packets, read_number
from builder.secrets import openpgp
from builder.secrets.pem import LEAST_BITS

_EXPONENT = 65537
_BITS = 3072
_LONGEST = 0xFFFF
_TITLE = "PRIVATE KEY BLOCK"
_BLOCK = re.compile(
    rb"-----BEGIN PGP PRIVATE KEY BLOCK-----\r?\n(?:[A-Za-z]+: [^\n]*\n)*\r?\n"
    rb"([A-Za-z0-9+/=\r\n]+?)\r?\n=([A-Za-z0-9+/]{4})\r?\n-----END PGP PRIVATE KEY BLOCK-----"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """Hold a key that signs; no part of it that is secret shows in its ``repr``."""

    created: int
    """Seconds since 1970, of the key and of all its signatures."""
    private: rsa.RSAPrivateKey = field(repr=False)
    proof: bytes = field(repr=False)
    """Its name and the key's signature over it, as packets."""
    algorithm: int = openpgp.RSA

    @property
    def fingerprint(self) -> str:
        return openpgp.fingerprint(self._public)

    @property
    def public(self) -> bytes:
        """Return the public half, armoured, as ``rpm --import`` takes it."""
        return openpgp.armour(
            "PUBLIC KEY BLOCK", openpgp.packet(openpgp.PUBLIC_KEY, self._public) + self.proof
        )

    @property
    def secret(self) -> bytes:
        """Return the whole key, armoured and without a password."""
        return openpgp.armour(
            _TITLE,
            openpgp.packet(openpgp.SECRET_KEY, openpgp.secret_body(self._public, self.private))
            + self.proof,
        )

    def sign(self, content: bytes) -> bytes:
        return openpgp.signature(
            self.private, self._public, content, created=self.created, kind=openpgp.OVER_DATA,
            algorithm=self.algorithm,
        )  # fmt: skip

    @property
    def _public(self) -> bytes:
        return openpgp.public_body(self.private, self.created, self.algorithm)


def new(user: str) -> SigningKey:
    """Make a key for a user, ``NAME <ADDRESS>``; RSA, since EL7 takes no other."""
    private = rsa.generate_private_key(_EXPONENT, _BITS)
    created = int(time.time())
    body, name = openpgp.public_body(private, created), user.encode()
    certified = openpgp.signature(
        private, body, openpgp.covered_user(body, name), created=created, kind=openpgp.OVER_USER,
        more=openpgp.subpacket(27, bytes([openpgp.CERTIFY_AND_SIGN])),
    )  # fmt: skip
    return SigningKey(
        created=created, private=private, proof=openpgp.packet(openpgp.USER, name) + certified
    )


def read(content: bytes) -> SigningKey:
    """Read a key as :func:`new` makes it, or as gpg exports one of RSA without a password.

    Raise ValueError with one sentence, which repeats nothing of the file.
    """
    try:
        return _read(content)
    except PacketError as error:
        raise ValueError(f"the key is damaged: {error}") from error


def _read(text: bytes) -> SigningKey:
    block = _BLOCK.search(text)
    if block is None:
        raise ValueError("holds no OpenPGP secret key in armour")
    try:
        content = base64.b64decode(block[1], validate=False)
    except binascii.Error as error:
        raise ValueError("the key is damaged") from error
    if base64.b64decode(block[2]) != openpgp.crc24(content).to_bytes(3):
        raise ValueError("the key is damaged: its checksum does not hold")
    parts = list(packets(content))
    if not parts or parts[0][0] != openpgp.SECRET_KEY:
        raise ValueError("holds no OpenPGP secret key")
    created, algorithm, private = _secret(parts[0][1])
    proof = b""
    for tag, body in parts[1:]:
        if tag in {openpgp.SECRET_SUBKEY, openpgp.PUBLIC_SUBKEY, openpgp.SECRET_KEY}:
            break
        if len(body) > _LONGEST:
            raise ValueError("the key is damaged: a packet of it is too large")
        if tag in {openpgp.USER, openpgp.SIGNATURE}:
            proof += openpgp.packet(tag, body)
    if not any(tag == openpgp.USER for tag, _ in packets(proof)):
        raise ValueError("the key has no name")
    return SigningKey(created=created, private=private, proof=proof, algorithm=algorithm)


def _secret(body: bytes) -> tuple[int, int, rsa.RSAPrivateKey]:
    """Read a secret key: when it was made, its algorithm, and the key (RFC 4880 5.5.3)."""
    if len(body) < 6 or body[0] != openpgp.VERSION:  # noqa: PLR2004 -- version, time, algorithm
        raise ValueError("the key has another version than 4, which is all that EL7 takes")
    if body[5] not in openpgp.RSA_ALGORITHMS:
        raise ValueError("the key is not an RSA key, which is what EL7 takes")
    n, at = read_number(body, 6)
    e, at = read_number(body, at)
    if body[at : at + 1] != b"\x00":
        raise ValueError("the key has a password")
    d, end = read_number(body, at + 1)
    p, end = read_number(body, end)
    q, end = read_number(body, end)
    if n.bit_length() < LEAST_BITS:
        raise ValueError(f"the key has {n.bit_length()} bits, fewer than {LEAST_BITS}")
    try:
        numbers = rsa.RSAPrivateNumbers(
            p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p),
            public_numbers=rsa.RSAPublicNumbers(e, n),
        )  # fmt: skip
        private = numbers.private_key()
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError("the key is damaged: its numbers don't fit together") from error
    return int.from_bytes(body[1:5]), body[5], private
