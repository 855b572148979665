"""A host and a port as they stand in a URL."""

from __future__ import annotations

LAST_PORT = 65535


def joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
