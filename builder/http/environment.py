"""What the environment says about the network: proxies, certificate authorities, patience."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from builder import disk
from builder.errors import UsageError, reason
from builder.redact import quoted, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SILENCE = 30.0
_LONGEST_SILENCE = 3600.0


def timeout(environment: Mapping[str, str] = os.environ) -> float:
    """Return the seconds of silence after which a connection is dropped: AIRSEED_TIMEOUT, or 30.

    Raise UsageError for what is not such a number.
    """
    text = environment.get("AIRSEED_TIMEOUT", "")
    if not text:
        return _SILENCE
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_SILENCE:  # nan is not
        raise UsageError(
            f"{quoted(text, 40)} is not a waiting time",
            where="AIRSEED_TIMEOUT",
            expected=f"seconds, more than 0 and at most {_LONGEST_SILENCE:.0f}",
        )
    return seconds


def proxies_for(url: str) -> dict[str, str]:
    """Return the proxy for a URL as requests takes it, nothing for a direct connection.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are read as requests reads them. Beyond that,
    loopback is always reached directly, and NO_PROXY may hold ``*.example.test``, networks of
    IPv6, and addresses with a port. Raise UsageError for SOCKS and for a proxy that is not a URL.
    """
    parts = urlsplit(url)
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy or _is_direct(parts.hostname or "", parts.port):
        return {}
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not _is_proxy(proxy):
        raise UsageError(
            "this kind of proxy is not supported",
            where=redact(proxy),
            expected="an http:// or https:// proxy",
            hint="unset ALL_PROXY or give HTTP_PROXY and HTTPS_PROXY; in a password, write / as"
            " %2F, @ as %40, : as %3A",
        )
    return {parts.scheme: proxy}


def _is_proxy(url: str) -> bool:
    """Tell whether a URL names a proxy and nothing else: what follows a slash is of a password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return good and not (parts.path.strip("/") or parts.query or parts.fragment)


def _is_direct(host: str, port: int | None) -> bool:
    """Tell whether a host is loopback, or in NO_PROXY in a form that requests does not know."""
    entries = [entry.strip().lower() for entry in getproxies().get("no", "").split(",")]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        stars = [entry.removeprefix("*") for entry in entries if entry.startswith("*.")]
        return host == "localhost" or any(f".{host}".endswith(star) for star in stars)
    if address.is_loopback or f"{host}:{port}" in entries or f"[{host}]:{port}" in entries:
        return True
    return any(address in network for network in _networks(entries))


def _networks(entries: list[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in entries:
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(entry.strip("[]"), strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Name the files by which we are known to servers that ask for a certificate."""

    certificate: Path
    key: Path | None = None
    """None where the certificate's file has it too."""

    def load(self, context: ssl.SSLContext) -> None:
        """Let a context show it; raise UsageError for files that cannot be used."""

        def locked() -> str:
            raise UsageError(
                "the key is encrypted",
                where=str(self.key or self.certificate),
                hint="openssl pkey -in KEY -out PLAIN.key takes the passphrase away",
            )

        for path in filter(None, (self.certificate, self.key)):
            try:
                disk.opened(path).close()
            except OSError as error:
                raise UsageError(f"cannot be read: {reason(error)}", where=str(path)) from error
        try:
            context.load_cert_chain(self.certificate, self.key, locked)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise UsageError(
                "these are not a certificate and its key",
                where=", ".join(map(str, filter(None, (self.certificate, self.key)))),
                expected="two files in PEM form that belong together",
            ) from error


class LateContext(ssl.SSLContext):
    """Read the system's authorities when a first connection wants them.

    That takes 0.03 s, and a run may speak to registries over plain HTTP alone.
    """

    def __init__(self, _protocol: int) -> None:
        self.late = False
        """Whether they are still to be read."""
        self._reading = threading.Lock()

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        self._complete()
        return super().wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        self._complete()
        return super().wrap_bio(*args, **kwargs)

    def _complete(self) -> None:
        with self._reading:
            if self.late:
                self.load_default_certs()
                if not _system_has_authorities():
                    self.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
                self.late = False


def trust(
    ca_bundle: Path | None,
    certificate: ClientCertificate | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ssl.SSLContext:
    """Make the TLS context of all connections; raise UsageError for a bundle that is none.

    REQUESTS_CA_BUNDLE, SSL_CERT_FILE (each a file or a folder) and SSL_CERT_DIR replace the
    system's authorities, as they do elsewhere; ``ca_bundle``, or else AIRSEED_CA_BUNDLE, is added
    to them. Where the system has none at all, those that requests brings are taken.
    """
    context = LateContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if environment.get(name):
            _load(context, Path(environment[name]), name)
            break
    else:
        context.late = True
    added = ca_bundle or (Path(text) if (text := environment.get("AIRSEED_CA_BUNDLE")) else None)
    if added:
        _load(context, added, "--ca-bundle" if ca_bundle else "AIRSEED_CA_BUNDLE")
    if certificate is not None:
        certificate.load(context)
    return context


def _system_has_authorities() -> bool:
    """Tell whether OpenSSL's default places (or SSL_CERT_DIR) hold anything."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return True
    return bool(paths.capath) and any(Path(paths.capath).iterdir())


def _load(context: ssl.SSLContext, path: Path, option: str) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            disk.opened(path).close()
            context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"no certificate authorities can be read from the file given by {option}",
            where=str(path),
            expected="one or more certificates in PEM form",
        ) from error
