"""Where a registry answers: Docker Hub's other name, and who is asked over plain http."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.model.reference import HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_REGISTRY = "registry-1.docker.io"  # the protocol's own name for docker.io


def base_url(host: str, schemes: Mapping[str, str] = {}) -> str:
    """Return the URL below which a registry's /v2/ lies.

    Loopback speaks plain http and all others https, but for hosts whose scheme is given.
    """
    if host == HUB:
        return f"https://{_HUB_REGISTRY}"
    usual = "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"
    return f"{schemes.get(host, usual)}://{host}"


def is_loopback(name: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
