"""A certificate authority of the lab's own, which vouches for any host name."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 64  # of a common name; the whole host stands in the alternative names
_LIFE = timedelta(days=3650)


class TLSAuthority:
    """Make TLS contexts for host names; certificates are kept in a folder and used again."""

    def __init__(self, folder: Path, name: str = "airseed lab") -> None:
        self.folder = folder
        self.name = name
        self.path = folder / "ca.pem"
        """The authority's certificate, in PEM form."""
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        if not self._fits():
            for stale in folder.glob("*.pem"):
                stale.unlink()
            self._create()

    def context(self, host: str) -> ssl.SSLContext:
        """Return the server side's TLS context for a host name or an address."""
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.load_cert_chain(self._leaf(host))
                self._contexts[host] = context
            return self._contexts[host]

    def _fits(self) -> bool:
        """Tell whether the folder holds an authority that lives for another day."""
        if not (self.path.exists() and (self.folder / "ca-key.pem").exists()):
            return False
        certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        return certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(self.name, key, None)
        (self.folder / "ca-key.pem").write_bytes(_key_text(key))
        self.path.write_bytes(_text(certificate))

    def _leaf(self, host: str) -> Path:
        path = self.folder / f"host-{host.replace(':', '_')}.pem"
        if not path.exists():
            own = x509.load_pem_x509_certificate(self.path.read_bytes())
            signer = serialization.load_pem_private_key(
                (self.folder / "ca-key.pem").read_bytes(), None
            )
            assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 -- made by _create
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _certificate(host, key, (own, signer))
            path.write_bytes(_key_text(key) + _text(certificate))
        return path


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    """Make a certificate as strict verifiers want it; without an issuer, an authority's."""
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:_LONGEST])])
    signer = issuer[1] if issuer else key
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer[0].subject if issuer else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(_usage(authority=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if issuer:
        names: list[x509.GeneralName] = []
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name))
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        ).add_extension(purposes, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
