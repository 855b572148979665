"""Where a registry answers: Docker Hub's other name, and who is asked over plain http."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from builder.model.reference import HUB

_HUB_REGISTRY = "registry-1.docker.io"  # the protocol's own name for docker.io


def base_url(host: str, plain_http_hosts: frozenset[str] = frozenset()) -> str:
    """Return the URL below which a registry's /v2/ lies; loopback speaks plain http."""
    if host == HUB:
        return f"https://{_HUB_REGISTRY}"
    plain = host in plain_http_hosts or is_loopback(urlsplit(f"//{host}").hostname or "")
    return f"{'http' if plain else 'https'}://{host}"


def is_loopback(name: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
