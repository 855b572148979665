"""Certificate authorities: made as kubeadm makes them, and checked as kubeadm will read them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builder.errors import Fault
from builder.model.secrets import ClusterAuthority
from builder.secrets import pem

LIFE = timedelta(days=3650)
SKEW = timedelta(hours=24)
"""A certificate is valid this long before it is made: kubeadm refuses an authority that is not
valid yet, and a machine whose clock keeps local time is up to 14 hours off until chrony runs."""
_NAME = "kubernetes"
_BITS = 2048


def new_key() -> pem.PrivateKey:
    """Make a key; RSA with 2048 bits, as kubeadm does."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_BITS)


def self_signed(key: pem.PrivateKey) -> x509.Certificate:
    """Make the certificate of a cluster authority, with the names and uses that kubeadm gives it.

    Unlike kubeadm's it has a random serial number and key identifiers (RFC 5280, 4.1.2.2, 4.2.1.1
    and 4.2.1.2).
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=signs,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def digest(certificate: x509.Certificate) -> str:
    """Return what ``caCertHashes`` has: SHA-256 over the public key in DER form."""
    key = certificate.public_key()
    if not isinstance(key, pem.PublicKey):
        raise TypeError("an authority's key is RSA or ECDSA")  # checked against its private key
    return f"sha256:{hashlib.sha256(pem.public_bytes(key)).hexdigest()}"


def end(certificate: str) -> datetime:
    """Tell when a certificate in PEM form, which was checked before, ends."""
    return pem.certificates(certificate.encode())[0].not_valid_after_utc


def read(
    certificate: bytes, key: bytes, *, where: tuple[str, str], faults: list[Fault]
) -> ClusterAuthority | None:
    """Read an authority from the contents of its two files, whose names ``where`` has.

    Every fault is added to ``faults``; with one that hides the others the result is None.
    """
    chain = pem.attempt(pem.certificates, certificate, where[0], faults, _HINT)
    signer = pem.attempt(pem.private_key, key, where[1], faults, _HINT)
    if chain is not None:
        faults.extend(
            Fault(where=where[0], what=what, hint=hint) for what, hint in _faults(chain[0])
        )
    if chain is None or signer is None:
        return None
    if _public(chain[0]) != pem.public_bytes(signer.public_key()):
        faults.append(
            Fault(where=where[1], what=f"the key does not belong to {where[0]}", hint=_HINT)
        )
        return None
    return ClusterAuthority(
        certificate="".join(map(pem.certificate_text, chain)),
        key=pem.key_text(signer),
        digest=digest(chain[0]),
    )


_HINT = "restore the file from your backup"


def _public(certificate: x509.Certificate) -> bytes | None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return pem.public_bytes(key) if isinstance(key, pem.PublicKey) else None


def _faults(certificate: x509.Certificate) -> list[tuple[str, str | None]]:
    reasons: list[tuple[str, str | None]] = []
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    clock = f"this machine's clock says {now:%Y-%m-%d %H:%M}"
    if ends <= now:
        what = f"the certificate ended on {ends:%Y-%m-%d at %H:%M} UTC"
        hint = "a new one for the same key keeps the hash; set the clock if it is ahead"
        reasons.append((f"{what}, {clock}", hint))
    if begins > now:
        what = f"the certificate begins on {begins:%Y-%m-%d at %H:%M} UTC"
        reasons.append((f"{what}, {clock}", "set the clock if it is behind"))
    try:
        with pem.tolerant():
            if not _is_authority(certificate.extensions):
                reasons.append(("the certificate is not an authority's", "it may not sign others"))
            if _is_root(certificate):
                certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        reasons.append(("the certificate is damaged: its own signature does not hold", _HINT))
    except UnsupportedAlgorithm:
        pass  # an old signature, which nobody checks on an authority that is trusted itself
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        reasons.append(("the certificate is damaged", _HINT))
    return reasons


def _is_root(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says, by its names or its key identifiers, that it signed itself.

    Either is enough, so that a flipped bit in one of them is found.
    """
    names = certificate.subject == certificate.issuer
    signer, own = None, None
    for extension in certificate.extensions:
        match extension.value:
            case x509.AuthorityKeyIdentifier() as identifier:
                signer = identifier.key_identifier
            case x509.SubjectKeyIdentifier() as identifier:
                own = identifier.digest
            case _:
                pass
    return names or (own is not None and own == signer)


def _is_authority(extensions: x509.Extensions) -> bool:
    purposes = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    authority, signs, any_purpose = False, True, True
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints() as basic:
                authority = basic.ca
            case x509.KeyUsage() as use:
                signs = use.key_cert_sign
            case x509.ExtendedKeyUsage() as extended:
                given = set(extended)
                any_purpose = (
                    purposes <= given or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in given
                )
            case _:
                pass
    return authority and signs and any_purpose
