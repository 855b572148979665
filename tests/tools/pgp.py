"""OpenPGP keys by real gpg, in a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Gpg:
    """Run gpg with an empty home below ``folder``; short, since its sockets lie there."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("gpg") or not shutil.which("gpgv"):
            pytest.skip("gpg and gpgv are not installed (make interop installs them)")
        self.folder = folder
        self.home = folder / "gnupg"
        self.home.mkdir(mode=0o700)

    def run(self, *words: str, content: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *words],
            env={**os.environ, "GNUPGHOME": str(self.home)},
            input=content,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def key(self, user: str, kind: str, *, passphrase: str = "", life: str = "0") -> str:
        """Make a key; ``kind`` is as gpg has it, with ``+`` for one that signs by a subkey."""
        secret = ("--passphrase", passphrase)
        algorithm, subkey = kind.removesuffix("+"), kind.endswith("+")
        usage = "cert" if subkey else "sign"
        self.run(*secret, "--quick-gen-key", user, algorithm, usage, life)
        listed = self.run("--with-colons", "--list-keys", user).decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr"))
        if subkey:
            self.run(*secret, "--quick-add-key", fingerprint, algorithm, "sign", "0")
        return fingerprint

    def secret(self, fingerprint: str, passphrase: str = "") -> Path:
        """Export a secret key to a file that only its owner reads."""
        words = ("--passphrase", passphrase, "--armor", "--export-secret-keys", fingerprint)
        path = self.folder / f"{fingerprint}.secret.asc"
        path.touch(mode=0o600)
        path.write_bytes(self.run(*words))
        return path

    def public(self, fingerprint: str, *, armour: bool = True) -> Path:
        path = self.folder / f"{fingerprint}.{'asc' if armour else 'gpg'}"
        path.write_bytes(self.run(*(("--armor",) if armour else ()), "--export", fingerprint))
        return path

    def close(self) -> None:
        """End the agent that gpg has started."""
        subprocess.run(
            ["gpgconf", "--kill", "all"],
            env={**os.environ, "GNUPGHOME": str(self.home)},
            capture_output=True,
            check=False,
        )
