"""Public keys, and signatures over bytes made with them, as cosign makes them."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from builder.errors import VerificationError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
_LEAST_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def read_key(text: str, *, where: str = "key") -> PublicKey:
    """Read a public key in PEM form; raise VerificationError for anything else or a weak one."""
    if "PRIVATE KEY" in text:
        raise VerificationError(
            "this is a private key",
            where=where,
            hint="cosign public-key --key FILE prints the public key",
        )
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(
            "the public key cannot be read", where=where, expected="PEM, as cosign.pub has it"
        ) from error
    return strong(key, where=where)


def strong(key: object, *, where: str) -> PublicKey:
    """Return a key if signatures are made with such keys today, else raise VerificationError."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise VerificationError(
        "keys of this kind are not accepted", where=where,
        expected="ECDSA on a NIST curve, RSA of 2048 bits or more, or Ed25519",
    )  # fmt: skip


def is_signed(content: bytes, signature: bytes, key: PublicKey) -> bool:
    """Tell whether a signature over bytes was made with a key, by SHA-256 where it hashes."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def der(key: PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def short(key: PublicKey) -> str:
    return f"sha256:{hashlib.sha256(der(key)).hexdigest()[:16]}"
