"""PEM to certificates and keys, strictly as kubeadm will read them; and back.

What is wrong is a ValueError with one sentence, which repeats nothing of the file.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning

from builder.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

LEAST_BITS = 2048
"""Of an RSA key; TLS libraries of today refuse shorter ones."""
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----")
_PRIVATE = {b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"PRIVATE KEY"}
_Read = TypeVar("_Read")
_DAMAGE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    """Read certificates without a warning of what is against today's rules.

    kubeadm gave its authorities the serial number 0 up to 1.18 and beyond.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def certificates(content: bytes) -> list[x509.Certificate]:
    """Read one certificate or more; the first one is the authority, as kubeadm has it."""
    parsed = []
    for label, block in _blocks(content, secret=False):
        if label != b"CERTIFICATE":
            continue
        try:
            with tolerant():
                parsed.append(x509.load_pem_x509_certificate(block))
        except _DAMAGE as error:
            raise ValueError("the certificate is damaged") from error
    if not parsed:
        raise ValueError("holds no certificate in PEM form")
    return parsed


def private_key(content: bytes) -> PrivateKey:
    if b"ENCRYPTED" in content:
        raise ValueError("the key needs a passphrase, which kubeadm can't ask for")
    block = next((block for label, block in _blocks(content) if label in _PRIVATE), None)
    if block is None:
        raise ValueError("holds no private key in PEM form")
    try:
        key = serialization.load_pem_private_key(block, None)
    except _DAMAGE:
        # without its cause, which might quote what it could not read
        raise ValueError("the key is damaged") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < LEAST_BITS:
            raise ValueError(f"the key has {key.key_size} bits, fewer than {LEAST_BITS}")
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    raise ValueError("the key is neither RSA nor ECDSA over P-256, P-384 or P-521")


def public_keys(content: bytes) -> list[PublicKey]:
    keys: list[PublicKey] = []
    for label, block in _blocks(content, secret=False):
        if label != b"PUBLIC KEY":
            continue
        try:
            key = serialization.load_pem_public_key(block)
        except _DAMAGE as error:
            raise ValueError("the public key is damaged") from error
        if not isinstance(key, PublicKey):
            raise ValueError("the public key is neither RSA nor ECDSA")  # noqa: TRY004 -- see the module
        keys.append(key)
    if not keys:
        raise ValueError("holds no public key in PEM form")
    return keys


def certificate_text(certificate: x509.Certificate) -> str:
    """Write a certificate, without whatever its file had around it."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_text(key: PrivateKey) -> str:
    """Write a private key as kubeadm does: PKCS #1 for RSA, SEC 1 for ECDSA."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def public_text(key: PublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def public_bytes(key: PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def attempt(
    read: Callable[[bytes], _Read],
    content: bytes,
    where: str,
    faults: list[Fault],
    hint: str | None = None,
) -> _Read | None:
    """Read a file's content; return None where that fails, and add the fault."""
    try:
        return read(content)
    except ValueError as error:
        faults.append(Fault(where=where, what=str(error), hint=hint))
        return None


def _blocks(content: bytes, *, secret: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Find the blocks of a file; one whose content goes to every node may have no secret."""
    if not secret and b"PRIVATE KEY-----" in content:
        raise ValueError("holds a private key, and this file goes to many nodes")
    for match in _BLOCK.finditer(content):
        yield match[1], match[0] + b"\n"
