"""What the command line says of a site's own registry, as the clients take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.http.environment import ClientCertificate
from builder.oci.auth import Credential
from builder.sources.access import AccessSettings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AccessSettings", "settings_for"]


def settings_for(
    host: str,
    *,
    ca_bundle: Path | None = None,
    plain_http: bool = False,
    tls: bool = False,
    authfile: Path | None = None,
    login: tuple[str, str] | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> AccessSettings:
    """Describe the way to one host; ``login`` is user and password."""
    return AccessSettings(
        ca_bundle=ca_bundle,
        plain_http=(host,) if plain_http else (),
        tls=(host,) if tls else (),
        authfile=authfile,
        logins={host: Credential(username=login[0], password=login[1])} if login else None,
        certificate=ClientCertificate(certificate=certificate, key=key) if certificate else None,
    )
