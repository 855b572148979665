from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pysequoia
import pytest

from builder.errors import VerificationError
from builder.lab.openpgp import armour, generate
from builder.openpgp import framed, packets
from builder.rpm.keys import KEYS_LIMIT, UncheckableError, load_keys, verify_detached

if TYPE_CHECKING:
    from builder.lab.openpgp import VendorKey
    from builder.rpm.keys import RpmKey

CONTENT = b"<repomd/>"


@pytest.fixture(scope="session")
def stranger() -> VendorKey:
    return generate("Stranger <stranger@example.invalid>", created=1_500_000_000)


def loaded(*keys: VendorKey) -> tuple[RpmKey, ...]:
    return tuple(key for one in keys for key in load_keys(one.public))


def refused(signature: bytes, *keys: RpmKey, content: bytes = CONTENT) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_detached(content, signature, keys, where="repomd.xml")
    return caught.value


def test_a_key_is_known_by_its_whole_fingerprint(modern: VendorKey) -> None:
    [key] = load_keys(modern.public)
    assert key.fingerprint == modern.fingerprint
    assert key.users == ("Modern <modern@example.invalid>",)
    assert key.parts == (modern.fingerprint,)
    assert str(key) == f"{modern.fingerprint} (Modern <modern@example.invalid>)"
    assert key.has(modern.fingerprint.lower())
    assert key.has(modern.fingerprint[-16:])
    assert not key.has(modern.fingerprint[-8:]), "short IDs are easily made to collide"
    assert not key.has("")


def test_a_key_that_certifies_itself_with_sha1_is_read(old: VendorKey) -> None:
    [key] = load_keys(old.public)
    assert str(key) == f"{old.fingerprint} (Old <old@example.invalid>)"


def test_binary_keys_are_read_and_armoured(modern: VendorKey) -> None:
    binary = base64.b64decode(b"".join(modern.public.splitlines()[2:-2]))
    [key] = load_keys(binary)
    assert key.fingerprint == modern.fingerprint
    assert key.armoured.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    assert load_keys(key.armoured) == load_keys(modern.public)


def test_a_file_may_hold_several_keys_and_words(modern: VendorKey, old: VendorKey) -> None:
    content = b"two keys\n" + modern.public + b"and\n" + old.public + modern.public
    fingerprints = [key.fingerprint for key in load_keys(content)]
    assert fingerprints == [modern.fingerprint, old.fingerprint]


def test_subkeys_count_as_the_key() -> None:
    made = pysequoia.Tsk.generate("Subkeys <subkeys@example.invalid>")
    [key] = load_keys(bytes(made.extract_certificate()))
    assert len(key.parts) > 1
    assert all(key.has(part) for part in key.parts)
    signature = pysequoia.sign(made.signer(), CONTENT, mode=pysequoia.SignatureMode.DETACHED)
    assert verify_detached(CONTENT, signature, [key]) == key.fingerprint


def test_names_of_keys_are_safe_to_print() -> None:
    [key] = load_keys(generate("\x1b[31mred\nnext", created=1).public)
    assert key.users == ("\ufffd[31mred\ufffdnext",)


@pytest.mark.parametrize("form", ["armoured", "behind a public one", "binary"])
def test_secret_keys_are_refused(modern: VendorKey, form: str) -> None:
    content = modern.secret
    if form == "binary":
        content = base64.b64decode(b"".join(content.splitlines()[2:-2]))
    elif form == "behind a public one":
        content = modern.public + content
    with pytest.raises(VerificationError) as caught:
        load_keys(content, where="keys/site.asc")
    assert str(caught.value) == (
        "keys/site.asc: there is a secret key in it (expected its public half)"
    )
    assert caught.value.hint == (
        "`airseed secrets` leaves that of signing-key.asc beside it, as signing-key.pub.asc; "
        "gpg --armor --export FINGERPRINT writes another key's"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "key: there is no OpenPGP key in it"),
        (b"<html>log in</html>", "key: no OpenPGP key can be read: "),
        (b"\0" * 100, "key: no OpenPGP key can be read: "),
        (
            b"x" * (KEYS_LIMIT + 1),
            "key: 1,048,577 bytes is too much for keys (expected at most 1,048,576 bytes)",
        ),
    ],
)
def test_what_is_no_key_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        load_keys(content)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_damaged_keys_are_refused(modern: VendorKey) -> None:
    for end in range(0, len(modern.public) - 40, 37):
        with pytest.raises(VerificationError):
            load_keys(modern.public[:end])


def test_a_file_of_endless_keys_is_refused(modern: VendorKey) -> None:
    [key] = load_keys(modern.public)
    with pytest.raises(VerificationError) as caught:
        load_keys(key.content * 65)
    assert str(caught.value) == "key: there are more than 64 keys in it"


def test_a_key_of_endless_user_ids_is_refused(modern: VendorKey) -> None:
    """The library takes minutes for a file of 1 MiB, and no interrupt ends that."""
    own = load_keys(modern.public)[0].content
    key, user, signature = packets(own)
    many = [framed(*user), framed(*signature)] * 1000
    assert load_keys(framed(*key) + b"".join(many))
    with pytest.raises(VerificationError) as caught:
        load_keys(own + b"".join(many))
    assert str(caught.value) == "key: there are more than 1,000 user IDs in it"


def test_a_good_signature_tells_whose_it_is(modern: VendorKey, stranger: VendorKey) -> None:
    keys = loaded(stranger, modern)
    signature = modern.sign(CONTENT)
    for form in (signature, armour("SIGNATURE", signature)):
        assert verify_detached(CONTENT, form, keys) == modern.fingerprint


def test_changed_content_is_refused(modern: VendorKey) -> None:
    [key] = loaded(modern)
    error = refused(modern.sign(CONTENT), key, content=CONTENT + b" ")
    assert str(error) == (
        f"repomd.xml: the signature of {key} is not good: Signature verification failed:"
        " no valid signatures found."
    )
    assert error.hint == "the content, the signature or both were changed"
    assert not isinstance(error, UncheckableError)


def test_a_strangers_signature_names_both(modern: VendorKey, stranger: VendorKey) -> None:
    [key] = loaded(modern)
    error = refused(stranger.sign(CONTENT), key)
    assert isinstance(error, UncheckableError)
    assert str(error) == (
        f"repomd.xml: it is signed by the key {stranger.fingerprint} (expected {key})"
    )
    assert error.hint == (
        "if the signer changed the key, check the new one's fingerprint and add it to the catalog"
    )
    assert refused(stranger.sign(CONTENT)).fault.expected == ("no key was given to check it with")


def test_one_good_signature_of_several_is_enough(modern: VendorKey, stranger: VendorKey) -> None:
    keys = loaded(modern)
    ours, theirs = modern.sign(CONTENT), stranger.sign(CONTENT)
    assert verify_detached(CONTENT, theirs + ours, keys) == modern.fingerprint
    assert verify_detached(CONTENT, ours + theirs, keys) == modern.fingerprint
    assert verify_detached(CONTENT, modern.sign(b"other") + ours, keys) == modern.fingerprint
    error = refused(theirs + modern.sign(b"other"), *keys)
    assert "is not good" in str(error)


@pytest.mark.parametrize(
    ("habits", "hint"),
    [
        ({"version": 3}, "it is a version 3 signature, which is not accepted since 2021"),
        ({"hash": "sha1"}, "it is made with SHA-1, which is not accepted since 2023"),
        ({"self_hash": "sha1"}, "the key breaks today's rules: "),
    ],
)
def test_old_signatures_over_metadata_prove_nothing(
    modern: VendorKey, habits: dict[str, object], hint: str
) -> None:
    signer = replace(modern, **habits)  # type: ignore[arg-type]
    [key] = loaded(signer)
    error = refused(signer.sign(CONTENT), key)
    assert isinstance(error, UncheckableError)
    assert str(error) == f"repomd.xml: the signature of {key} can't be checked"
    assert error.hint is not None
    assert error.hint.startswith(hint)


def expiring(key: VendorKey, when: datetime) -> RpmKey:
    certifier = pysequoia.Tsk.from_bytes(key.secret).certifier()
    certificate = pysequoia.Cert.from_bytes(key.public)
    [found] = load_keys(bytes(certificate.set_expiration(expiration=when, certifier=certifier)))
    return found


def test_a_key_may_expire_after_it_signed_but_not_before(modern: VendorKey) -> None:
    signature = modern.sign(CONTENT)  # made in 2017
    later = expiring(modern, datetime(2020, 1, 1, tzinfo=UTC))
    assert verify_detached(CONTENT, signature, [later]) == modern.fingerprint
    signer = pysequoia.Tsk.from_bytes(modern.secret).signer()
    fresh = pysequoia.sign(signer, CONTENT, mode=pysequoia.SignatureMode.DETACHED)
    error = refused(fresh, later)
    assert error.hint == "the key expired on 2020-01-01, before the signature was made"


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (b"", "repomd.xml: there is no OpenPGP signature in it"),
        (b"<html>log in</html>", "repomd.xml: no OpenPGP signature can be read: "),
        (b"x" * (1 << 19), "repomd.xml: this is too large for a signature"),
    ],
)
def test_what_is_no_signature_is_refused(modern: VendorKey, signature: bytes, message: str) -> None:
    assert str(refused(signature, *loaded(modern))).startswith(message)


def test_a_key_is_no_signature(modern: VendorKey) -> None:
    # what follows a key is its signature over itself, which says nothing about other content
    assert "is not good" in str(refused(modern.public, *loaded(modern)))


def test_every_changed_bit_of_a_signature_is_found(modern: VendorKey) -> None:
    signature = modern.sign(CONTENT)
    keys = loaded(modern)
    loose = len(signature) - 256 - 2 - 2 - 10  # the issuer's ID is a hint and not covered
    for place in range(len(signature)):
        if loose <= place < loose + 12:
            continue
        changed = bytearray(signature)
        changed[place] ^= 0x10
        with pytest.raises(VerificationError):
            verify_detached(CONTENT, bytes(changed), keys)
