"""What belongs to an OpenPGP key by its own word, and whether a signature of it counts.

A key comes from a mirror, and only its primary part is pinned: anybody can put user IDs, subkeys
and signatures beside that. So nothing is kept that the primary key did not sign, and it is written
in one form, whatever the file was. What RSA and DSA keys say is checked, all that rpm of EL7 knows;
of other keys, what names the key as its issuer is kept, and the libraries judge.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from builder.errors import VerificationError
from builder.openpgp import PacketError, framed, packets, subpacket
from builder.rpm.packet_signature import (
    CHECKED,
    EMBEDDED,
    ISSUER,
    Signature,
    is_signed,
    read_signature,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SIGNATURE, PUBLIC_KEY, USER, PUBLIC_SUBKEY = 2, 6, 13, 14
_CERTIFICATIONS = {0x10, 0x11, 0x12, 0x13}
_BINDING, _CROSS, _DIRECT = 0x18, 0x19, 0x1F
_REVOKED, _SUBKEY_REVOKED, _USER_REVOKED = 0x20, 0x28, 0x30
_LIFE, _KEY_LIFE, _REVOKER, _FLAGS, _REASON = 3, 9, 12, 27, 29
_MAY_SIGN = 0x02
_NO_SIGNER = " is none for signatures, by its own word"
_SOFT = {1: "superseded", 3: "retired"}
"""Reasons for a revocation that leave earlier signatures good (RFC 4880 5.2.3.23)."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """Hold one key, primary or not, and what the primary key says of it."""

    body: bytes
    vouched: tuple[Signature, ...]
    revoked: tuple[Signature, ...]

    @property
    def fingerprint(self) -> str:
        if self.body[0] > 4:  # noqa: PLR2004 -- RFC 9580 5.5.4
            framed_key = b"\x9b" + len(self.body).to_bytes(4) + self.body
            return hashlib.sha256(framed_key).hexdigest().upper()
        return hashlib.sha1(_key(self.body), usedforsecurity=False).hexdigest().upper()

    @property
    def last(self) -> Signature | None:
        """Return what the primary key said of it last, which holds."""
        return max(self.vouched, key=lambda signature: signature.created, default=None)

    @property
    def expires(self) -> int | None:
        """Return seconds since 1970: of its own life, or of the word that it is a key's."""
        if (last := self.last) is None:
            return None
        lives = ((self.created, _KEY_LIFE), (last.created, _LIFE))
        ends = [(start, int.from_bytes(last.subpackets.get(kind, b""))) for start, kind in lives]
        return min((start + life for start, life in ends if life), default=None)

    @property
    def signs(self) -> bool:
        """Tell whether it is one for signatures; old keys say nothing of what they are for."""
        flags = self.last.subpackets.get(_FLAGS) if self.last else None
        return flags is None or bool(flags[:1] and flags[0] & _MAY_SIGN)

    @property
    def created(self) -> int:
        return int.from_bytes(self.body[1:5])


@dataclass(frozen=True, slots=True)
class Certificate:
    content: bytes
    """Its packets in one form: primary key, revocations, user IDs, subkeys."""
    users: tuple[str, ...]
    parts: tuple[KeyPart, ...]
    """The primary key, then the subkeys that it vouches for."""


@lru_cache(maxsize=64)
def read_certificate(content: bytes) -> Certificate:
    """Read the packets of one key; raise VerificationError when it says nothing of itself."""
    try:
        return _read([(tag, body) for tag, body in packets(content)])
    except (IndexError, ValueError) as error:
        raise VerificationError(f"the key can't be read: {error}") from error


def made_by(signature: Signature, digest: bytes, content: bytes) -> KeyPart | None:
    """Find the part of a key that made a signature, whoever that says has made it."""
    parts = read_certificate(content).parts if is_known_to_rpm(content) else ()
    return next((part for part in parts if is_signed(signature, digest, part.body)), None)


def is_known_to_rpm(content: bytes) -> bool:
    """Tell whether rpm of EL7 reads a key; else nothing here checks what it says of its subkeys."""
    body = read_certificate(content).parts[0].body
    return body[0] == 4 and body[5] in CHECKED  # noqa: PLR2004 -- version


def doubt(content: bytes, issuer: str, made: int) -> str | None:
    """Say why a signature made at a time (seconds since 1970) does not count, if so.

    ``issuer`` is the end of the fingerprint of the part of the key that made it. A part that was
    lost or stolen is refused for any time, one that was replaced or expired from then on.
    """
    primary, *subkeys = read_certificate(content).parts
    if reason := _doubt(primary, made, "the key"):
        return reason
    for subkey in subkeys:
        if subkey.fingerprint.endswith(issuer.upper()):
            name = "the subkey that made it"
            return _doubt(subkey, made, name) or (None if subkey.signs else f"{name}{_NO_SIGNER}")
    if not primary.fingerprint.endswith(issuer.upper()):
        return "the key does not vouch for the subkey that made it"
    return None if primary.signs else f"the key{_NO_SIGNER}"


def _doubt(part: KeyPart, made: int, name: str) -> str | None:
    for revocation in part.revoked:
        reason = _SOFT.get(revocation.subpackets.get(_REASON, b"\0")[0])
        if reason is None:
            return f"{name} was revoked on {_day(revocation.created)}"
        if made >= revocation.created:
            return f"{name} was {reason} on {_day(revocation.created)}, before it was made"
    if made < part.created:
        return f"{name} was made on {_day(part.created)}, after the signature"
    if part.expires is not None and made >= part.expires:
        return f"{name} expired on {_day(part.expires)}, before the signature was made"
    return None


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _read(found: list[tuple[int, bytes]]) -> Certificate:
    (_, key, own), *others = groups = _grouped(found)
    if key[0] != 4:  # noqa: PLR2004 -- of another version, which no rpm reads: the libraries judge
        return Certificate(
            content=b"".join(framed(tag, body) for tag, body in found),
            users=tuple(body.decode("utf-8", "replace") for tag, body, _ in groups if tag == USER),
            parts=tuple(
                KeyPart(body, (), ())
                for tag, body, _ in groups
                if tag in {PUBLIC_KEY, PUBLIC_SUBKEY}
            ),
        )
    direct = _good(own, key, {_DIRECT}, _key(key))
    revoked = _good(own, key, {_REVOKED}, _key(key)) + _designated(own, direct)
    users, subkeys = [], []
    vouched = list(direct)
    written = [framed(PUBLIC_KEY, key), *map(_packet, (*revoked, *direct))]
    for tag, body, signatures in others:
        if tag == USER:
            good = _good(signatures, key, _CERTIFICATIONS, _key(key), body)
            if good:
                gone = _good(signatures, key, {_USER_REVOKED}, _key(key), body)
                written += [framed(USER, body), *map(_packet, (*gone, *good))]
                users.append(body.decode("utf-8", "replace"))
                vouched += good
        elif tag == PUBLIC_SUBKEY:
            good = _good(signatures, key, {_BINDING}, _key(key) + _key(body), subkey=body)
            if good:
                gone = _good(signatures, key, {_SUBKEY_REVOKED}, _key(key) + _key(body))
                subkeys.append(KeyPart(body, tuple(good), tuple(gone)))
                written += [framed(PUBLIC_SUBKEY, body), *map(_packet, (*gone, *good))]
    if not vouched and not revoked:
        raise PacketError("no user ID in it is signed by the key itself")
    return Certificate(
        content=b"".join(written),
        users=tuple(users),
        parts=(KeyPart(key, tuple(vouched), tuple(revoked)), *subkeys),
    )


def _grouped(found: list[tuple[int, bytes]]) -> list[tuple[int, bytes, list[Signature]]]:
    """Put each packet together with the signatures that follow it."""
    groups: list[tuple[int, bytes, list[Signature]]] = []
    for tag, body in found:
        if tag != SIGNATURE:
            groups.append((tag, body, []))
        elif groups:
            # one of another version could not be checked here
            with contextlib.suppress(IndexError, ValueError):
                groups[-1][2].append(read_signature(body))
    if not groups or groups[0][0] != PUBLIC_KEY:
        raise PacketError("it does not begin with a public key")
    return groups


def _good(
    signatures: Iterable[Signature],
    key: bytes,
    kinds: set[int],
    head: bytes,
    user: bytes = b"",
    subkey: bytes = b"",
) -> list[Signature]:
    """Return the signatures of these kinds that the primary key made, each once, oldest first.

    What of them is not signed is written anew, since anybody may have changed it.
    """
    good: dict[bytes, Signature] = {}
    for signature in signatures:
        if signature.kind not in kinds:
            continue
        content = head
        if user or signature.kind in _CERTIFICATIONS:
            content += user if signature.is_old else b"\xb4" + len(user).to_bytes(4) + user
        if key[5] in CHECKED and signature.hash is not None:
            hasher = hashlib.new(signature.hash, content + signature.trailer, usedforsecurity=False)
            digest = hasher.digest()
            if not is_signed(signature, digest, key):
                continue
            proof = _cross_signed(signature.embedded, head, subkey) if subkey else b""
            written = _rewritten(signature, digest, key, proof)
            good[written] = replace(signature, canonical=written)
        elif key[5] not in CHECKED and _names(signature, key):
            good[signature.canonical] = signature
    return sorted(good.values(), key=lambda one: (one.created, one.canonical))


def _designated(signatures: Iterable[Signature], direct: Iterable[Signature]) -> list[Signature]:
    """Return the revocations that name as their maker who may revoke the key, by its own word.

    That they made them can't be checked without their key. Whoever forges one gains nothing: a
    mirror that wants a key to be refused can leave it out.
    """
    revokers = [
        one.subpackets[_REVOKER][2:].hex().upper() for one in direct if _REVOKER in one.subpackets
    ]
    named = {
        one.canonical: one
        for one in signatures
        if one.kind == _REVOKED and one.issuer and any(r.endswith(one.issuer) for r in revokers)
    }
    return [named[content] for content in sorted(named)]


def _rewritten(signature: Signature, digest: bytes, key: bytes, embedded: bytes) -> bytes:
    """Write the body of a signature that a key made."""
    issuer = hashlib.sha1(_key(key), usedforsecurity=False).digest()[-8:]
    start, end = signature.front, digest[:2] + signature.numbers
    if signature.is_old:
        return start + issuer + signature.canonical[15:17] + end
    loose = b"" if ISSUER in signature.subpackets else subpacket(ISSUER, issuer)
    loose += subpacket(EMBEDDED, embedded) if embedded else b""
    return start + len(loose).to_bytes(2) + loose + end


def _cross_signed(embedded: bytes, head: bytes, subkey: bytes) -> bytes:
    """Return a subkey's own word that it belongs to a key, empty where it is none.

    That of a key that is not checked here is left to the libraries.
    """
    try:
        signature = read_signature(embedded)
    except (IndexError, ValueError):
        return b""
    if signature.kind != _CROSS:
        return b""
    if subkey[5] not in CHECKED:
        return embedded
    if signature.hash is None:
        return b""
    hasher = hashlib.new(signature.hash, head + signature.trailer, usedforsecurity=False)
    if not is_signed(signature, hasher.digest(), subkey):
        return b""
    return _rewritten(signature, hasher.digest(), subkey, b"")


def _names(signature: Signature, key: bytes) -> bool:
    fingerprint = hashlib.sha1(_key(key), usedforsecurity=False).digest()
    return fingerprint[-8:] in signature.canonical


def _key(body: bytes) -> bytes:
    return b"\x99" + len(body).to_bytes(2) + body


def _packet(signature: Signature) -> bytes:
    return framed(SIGNATURE, signature.canonical)
