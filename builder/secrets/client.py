"""Client certificates: signed by the cluster's authority, without any cluster being asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builder.errors import UsageError
from builder.secrets import pem
from builder.secrets.authority import SKEW, new_key, usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.model.secrets import ClusterAuthority

DAYS = 365
"""How long a certificate lives when nobody says otherwise, as kubeadm has it."""
LONGEST_NAME = 64
"""Of a user or group: the upper bound of common name and organization (RFC 5280, A.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedCertificate:
    certificate: str
    """PEM; public."""
    key: str = field(repr=False)
    """PEM."""
    end: datetime
    """When the certificate ends; nothing ends it earlier, for Kubernetes knows no revocation."""


def mint(
    authority: ClusterAuthority, *, user: str, groups: Sequence[str], days: int | None = None
) -> MintedCertificate:
    """Make a key and a certificate for one user, who is in these groups.

    Without ``days`` it lives for :data:`DAYS`, or until the authority ends.

    Raises:
        UsageError: a name is none, or the certificate would outlive the authority.
    """
    for name in (user, *groups):
        if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
            raise UsageError(
                f"{name[:LONGEST_NAME]!r} can't be used in a certificate",
                expected=f"1 to {LONGEST_NAME} printable characters",
            )
    issuer = pem.certificates(authority.certificate.encode())[0]
    now = datetime.now(UTC).replace(microsecond=0)
    last = issuer.not_valid_after_utc
    end = now + timedelta(days=DAYS if days is None else days)
    if end > last:
        if days is not None:
            raise UsageError(
                f"{days} days are longer than the cluster's authority is valid, "
                f"which ends on {last:%Y-%m-%d}",
                expected=f"{(last - now).days} days at most",
            )
        end = last
    # as Kubernetes reads it: O is a group, CN the user
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    names.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    key = new_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, issuer.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    identifier = _identifier(issuer)
    if identifier is not None:
        builder = builder.add_extension(identifier, critical=False)
    signed = builder.sign(pem.private_key(authority.key.encode()), hashes.SHA256())
    return MintedCertificate(
        certificate=pem.certificate_text(signed), key=pem.key_text(key), end=end
    )


def _identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier | None:
    """Name the authority's key; kubeadm's authorities had no identifier when Go gave them none."""
    try:
        with pem.tolerant():
            own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)
