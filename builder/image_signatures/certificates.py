"""Certificates of signing services (Fulcio): valid when they were used, and for whom.

The chain is built and checked by cryptography; what these certificates have that a web server's
have not (signing code as their purpose, an identity for a name) is looked at here.
https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md has the extensions.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from builder.errors import VerificationError
from builder.image_signatures.public_keys import strong
from builder.model.signer import Identity

if TYPE_CHECKING:
    import datetime as dt

    from builder.image_signatures.public_keys import PublicKey
    from builder.model.signer import Authority

_ISSUER_OLD = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_MOST = 8
_DEEPEST = 4
_UTF8 = 0x0C
_PARSING = threading.Lock()
"""Held while warnings are caught, which is a matter of the whole process."""
_DAMAGE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read_certificates(text: str, *, where: str = "certificate") -> list[x509.Certificate]:
    """Read certificates in PEM form; raise VerificationError for anything else."""
    try:
        with _PARSING, warnings.catch_warnings():
            # what will be refused one day is refused now, and no stranger makes us talk
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            certificates = x509.load_pem_x509_certificates(text.encode())
            for certificate in certificates:  # these are read only when they are asked for
                _ = (
                    certificate.serial_number,
                    list(certificate.extensions),
                )
    except (CryptographyDeprecationWarning, *_DAMAGE) as error:
        raise VerificationError("the certificate cannot be read", where=where) from error
    if len(certificates) > _MOST:
        raise VerificationError("there are too many certificates", where=where)
    return certificates


def signing_key(leaf: x509.Certificate) -> PublicKey:
    """Return the key of a certificate; raise VerificationError for one of an unusual kind."""
    try:
        return strong(leaf.public_key(), where="certificate")
    except _DAMAGE as error:
        raise VerificationError("the key of the certificate cannot be read") from error


def check_chain(
    leaf: x509.Certificate, above: list[x509.Certificate], authority: Authority, at: dt.datetime
) -> None:
    """Check that an authority's certificate was good for signing at a time, all its chain too.

    Raise VerificationError. ``above`` are certificates that came with it, trusted in nothing.
    """
    pinned = [known for text in authority.certificates for known in read_certificates(text)]
    roots = [known for known in pinned if known.issuer == known.subject]
    between = [known for known in pinned if known.issuer != known.subject] + above
    if not roots:
        raise VerificationError(f"the authority {authority.name} has no root certificate")
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        raise VerificationError(
            f"the certificate was not valid when it was used ({_time(at)})",
            expected=f"{_time(leaf.not_valid_before_utc)} to {_time(leaf.not_valid_after_utc)}",
        )
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(roots))
            .time(at.replace(tzinfo=None))
            .max_chain_depth(_DEEPEST)
            .extension_policies(ca_policy=_above(), ee_policy=_below())
            .build_client_verifier()
        )
        chain = verifier.verify(leaf, between).chain
    except verification.VerificationError as error:
        reason = " ".join(str(error).split())[:200]
        raise VerificationError(
            f"the certificate was not issued by the authority {authority.name}: {reason}"
        ) from error
    except _DAMAGE as error:
        raise VerificationError("the certificate is damaged") from error
    _check_lengths(chain)


def identity_of(leaf: x509.Certificate) -> Identity:
    """Return the identity that a certificate names; raise VerificationError without one."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subjects: list[str] = [
            *names.get_values_for_type(x509.RFC822Name),
            *names.get_values_for_type(x509.UniformResourceIdentifier),
        ]
        issuer = _issuer(leaf)
    except (x509.ExtensionNotFound, *_DAMAGE) as error:
        raise VerificationError("the certificate names no identity") from error
    if len(subjects) != 1 or len(list(names)) != 1:
        raise VerificationError("the certificate does not name exactly one address or URI")
    return Identity(subject=subjects[0], issuer=issuer)


def is_for(identity: Identity, wanted: Identity) -> bool:
    return identity.issuer == wanted.issuer and _fits(identity.subject, wanted.subject)


def _fits(name: str, pattern: str) -> bool:
    """Tell whether a name is as a pattern says, in which ``*`` stands for anything.

    Both may be hostile, so there is no going back: the first place for each piece will do.
    """
    first, *pieces = pattern.split("*")
    if not pieces:
        return name == pattern
    *middle, last = pieces
    position, end = len(first), len(name) - len(last)
    if position > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in middle:
        match = name.find(piece, position, end)
        if match < 0:
            return False
        position = match + len(piece)
    return True


def _issuer(leaf: x509.Certificate) -> str:
    """Read who vouched: newer certificates have it as a DER text, older ones as bare bytes."""
    for oid in (_ISSUER, _ISSUER_OLD):
        try:
            extension = leaf.extensions.get_extension_for_oid(oid).value
        except x509.ExtensionNotFound:
            continue
        content = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""
        if oid == _ISSUER:
            if len(content) < 3 or content[0] != _UTF8 or content[1] != len(content) - 2:  # noqa: PLR2004 -- tag, length, text
                raise ValueError("no DER text")
            content = content[2:]
        return content.decode("utf-8")
    raise ValueError("no issuer")


def _above() -> verification.ExtensionPolicy:
    def may_certify(_policy: Any, _cert: Any, constraints: x509.BasicConstraints) -> None:
        if not constraints.ca:
            raise ValueError("an intermediate certificate is not a certificate authority's")

    def may_sign(_policy: Any, _cert: Any, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.key_cert_sign:
            raise ValueError("an authority's key may not sign certificates")

    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, may_certify)
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, may_sign)
    )


def _below() -> verification.ExtensionPolicy:
    def for_code(_policy: Any, _cert: Any, usage: x509.ExtendedKeyUsage) -> None:
        if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
            raise ValueError("the certificate is not for code signing")

    return verification.ExtensionPolicy.permit_all().require_present(
        x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, for_code
    )


def _check_lengths(chain: list[x509.Certificate]) -> None:
    """Check how many authorities each one allows below itself (RFC 5280 4.2.1.9)."""
    for below, authority in enumerate(chain[1:]):
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.path_length is not None and below > constraints.path_length:
            raise VerificationError("its certificate chain is longer than an authority allows")


def _time(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
