"""The key pair that Packer logs in with while an image is built; the image keeps neither half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder import disk, owners

if TYPE_CHECKING:
    from pathlib import Path

NAME = "image-key"
PUBLIC = f"{NAME}.pub"
_LARGEST = 1 << 14


def public_half(folder: Path) -> str:
    """Return the public half in OpenSSH's form; the pair is made where it is missing.

    Raise StorageError when the disk does not take it, or another user may have laid it there.
    """
    private, public = folder / NAME, folder / PUBLIC
    disk.folder(folder)
    there = owners.read_own(public, _LARGEST)
    if there is None or owners.read_own(private, _LARGEST) is None:
        key = Ed25519PrivateKey.generate()
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        there = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        there += b" airseed-image\n"
        disk.put(private, secret, mode=disk.PRIVATE)
        disk.put(public, there)
    return there.decode("ascii", "replace").strip()
