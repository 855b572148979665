"""The site's key and gpg: each takes what the other made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder.rpm.keys import load_keys
from builder.secrets import signing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop
NAME = "Site <site@example.com>"


def gpg(home: Path, *words: str, given: bytes = b"") -> bytes:
    env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home), "LC_ALL": "C"}
    done = subprocess.run(
        ["gpg", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", *words],
        input=given,
        env=env,
        check=True,
        capture_output=True,
    )
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "gnupg"
    folder.mkdir(mode=0o700)
    return folder


def test_a_key_that_gpg_made_is_taken(home: Path) -> None:
    """With its subkeys, which are left out."""
    recipe = b"%no-protection\nKey-Type: RSA\nKey-Length: 2048\nKey-Usage: cert,sign\n"
    recipe += b"Subkey-Type: RSA\nSubkey-Length: 2048\nName-Real: Site\nExpire-Date: 0\n%commit\n"
    gpg(home, "--gen-key", given=recipe)
    key = signing.read(gpg(home, "--armor", "--export-secret-keys"))
    (public,) = load_keys(key.public)
    assert public.users == ("Site",)
    listed = gpg(home, "--with-colons", "--list-keys").decode()
    assert f"fpr:::::::::{key.fingerprint}:" in listed
    (home / "data").write_bytes(b"content")
    (home / "data.sig").write_bytes(key.sign(b"content"))
    gpg(home, "--verify", str(home / "data.sig"), str(home / "data"))


def test_gpg_takes_ours(home: Path) -> None:
    key = signing.new(NAME)
    gpg(home, "--import", given=key.secret)
    listed = gpg(home, "--with-colons", "--list-secret-keys").decode()
    assert f"fpr:::::::::{key.fingerprint}:" in listed
    assert gpg(home, "--armor", "--detach-sign", given=b"x").startswith(b"-----BEGIN PGP SIGN")


def test_a_password_is_refused(home: Path) -> None:
    recipe = b"Key-Type: RSA\nKey-Length: 2048\nKey-Usage: cert,sign\nName-Real: Site\n"
    recipe += b"Passphrase: secret\nExpire-Date: 0\n%commit\n"
    gpg(home, "--gen-key", given=recipe)
    text = gpg(home, "--passphrase", "secret", "--armor", "--export-secret-keys")
    with pytest.raises(ValueError, match="the key has a password"):
        signing.read(text)
