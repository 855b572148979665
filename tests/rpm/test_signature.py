"""The check that a pinned key signed an RPM, on RPMs built and signed here."""

from __future__ import annotations

import io
import random
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.errors import VerificationError
from builder.lab.openpgp import generate
from builder.lab.packages import PackageRecipe, build_package
from builder.model.rpm import Nevra
from builder.rpm.header import LEAD, header_length, read_head, signature_tags, value
from builder.rpm.keys import load_keys
from builder.rpm.signature import read_nevra, verify_signature

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.openpgp import VendorKey
    from builder.rpm.keys import RpmKey

DOCKER = PackageRecipe(
    nevra="docker-ce-3:19.03.9-3.el7.x86_64",
    requires=("container-selinux >= 2:2.74", "/bin/sh"),
    provides=("docker-engine = 19.03.9",),
    files=("/usr/bin/dockerd",),
    size=20_000,
)
INTRO = struct.Struct(">4s4xII")
ENTRY = struct.Struct(">IIII")


def built(folder: Path, key: VendorKey | None, recipe: PackageRecipe = DOCKER) -> bytes:
    return build_package(recipe, key, folder).path.read_bytes()


def head_of(content: bytes) -> bytes:
    return read_head(io.BytesIO(content), where="docker-ce")


def public(*keys: VendorKey) -> list[RpmKey]:
    return [key for one in keys for key in load_keys(one.public)]


def refused(head: bytes, *keys: RpmKey) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_signature(head, keys, where="docker-ce")
    return caught.value


def without(head: bytes, *tags: int, instead: int | None = None) -> bytes:
    """Take entries out of the signature header, or give them another tag."""
    _, count, store = INTRO.unpack_from(head, LEAD)
    start = LEAD + INTRO.size
    entries = [list(ENTRY.unpack_from(head, start + ENTRY.size * one)) for one in range(count)]
    assert {one[0] for one in entries} >= set(tags)
    for one in entries:
        if one[0] in tags:
            one[0] = instead
    kept = [ENTRY.pack(*one) for one in entries if one[0] is not None]
    body = bytearray(head[start + ENTRY.size * count :][:store])
    place = entries[0][2]
    body[place : place + ENTRY.size] = struct.pack(">IIiI", 62, 7, -ENTRY.size * len(kept), 16)
    intro = head[LEAD : LEAD + 8] + struct.pack(">II", len(kept), store)
    region = intro + b"".join(kept) + bytes(body)
    rest = head[LEAD + (INTRO.size + ENTRY.size * count + store + 7) // 8 * 8 :]
    return head[:LEAD] + region + b"\0" * (-len(region) % 8) + rest


def header_start(head: bytes) -> int:
    """Return where the signed header begins: behind lead and signature header."""
    _, count, store = INTRO.unpack_from(head, LEAD)
    return int(LEAD + (INTRO.size + ENTRY.size * count + store + 7) // 8 * 8)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_good_signature_gives_the_fingerprint(
    tmp_path: Path, modern: VendorKey, old: VendorKey, algorithm: str
) -> None:
    signer = replace(modern, hash=algorithm)  # type: ignore[arg-type]
    head = head_of(built(tmp_path, signer))
    assert verify_signature(head, public(old, modern)) == modern.fingerprint


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_old_signatures_with_old_keys_are_accepted(
    tmp_path: Path, modern: VendorKey, old: VendorKey, algorithm: str
) -> None:
    signer = replace(old, hash=algorithm)  # type: ignore[arg-type]
    assert (signer.version, signer.self_hash) == (3, "sha1")
    head = head_of(built(tmp_path, signer))
    assert verify_signature(head, public(modern, old)) == old.fingerprint


def test_more_bytes_than_the_head_do_no_harm(tmp_path: Path, modern: VendorKey) -> None:
    assert verify_signature(built(tmp_path, modern), public(modern)) == modern.fingerprint


def test_unsigned_packages_are_refused(tmp_path: Path, modern: VendorKey) -> None:
    [key] = public(modern)
    error = refused(head_of(built(tmp_path, None)), key)
    assert str(error) == f"docker-ce: the RPM is not signed (expected a signature of {key})"


def test_a_signature_over_everything_does_not_stand_for_the_headers(
    tmp_path: Path, modern: VendorKey
) -> None:
    [key] = public(modern)
    head = head_of(built(tmp_path, modern))
    stripped = without(without(head, 278), 268, instead=1002)
    error = refused(stripped, key)
    assert str(error) == f"docker-ce: its header is not signed (expected a signature of {key})"
    assert "not signed" in str(refused(without(head, 278, 268), key))


def test_the_one_tag_of_centos_7_is_enough(tmp_path: Path, old: VendorKey) -> None:
    head = without(head_of(built(tmp_path, old)), 278)
    assert signature_tags(head) & {267, 268, 278} == {268}
    assert verify_signature(head, public(old)) == old.fingerprint


def test_what_rpm_of_el7_does_not_read_counts_for_nothing(
    tmp_path: Path, modern: VendorKey
) -> None:
    [key] = public(modern)
    head = head_of(built(tmp_path, modern))
    assert str(refused(without(head, 268), key)) == (
        "docker-ce: it is signed by the tag OPENPGP alone, which rpm of EL7 does not read"
        f" (expected a signature of {key})"
    )
    kind, packet = value(head, 268, signature=True) or (0, b"")
    broken = head.replace(packet, packet[:-1] + bytes([packet[-1] ^ 1]))
    assert kind == 7
    assert broken != head
    assert "is not good" in str(refused(broken, key))


def test_a_strangers_signature_names_both(
    tmp_path: Path, modern: VendorKey, old: VendorKey
) -> None:
    [key] = public(modern)
    error = refused(head_of(built(tmp_path, old)), key)
    assert str(error) == (
        f"docker-ce: the RPM is signed by the key {old.fingerprint[-16:]}"
        f" (expected a signature of {key})"
    )
    assert refused(head_of(built(tmp_path, modern))).fault.expected == (
        "a signature of a pinned key"
    )


def test_a_key_that_only_claims_to_be_another_is_found_out(
    tmp_path: Path, modern: VendorKey
) -> None:
    """The issuer in a signature is a hint that anybody can write."""
    forger = generate(modern.user, created=modern.created)
    content = built(tmp_path, forger)
    forged = content.replace(
        bytes.fromhex(forger.fingerprint), bytes.fromhex(modern.fingerprint)
    ).replace(bytes.fromhex(forger.fingerprint[-16:]), bytes.fromhex(modern.fingerprint[-16:]))
    [key] = public(modern)
    error = refused(without(head_of(forged), 278), key)
    assert str(error).startswith(f"docker-ce: the signature of {key} is not good: ")
    assert error.hint == "the RPM was changed after it was signed, or damaged on the way"


def test_every_changed_byte_of_the_header_is_found(tmp_path: Path, modern: VendorKey) -> None:
    head = head_of(built(tmp_path, modern))
    start = header_start(head)
    keys = public(modern)
    chance = random.Random(7)
    for place in range(start, len(head)):
        changed = bytearray(head)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(VerificationError):
            verify_signature(bytes(changed), keys)


def test_changes_before_the_header_never_surprise(tmp_path: Path, modern: VendorKey) -> None:
    """Lead and signature header prove nothing: what counts is that the header is the same."""
    head = head_of(built(tmp_path, modern))
    start = header_start(head)
    keys = public(modern)
    whole = read_nevra(head)
    for place in {*range(600), *random.Random(7).sample(range(600, start), 300)}:
        changed = bytearray(head)
        changed[place] ^= 0x41
        try:
            signer = verify_signature(bytes(changed), keys)
            found = read_nevra(bytes(changed))
        except VerificationError:
            continue
        assert (signer, found) == (modern.fingerprint, whole)


FIRST = LEAD + INTRO.size + ENTRY.size  # of the signature header, behind its region's entry
REFUSED = "the RPM is damaged: its signature header has values that rpm refuses"
REGION = "the RPM is damaged: its signature header has no region"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({4: 9}, "the RPM is damaged: its lead is of another format"),
        ({79: 1}, "the RPM is damaged: its lead is of another format"),
        ({LEAD + 4: 1}, "this is not an RPM"),
        ({FIRST + 7: 1}, "the signature over the header can't be read: there is no packet"),
        ({FIRST + 7: 8}, REFUSED),
        ({FIRST + 7: 0}, REFUSED),
        ({FIRST + 7: 3, FIRST + 11: 1}, REFUSED),
        ({FIRST: 0xFF}, REFUSED),
        ({FIRST + 2: 0, FIRST + 3: 99}, REFUSED),
        ({FIRST + 14: 0, FIRST + 15: 0}, REFUSED),
        ({FIRST + 15: 255}, REFUSED),
        ({FIRST + ENTRY.size + 3: 12}, REFUSED),  # the same tag twice
        ({LEAD + INTRO.size + 7: 6}, REGION),
        ({LEAD + INTRO.size + 15: 15}, REGION),
        ({LEAD + INTRO.size + 11: 0}, REGION),
        ({-1: 0}, "the RPM is damaged: its header is not the one of its sha1"),
        ({-2: 0}, "the RPM is damaged: its header is not the one of its sha256"),
    ],
)
def test_what_rpm_refuses_before_the_header_is_refused(
    tmp_path: Path, modern: VendorKey, change: dict[int, int], what: str
) -> None:
    """Nobody signs it, but no node installs an RPM with such a front."""
    head = bytearray(head_of(built(tmp_path, modern)))
    for place, byte in change.items():
        if place < 0:
            _, digest = value(bytes(head), {-1: 269, -2: 273}[place], signature=True) or (0, b"")
            place = head.index(digest[:40])  # noqa: PLW2901 -- where that tag's text stands
        head[place] = byte
    assert what in str(refused(bytes(head), *public(modern)))


def test_a_header_says_its_name(tmp_path: Path, modern: VendorKey) -> None:
    found = read_nevra(head_of(built(tmp_path, modern)))
    assert found == Nevra("docker-ce", 3, "19.03.9", "3.el7", "x86_64")


def test_the_head_is_found_in_a_few_rounds(tmp_path: Path, modern: VendorKey) -> None:
    content = built(tmp_path, modern)
    rounds = []
    have = 0
    while (needed := header_length(content[:have])) > have:
        have = needed
        rounds.append(needed)
    assert rounds[0] == 112
    assert len(rounds) <= 3
    assert content[:have] == head_of(content)
    assert content[have:][:2] == b"\x1f\x8b", "the payload begins behind the head"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "docker-ce: the RPM ends inside its header"),
        (b"<html>log in</html>", "docker-ce: this is not an RPM"),
        (b"\xed\xab\xee\xdb" + b"\0" * 200, "docker-ce: this is not an RPM"),
        (b"\xed\xab\xee\xdb" + b"\0" * 50, "docker-ce: the RPM ends inside its header"),
        (
            b"\xed\xab\xee\xdb" + b"\0" * 92 + INTRO.pack(b"\x8e\xad\xe8\x01", 1 << 20, 5),
            "docker-ce: the RPM's header is too large (expected at most 67,108,864 bytes)",
        ),
        (
            b"\xed\xab\xee\xdb" + b"\0" * 92 + INTRO.pack(b"\x8e\xad\xe8\x01", 5, 1 << 30),
            "docker-ce: the RPM's header is too large (expected at most 67,108,864 bytes)",
        ),
    ],
)
def test_what_is_no_rpm_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        head_of(content)
    assert str(caught.value) == message


def test_a_head_that_ends_early_is_refused(tmp_path: Path, modern: VendorKey) -> None:
    head = head_of(built(tmp_path, modern))
    for end in (len(head) - 1, header_start(head) + 20, header_start(head), LEAD + 40, 100, 3):
        error = refused(head[:end], *public(modern))
        assert str(error) == "docker-ce: the RPM ends inside its header"


def test_an_index_that_points_outside_is_refused(tmp_path: Path, modern: VendorKey) -> None:
    head = bytearray(head_of(built(tmp_path, modern)))
    struct.pack_into(">I", head, LEAD + INTRO.size + 8, 1 << 24)
    error = refused(bytes(head), *public(modern))
    assert str(error) == "docker-ce: the RPM's header points outside of itself"
