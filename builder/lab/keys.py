"""The lab's signing keys, kept in its folder: made once, because RSA keys take a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from builder.lab.openpgp import Hash, SigningKey, generate

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from builder.lab.cellar import Cellar


def signing_key(
    cellar: Cellar,
    user: str,
    *,
    created: int,
    version: Literal[3, 4] = 4,
    algorithm: Hash = "sha256",
    self_algorithm: Hash = "sha256",
) -> SigningKey:
    """Give the key of a user, newly made or found in the cellar."""

    def make(folder: Path) -> Any:
        key = generate(user, created=created)
        text = key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / "key.pem").write_bytes(text)

    folder, _ = cellar.get(["key", user, created], make)
    private = serialization.load_pem_private_key(
        (folder / "key.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True
    )  # it is our own, and the check takes longer than all else
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError(f"{folder} holds no RSA key")
    return SigningKey(
        user=user,
        created=created,
        private=private,
        version=version,
        hash=algorithm,
        self_hash=self_algorithm,
    )
