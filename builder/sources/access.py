"""The way out: one HTTP client and one connection to registries for a whole run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.closing import Closing
from builder.http import Client
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.pull import Puller

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from builder.backoff import Backoff
    from builder.http.environment import ClientCertificate
    from builder.oci.auth import Credential


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """What a user says of a registry of his own: what to trust, and who we are to it."""

    ca_bundle: Path | None = None
    plain_http: tuple[str, ...] = ()
    """Hosts that speak no TLS."""
    tls: tuple[str, ...] = ()
    """Hosts on loopback that speak TLS."""
    authfile: Path | None = None
    logins: Mapping[str, Credential] | None = None
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Access(Closing):
    """Hold the clients that every source shares; close it when the run is over."""

    client: Client
    connection: RegistryConnection
    registry: Puller

    @classmethod
    def open(
        cls,
        *,
        ca_bundle: Path | None = None,
        plain_http: Iterable[str] = (),
        pool: int = 16,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        settings: AccessSettings | None = None,
    ) -> Access:
        """Make the clients as the environment says: proxies, certificates, docker's logins.

        ``timeout`` are seconds of silence, where they are not the environment's; ``settings`` are
        what a user says beyond that of a registry of his own.
        """
        settings = settings or AccessSettings(ca_bundle=ca_bundle)
        client = Client(
            ca_bundle=settings.ca_bundle,
            certificate=settings.certificate,
            pool=pool,
            backoff=backoff,
            read_timeout=timeout,
        )
        credentials = Credentials.load(
            os.environ, authfile=settings.authfile, logins=settings.logins
        )
        connection = RegistryConnection(
            client,
            credentials,
            plain_http_hosts=[*plain_http, *settings.plain_http],
            tls_hosts=settings.tls,
        )
        return cls(client, connection, Puller(connection))

    def close(self) -> None:
        self.client.close()
