"""A host and a port as they stand in a URL."""

from __future__ import annotations

LAST_PORT = 65535
BY_SCHEME = {"http": 80, "https": 443}
"""The port of a URL that says none."""


def joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
