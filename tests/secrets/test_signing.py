"""The site's key for OpenPGP: made so that gpg and rpm take it, read strictly, shown never."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import StorageError, VerificationError
from builder.lab.openpgp import generate
from builder.model.cluster import Pki
from builder.openpgp import packets
from builder.rpm.keys import load_keys, verify_detached
from builder.secrets import openpgp, signing, store

if TYPE_CHECKING:
    from pathlib import Path

    from builder.secrets.signing import SigningKey

NAME = "Site <site@example.com>"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return signing.new(NAME)


def test_a_key_is_read_as_it_was_written(key: SigningKey) -> None:
    again = signing.read(key.secret)
    assert again.public == key.public
    assert again.secret == key.secret
    assert again.sign(b"content") == key.sign(b"content")
    assert again.fingerprint == key.fingerprint


def test_sequoia_takes_the_key_and_its_signature(key: SigningKey) -> None:
    (public,) = load_keys(key.public)
    assert public.fingerprint == key.fingerprint
    assert public.users == (NAME,)
    assert public.parts == (key.fingerprint,)  # rpm 4.11 knows no subkeys
    signature = key.sign(b"content")
    assert verify_detached(b"content", signature, [public]) == key.fingerprint
    with pytest.raises(VerificationError):
        verify_detached(b"contents", signature, [public])


def test_the_same_content_gives_the_same_signature(key: SigningKey) -> None:
    assert key.sign(b"content") == key.sign(b"content")
    assert key.sign(b"content") != key.sign(b"other")


def test_nothing_secret_shows(key: SigningKey) -> None:
    body = key.secret.decode().splitlines()[12]
    shown = f"{key!r} {key} {key.public.decode()}"
    assert body not in shown
    assert "private" not in repr(key)


def test_public_half_has_no_secret_packet(key: SigningKey) -> None:
    content = load_keys(key.public)[0].content
    assert [tag for tag, _ in packets(content)] == [
        openpgp.PUBLIC_KEY, openpgp.USER, openpgp.SIGNATURE,
    ]  # fmt: skip


def changed(key: SigningKey, tag: int, body: bytes) -> bytes:
    return openpgp.armour("PRIVATE KEY BLOCK", openpgp.packet(tag, body) + key.proof)


def test_what_is_no_such_key_is_refused(key: SigningKey) -> None:
    body = openpgp.secret_body(openpgp.public_body(key.private, key.created), key.private)
    weak = generate(NAME, created=1, bits=1024)
    cases = {
        b"": "holds no OpenPGP secret key in armour",
        key.public: "holds no OpenPGP secret key in armour",
        key.secret.replace(b"\n\nl", b"\n\nm"): "the key is damaged: its checksum does not hold",
        changed(key, openpgp.PUBLIC_KEY, body): "holds no OpenPGP secret key",
        changed(key, openpgp.SECRET_KEY, b"\x05" + body[1:]): "the key has another version than 4,"
        " which is all that EL7 takes",
        changed(
            key, openpgp.SECRET_KEY, body[:5] + b"\x16" + body[6:]
        ): "the key is not an RSA key, which is what EL7 takes",
        changed(key, openpgp.SECRET_KEY, body[:200]): "the key is damaged: a number is cut off",
        weak.secret: "the key has 1024 bits, fewer than 2048",
        openpgp.armour(
            "PRIVATE KEY BLOCK", openpgp.packet(openpgp.SECRET_KEY, body)
        ): "the key has no name",
        openpgp.armour("PRIVATE KEY BLOCK", b"\x95\xff\xff" + body): "the key is damaged: a packet"
        " is cut off",
    }
    messages = {}
    for content in cases:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 -- all sentences are compared below
            signing.read(content)
        messages[content] = str(caught.value)
    assert messages == cases


def test_numbers_that_do_not_fit_are_refused(key: SigningKey) -> None:
    other = signing.new(NAME)
    body = openpgp.secret_body(openpgp.public_body(key.private, key.created), other.private)
    with pytest.raises(ValueError, match="its numbers don't fit together"):
        signing.read(changed(key, openpgp.SECRET_KEY, body))


def test_only_the_key_itself_is_read(tmp_path: Path) -> None:
    """Who builds packages needs neither token nor authority."""
    folder = tmp_path / "secrets"
    store.prepare(folder, Pki())
    for name in ("token", "certificate-key", "ca.crt", "ca.key"):
        (folder / name).unlink()
    assert store.load_signing_key(folder).fingerprint
    (folder / "signing-key.asc").chmod(0o644)
    with pytest.raises(StorageError) as caught:
        store.load_signing_key(folder)
    assert "others may read this file" in str(caught.value.faults[0])


def test_a_missing_or_damaged_key_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    store.prepare(folder, Pki())
    path = folder / "signing-key.asc"
    whole = path.read_text()
    path.write_text(whole.replace("\n\nl", "\n\nm"))
    with pytest.raises(VerificationError) as caught:
        store.load_signing_key(folder)
    (fault,) = caught.value.faults
    assert (fault.where, fault.what) == (
        str(path), "the key is damaged: its checksum does not hold",
    )  # fmt: skip
    with pytest.raises(VerificationError):
        store.prepare(folder, Pki())  # it is not replaced
    path.unlink()
    with pytest.raises(StorageError) as missing:
        store.load_signing_key(folder)
    assert missing.value.faults[0].hint == "`airseed secrets` makes it"
    assert store.prepare(folder, Pki()) == ("signing-key.asc",)
