"""The two words that let a node in: the bootstrap token and the certificate key."""

from __future__ import annotations

import re
import secrets
from string import ascii_lowercase, digits

_LETTERS = ascii_lowercase + digits
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_CERTIFICATE_KEY = re.compile(r"[0-9a-f]{64}")
TOKEN_FORM = "6 and 16 lower-case letters or digits with a point between them"  # noqa: S105 -- no secret, a description
CERTIFICATE_KEY_FORM = "64 hexadecimal digits in lower case"
"""kubeadm takes anything and fails when it uploads, on the first node, at first boot."""


def new_token() -> str:
    """Make a bootstrap token; 16 letters of 36 are 82 bits."""
    return ".".join("".join(secrets.choice(_LETTERS) for _ in range(length)) for length in (6, 16))


def new_certificate_key() -> str:
    """Make a key for the certificates that kubeadm uploads: 32 bytes for AES-256, in hex."""
    return secrets.token_hex(32)


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def is_certificate_key(text: str) -> bool:
    return _CERTIFICATE_KEY.fullmatch(text) is not None
