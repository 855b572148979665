"""Keys as a mirror may give them: what is not the key's own word is left out."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

from builder import openpgp as raw
from builder.errors import VerificationError
from builder.lab.openpgp import armour, generate
from builder.lab.packages import PackageRecipe, build_package
from builder.rpm.certificates import doubt
from builder.rpm.header import read_head
from builder.rpm.keys import load_keys, verify_detached
from builder.rpm.signature import verify_signature
from builder.secrets import openpgp

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.openpgp import VendorKey
    from builder.rpm.keys import RpmKey

MADE = 1_500_000_000
YEAR = 365 * 86_400
SUBKEY, REVOKED, SUBKEY_REVOKED, BINDING = 14, 0x20, 0x28, 0x18
RPM = PackageRecipe(nevra="agent-1-1.noarch")


@pytest.fixture(scope="module")
def evil() -> VendorKey:
    return generate("Evil <evil@example.invalid>", created=MADE)


def body(key: VendorKey) -> bytes:
    return openpgp.public_body(key.private, key.created)


def packets(key: VendorKey) -> bytes:
    return key._with_user(openpgp.packet(openpgp.PUBLIC_KEY, body(key)))


def framed(*keys: VendorKey) -> bytes:
    return b"".join(openpgp.framed(body(key)) for key in keys)


def said(
    signer: VendorKey, of: VendorKey, covered: bytes, kind: int, more: bytes = b"", at: int = MADE
) -> bytes:
    """Sign as ``signer``, under the name of ``of``."""
    from cryptography.hazmat.primitives import hashes

    return openpgp.signature(
        signer.private,
        body(of),
        covered,
        created=at,
        kind=kind,
        digest=(8, hashes.SHA256()),
        more=more,
    )


def user(name: bytes, *signatures: bytes) -> bytes:
    return openpgp.packet(openpgp.USER, name) + b"".join(signatures)


def subkey(key: VendorKey, *signatures: bytes) -> bytes:
    return openpgp.packet(SUBKEY, body(key)) + b"".join(signatures)


def long_subpacket(kind: int, body: bytes) -> bytes:
    return b"\xff" + (len(body) + 1).to_bytes(4) + bytes([kind]) + body


def loosely(signature: bytes, loose: bytes, *, quick: bytes | None = None) -> bytes:
    """Give a signature other parts that nobody signed: subpackets, and the digest's first bytes."""
    (_, made), *_ = raw.packets(signature)
    start = 6 + int.from_bytes(made[4:6])
    end = start + 2 + int.from_bytes(made[start : start + 2])
    quick = made[end : end + 2] if quick is None else quick
    changed = made[:start] + len(loose).to_bytes(2) + loose + quick + made[end + 2 :]
    return raw.framed(openpgp.SIGNATURE, changed)


def block(content: bytes) -> bytes:
    return armour("PUBLIC KEY BLOCK", content)


def only(content: bytes) -> RpmKey:
    (key,) = load_keys(content)
    return key


def test_whatever_a_mirror_adds_to_a_key_is_left_out(modern: VendorKey, evil: VendorKey) -> None:
    plain, name = packets(modern), b"Forged <forged@example.invalid>"
    covered = openpgp.covered_user(body(modern), name)
    (_, own), (_, its), (_, made) = raw.packets(plain)
    bare = raw.framed(openpgp.PUBLIC_KEY, own) + raw.framed(openpgp.USER, its)
    itself = raw.framed(openpgp.SIGNATURE, made)
    variants = {
        "bare user": plain + user(name),
        "user by a stranger": plain + user(name, said(evil, evil, covered, 0x13)),
        "forged user": plain + user(name, said(evil, modern, covered, 0x13)),
        "stranger's signature": plain + said(evil, evil, covered, 0x10),
        "bare subkey": plain + subkey(evil),
        "forged subkey": plain + subkey(evil, said(evil, modern, framed(modern, evil), BINDING)),
        "forged revocation": plain[: len(openpgp.packet(openpgp.PUBLIC_KEY, body(modern)))]
        + said(evil, modern, framed(modern), REVOKED)
        + plain[len(openpgp.packet(openpgp.PUBLIC_KEY, body(modern))) :],
        "another issuer": bare + loosely(itself, long_subpacket(16, b"\1" * 8)),
        "no issuer": bare + loosely(itself, b""),
        "another fingerprint": bare + loosely(itself, long_subpacket(33, b"\4" + b"x" * 20)),
        "another beginning of the digest": bare + loosely(itself, b"", quick=b"\0\0"),
        "words": bare + loosely(itself, openpgp.subpacket(20, b"\x80" + bytes(4) + b"\1\0\1ab")),
        "twice": plain + user(modern.user.encode()),
    }
    expected = only(modern.public)
    for what, content in variants.items():
        for written in (content, block(content)):
            key = only(written)
            assert key.armoured == expected.armoured, what
            assert key.parts == (modern.fingerprint,), what
    first, second = load_keys(modern.public + b"\n" + evil.public)
    assert (first.armoured, second.fingerprint) == (expected.armoured, evil.fingerprint)
    assert only(expected.armoured) == expected


def test_a_key_that_says_nothing_of_itself_is_none(modern: VendorKey) -> None:
    bare = openpgp.packet(openpgp.PUBLIC_KEY, body(modern))
    with pytest.raises(VerificationError, match="no user ID in it is signed by the key itself"):
        load_keys(block(bare + user(b"Somebody")))


def signed_rpm(folder: Path, signer: VendorKey) -> bytes:
    with build_package(RPM, signer, folder).path.open("rb") as file:
        return read_head(file)


def test_a_subkey_that_a_mirror_adds_signs_nothing(
    modern: VendorKey, evil: VendorKey, tmp_path: Path
) -> None:
    key = only(packets(modern) + subkey(evil))
    with pytest.raises(VerificationError, match="signed by the key"):
        verify_signature(signed_rpm(tmp_path, evil), [key])
    with pytest.raises(VerificationError, match="signed by the key"):
        verify_detached(b"x", evil.sign(b"x"), [key])


def test_a_subkey_says_itself_that_it_belongs_to_the_key(
    modern: VendorKey, evil: VendorKey
) -> None:
    """gpg puts that where nobody has signed it, and sequoia wants it."""
    covered = framed(modern, evil)
    binding = said(modern, modern, covered, BINDING, openpgp.subpacket(27, b"\2"))

    def key(*more: bytes) -> RpmKey:
        loose = openpgp.subpacket(16, bytes.fromhex(modern.fingerprint)[-8:])
        loose += b"".join(long_subpacket(32, one) for one in more)
        return only(packets(modern) + subkey(evil, loosely(binding, loose)))

    (_, cross), *_ = raw.packets(said(evil, evil, covered, 0x19))
    (_, forged), *_ = raw.packets(said(modern, evil, covered, 0x19))
    good = key(cross)
    assert verify_detached(b"x", evil.sign(b"x"), [good]) == modern.fingerprint
    assert key(forged).armoured == key().armoured != good.armoured
    with pytest.raises(VerificationError):
        verify_detached(b"x", evil.sign(b"x"), [key(forged)])


def revoked(key: VendorKey, at: int, reason: int | None) -> bytes:
    why = b"" if reason is None else openpgp.subpacket(29, bytes([reason]) + b"gone")
    head = openpgp.packet(openpgp.PUBLIC_KEY, body(key))
    revocation = said(key, key, framed(key), REVOKED, why, at)
    return head + revocation + packets(key)[len(head) :]


def expiring(key: VendorKey, life: int, *, flags: int = 3, kind: int = 9) -> bytes:
    covered = openpgp.covered_user(body(key), key.user.encode())
    more = openpgp.subpacket(27, bytes([flags])) + openpgp.subpacket(kind, life.to_bytes(4))
    signature = said(key, key, covered, 0x13, more)
    return openpgp.packet(openpgp.PUBLIC_KEY, body(key)) + user(key.user.encode(), signature)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ("compromised", "the key was revoked on 2018-07-14"),
        ("without a reason", "the key was revoked on 2018-07-14"),
        ("superseded after", ""),
        ("superseded before", "the key was superseded on 2017-07-14, before it was made"),
        ("retired before", "the key was retired on 2017-07-14, before it was made"),
        ("expired after", ""),
        ("expired before", "the key expired on 2017-07-15, before the signature was made"),
        ("not for signatures", "the key is none for signatures, by its own word"),
    ],
)
def test_one_judgement_for_rpms_and_detached_signatures(
    modern: VendorKey, tmp_path: Path, version: int, how: str, refusal: str
) -> None:
    """All signatures of a key of the lab are made when it was: ``later`` makes some a year on."""
    later = replace(modern, version=version)
    at = MADE + YEAR
    contents = {
        "compromised": revoked(modern, at, 2),
        "without a reason": revoked(modern, at, None),
        "superseded after": revoked(modern, at, 1),
        "superseded before": revoked(modern, MADE, 1),
        "retired before": revoked(modern, MADE, 3),
        "expired after": expiring(modern, YEAR),
        "expired before": expiring(modern, 86_400),
        "not for signatures": expiring(modern, 20 * YEAR, flags=1),
    }
    key = only(contents[how])
    when = MADE + 2 * 86_400 if how == "expired before" else MADE
    head = signed_rpm(tmp_path, _Later(later, when))
    if not refusal:
        assert verify_signature(head, [key]) == modern.fingerprint
        assert verify_detached(b"x", modern.sign(b"x"), [key]) == modern.fingerprint
        return
    with pytest.raises(VerificationError) as caught:
        verify_signature(head, [key])
    assert caught.value.fault.what.endswith(f"does not count: {refusal}")
    with pytest.raises(VerificationError) as caught:
        verify_detached(b"x", _Later(modern, when).sign(b"x"), [key])
    assert refusal in f"{caught.value.fault.what} {caught.value.fault.hint}"


def test_who_may_revoke_a_key_by_its_own_word_does(
    modern: VendorKey, evil: VendorKey, tmp_path: Path
) -> None:
    """As gpg has it (addrevoker, desig-revoke); what a stranger says of a key is left out."""
    revoker = openpgp.subpacket(12, b"\x80\x01" + bytes.fromhex(evil.fingerprint))
    direct = said(modern, modern, framed(modern), 0x1F, revoker)
    revocation = said(evil, evil, framed(modern), REVOKED, at=MADE + YEAR)
    head = openpgp.packet(openpgp.PUBLIC_KEY, body(modern))
    rest = packets(modern)[len(head) :]
    rpm = signed_rpm(tmp_path, modern)
    for own in (direct, revocation):
        assert verify_signature(rpm, [only(head + own + rest)]) == modern.fingerprint
    key = only(head + direct + revocation + rest)
    assert only(key.armoured) == key
    with pytest.raises(VerificationError, match="not count: the key was revoked on 2018-07-14"):
        verify_signature(rpm, [key])
    with pytest.raises(VerificationError, match="not count: the key was revoked on 2018-07-14"):
        verify_detached(b"x", modern.sign(b"x"), [key])


def test_a_key_is_one_while_it_says_so(modern: VendorKey) -> None:
    """What it says of itself may be for some time only, and so may be a signature."""
    key = only(expiring(modern, 86_400, kind=3))
    assert doubt(key.content, key.fingerprint, MADE + 60) is None
    told = doubt(key.content, key.fingerprint, MADE + 86_400)
    assert told == "the key expired on 2017-07-15, before the signature was made"
    short = said(modern, modern, b"x", 0, openpgp.subpacket(3, (60).to_bytes(4)))
    with pytest.raises(VerificationError) as caught:
        verify_detached(b"x", short, [only(modern.public)])
    assert caught.value.hint == "its maker says that it was good until 2017-07-14 at 02:41 UTC"


class _Later:
    """Sign at another time than when the key was made."""

    def __init__(self, key: VendorKey, at: int) -> None:
        self._key, self._at = key, at

    def sign(self, content: bytes) -> bytes:
        if self._key.version == 3:
            return _old(self._key, content, self._at)
        return said(self._key, self._key, content, 0, at=self._at)


def _old(key: VendorKey, content: bytes, at: int) -> bytes:
    from cryptography.hazmat.primitives import hashes

    hashed = b"\x00" + at.to_bytes(4)
    issuer = bytes.fromhex(key.fingerprint)[-8:]
    proof = openpgp.sign_digest(key.private, content + hashed, hashes.SHA256())
    return openpgp.packet(openpgp.SIGNATURE, b"\x03\x05" + hashed + issuer + b"\x01\x08" + proof)


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [(None, ""), (2, "the subkey that made it was revoked on 2018-07-14"), (1, "")],
)
def test_a_subkey_is_judged_as_its_key_is(
    modern: VendorKey, evil: VendorKey, tmp_path: Path, reason: int | None, refusal: str
) -> None:
    covered = framed(modern, evil)
    back = said(evil, evil, covered, 0x19)
    # the embedded signature is a packet without its head
    inner = back[back.index(b"\x04\x19") :]
    more = openpgp.subpacket(27, b"\x02") + long_subpacket(32, inner)
    signatures = [said(modern, modern, covered, BINDING, more)]
    if reason is not None:
        why = openpgp.subpacket(29, bytes([reason]))
        signatures.insert(0, said(modern, modern, covered, SUBKEY_REVOKED, why, MADE + YEAR))
    key = only(packets(modern) + subkey(evil, *signatures))
    assert key.parts == (modern.fingerprint, evil.fingerprint)
    head = signed_rpm(tmp_path, evil)
    if not refusal:
        assert verify_signature(head, [key]) == modern.fingerprint
        assert verify_detached(b"x", evil.sign(b"x"), [key]) == modern.fingerprint
        return
    with pytest.raises(VerificationError, match=f"does not count: {refusal}"):
        verify_signature(head, [key])
    with pytest.raises(VerificationError):
        verify_detached(b"x", evil.sign(b"x"), [key])


def test_who_signed_is_seen_by_the_signature_alone(
    modern: VendorKey, evil: VendorKey, tmp_path: Path
) -> None:
    """Anybody can write issuers beside a signature, and libraries try one after the other."""
    covered = framed(modern, evil)
    lost = said(modern, modern, covered, SUBKEY_REVOKED, openpgp.subpacket(29, b"\2"), MADE + YEAR)
    bound = said(modern, modern, covered, BINDING, openpgp.subpacket(27, b"\2"))
    key = only(packets(modern) + subkey(evil, lost, bound))
    innocent = openpgp.subpacket(33, b"\4" + bytes.fromhex(modern.fingerprint))

    class Disguised:
        def sign(self, content: bytes) -> bytes:
            return said(evil, evil, content, 0, innocent)

    with pytest.raises(VerificationError, match="the subkey that made it was revoked"):
        verify_signature(signed_rpm(tmp_path, Disguised()), [key])


def test_what_a_dsa_key_did_not_sign_is_left_out(evil: VendorKey) -> None:
    private = dsa.generate_private_key(2048)
    numbers = private.public_key().public_numbers()
    group = numbers.parameter_numbers
    values = map(openpgp.number, (group.p, group.q, group.g, numbers.y))
    public = b"\4" + MADE.to_bytes(4) + b"\x11" + b"".join(values)
    name = b"Dsa <dsa@example.invalid>"

    def signed(by: Any, kind: int, covered: bytes) -> bytes:
        hashed = b"\4" + bytes([kind]) + b"\x11\x08\0\6" + openpgp.subpacket(2, MADE.to_bytes(4))
        content = covered + hashed + b"\4\xff" + len(hashed).to_bytes(4)
        proof = map(openpgp.number, utils.decode_dss_signature(by.sign(content, SHA256())))
        begin = hashlib.sha256(content).digest()[:2]
        loose = openpgp.subpacket(16, bytes.fromhex(openpgp.fingerprint(public))[-8:])
        body = hashed + len(loose).to_bytes(2) + loose + begin + b"".join(proof)
        return openpgp.packet(openpgp.SIGNATURE, body)

    stranger = (
        dsa.DSAParameterNumbers(group.p, group.q, group.g).parameters().generate_private_key()
    )
    over = openpgp.covered_user(public, name)
    head = openpgp.packet(openpgp.PUBLIC_KEY, public)
    with pytest.raises(VerificationError, match="no user ID in it is signed by the key itself"):
        load_keys(head + user(name, signed(stranger, 0x13, over)))
    whole = head + user(name, signed(private, 0x13, over))
    forged = signed(stranger, BINDING, openpgp.framed(public) + framed(evil))
    assert only(whole + subkey(evil, forged)).armoured == only(whole).armoured


def test_all_armoured_signatures_of_a_file_are_read(modern: VendorKey, evil: VendorKey) -> None:
    first, second = (armour("SIGNATURE", key.sign(b"x")) for key in (evil, modern))
    key = only(modern.public)
    for file in (
        first + second,
        second + first,
        first + b"\r\n\r\n" + second,
        b"#\n" + first + second,
    ):
        assert verify_detached(b"x", file, [key]) == modern.fingerprint
