from __future__ import annotations

import itertools
import subprocess
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest

from builder.lab.openpgp import armour, generate

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.openpgp import VendorKey

CREATED = 1400000000


def verify(key: VendorKey, signature: bytes, content: bytes) -> list[str]:
    """Return the fingerprints of good signatures, as OpenPGP software sees them."""
    certificate = pysequoia.Cert.from_bytes(key.public)
    result = pysequoia.verify(
        bytes=content, store=lambda _: [certificate], signature=pysequoia.Sig.from_bytes(signature)
    )
    return [found.certificate.upper() for found in result.valid_sigs]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_other_software_accepts_keys_and_signatures(algorithm: Any) -> None:
    key = generate("Lab <lab@example.org>", created=CREATED, algorithm=algorithm)
    certificate = pysequoia.Cert.from_bytes(key.public)
    assert certificate.fingerprint.upper() == key.fingerprint
    assert [str(user) for user in certificate.user_ids] == ["Lab <lab@example.org>"]
    assert verify(key, key.sign(b"words"), b"words") == [key.fingerprint]
    with pytest.raises(Exception, match="no valid signatures found"):
        verify(key, key.sign(b"words"), b"other words")


def test_the_secret_key_signs_elsewhere_too() -> None:
    key = generate("Lab", created=CREATED)
    signer = pysequoia.Tsk.from_bytes(key.secret).signer()
    signature = pysequoia.sign(signer, b"words", mode=pysequoia.SignatureMode.DETACHED)
    assert verify(key, signature, b"words") == [key.fingerprint]


def test_signatures_are_reproducible() -> None:
    key = generate("Lab", created=CREATED)
    assert key.sign(b"words") == key.sign(b"words")


def test_old_signatures_have_version_3() -> None:
    key = generate("Old", created=CREATED, version=3, algorithm="sha1", self_algorithm="sha1")
    signature = key.sign(b"words")
    assert signature[0] == 0x89  # old packet format, two bytes of length, a signature
    assert signature[3:5] == b"\x03\x05"
    assert pysequoia.Cert.from_bytes(key.public).fingerprint.upper() == key.fingerprint


def test_armour_carries_the_checksum_of_the_specification() -> None:
    # gpg --enarmor of the five bytes has this checksum
    assert armour("MESSAGE", b"hello").splitlines()[-2] == b"=R/WK"


@pytest.mark.interop
@pytest.mark.parametrize(
    ("version", "algorithm"), list(itertools.product([3, 4], ["sha1", "sha256", "sha512"]))
)
def test_gpgv_accepts_them(tmp_path: Path, version: Any, algorithm: Any) -> None:
    key = generate("Lab", created=CREATED, version=version, algorithm=algorithm)
    (tmp_path / "key.asc").write_bytes(key.public)
    (tmp_path / "words").write_bytes(b"words")
    (tmp_path / "words.sig").write_bytes(key.sign(b"words"))
    keyring = tmp_path / "key.gpg"
    subprocess.run(["gpg", "--dearmor", "-o", keyring, tmp_path / "key.asc"], check=True)
    done = subprocess.run(
        [
            "gpgv",
            "--weak-digest",
            "md5",
            "--keyring",
            keyring,
            tmp_path / "words.sig",
            tmp_path / "words",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert key.fingerprint[-16:] in done.stderr
