"""The server's side of TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Read a certificate (its chain behind it) and its key; raise OSError, be it ssl.SSLError.

    A key with a passphrase is refused: nobody is there to type it.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key, password=lambda: b"")
    context.set_alpn_protocols(["http/1.1"])
    return context
