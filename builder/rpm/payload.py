"""Whether something signed covers an RPM's payload, and whether the payload is what was signed.

A good signature over the header says nothing about the files, unless

- the header holds the payload's digest (tag PAYLOADDIGEST, from rpm 4.14 on), or
- there is the older signature over header and payload (SIGPGP), as in the RPMs of EL7.

No library here reads the older one in version 3 and without holding the whole RPM in memory, so it
is checked here: RSA with PKCS #1 v1.5 padding (RFC 8017 8.2.2) over an OpenPGP digest (RFC 4880
5.2.4). Only a key's primary part counts: whether a subkey belongs to it is not looked at.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError
from builder.openpgp import first_packet, read_number
from builder.rpm.header import main_header, value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from builder.rpm.keys import RpmKey

_SIGPGP = 1002
_PAYLOAD_DIGEST, _PAYLOAD_ALGORITHM = 5092, 5093
_STRING_KINDS = {6, 8}
_INT32 = 4
_RSA = {1, 3}
_PUBLIC_KEY, _SIGNATURE = 6, 2
_HASHES = {2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_SHORTEST_KEY = 128  # bytes: RSA-1024
# DER of DigestInfo before the digest (RFC 8017 9.2, note 1)
_PREFIXES = {
    "sha1": "3021300906052b0e03021a05000414",
    "sha224": "302d300d06096086480165030402040500041c",
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}
_PIECE = 1 << 20


def verify_payload(
    head: bytes, payload: BinaryIO, keys: Sequence[RpmKey], *, where: str = "RPM"
) -> bool:
    """Compare the payload with what was signed; tell whether anything signed covers it.

    ``head`` must have passed :func:`builder.rpm.signature.verify_signature` with the same keys;
    ``payload`` stands behind it and is read to its end. Raise VerificationError when the payload
    is not the one that was signed.
    """
    header = main_header(head, where=where)
    if (digest := _payload_digest(head, where)) is not None:
        algorithm, expected = digest
        actual = _hashed(hashlib.new(algorithm, usedforsecurity=False), payload).hexdigest()
        if actual != expected:
            raise _changed(where, f"{algorithm}:{expected}, as the signed header says")
        return True
    packet = value(head, _SIGPGP, signature=True, where=where)
    if packet is None:
        return False
    signature = _parse(packet[1], where)
    hasher = _hashed(hashlib.new(signature.hash, header, usedforsecurity=False), payload)
    hasher.update(signature.trailer)
    block = bytes.fromhex(_PREFIXES[signature.hash]) + hasher.digest()
    if not any(_is_signed(signature.number, block, key) for key in keys):
        raise _changed(where, "what its signature over header and payload covers")
    return True


@dataclass(frozen=True, slots=True)
class _Signature:
    hash: str
    trailer: bytes
    """What is hashed after the content."""
    number: int


def _changed(where: str, expected: str) -> VerificationError:
    return VerificationError(
        "the payload is not the one that was signed",
        where=where,
        expected=expected,
        hint="the RPM was changed after it was signed, or damaged on the way",
    )


def _hashed(hasher: Any, file: BinaryIO) -> Any:
    while piece := file.read(_PIECE):
        hasher.update(piece)
    return hasher


def _payload_digest(head: bytes, where: str) -> tuple[str, str] | None:
    entry = value(head, _PAYLOAD_DIGEST, where=where)
    if entry is None:
        return None
    kind, content = entry
    algorithm = value(head, _PAYLOAD_ALGORITHM, where=where)
    number = 8  # SHA-256, rpm's own default
    if algorithm and algorithm[0] == _INT32 and len(algorithm[1]) >= struct.calcsize(">I"):
        (number,) = struct.unpack_from(">I", algorithm[1])
    if kind not in _STRING_KINDS or number not in _HASHES:
        raise VerificationError(
            "the payload's digest in the header is of an unknown kind", where=where
        )
    return _HASHES[number], content.partition(b"\0")[0].decode("ascii", "replace")


def _parse(packet: bytes, where: str) -> _Signature:
    """Read an RSA signature of version 3 or 4 over binary data."""
    try:
        return _read(packet)
    except (IndexError, ValueError) as error:
        raise VerificationError(
            f"the signature over header and payload can't be read: {error}", where=where
        ) from error


def _read(packet: bytes) -> _Signature:
    tag, body = first_packet(packet)
    if tag != _SIGNATURE or body[0] not in {3, 4}:
        raise ValueError("it is no signature of version 3 or 4")
    if body[0] == 3:  # noqa: PLR2004 -- RFC 4880 5.2.2
        kind, algorithm, hash_, end = body[2], body[15], body[16], 17
        trailer = body[2:7]
    else:  # RFC 4880 5.2.3
        kind, algorithm, hash_ = body[1:4]
        hashed = 6 + int.from_bytes(body[4:6])
        trailer = body[:hashed] + b"\x04\xff" + hashed.to_bytes(4)
        end = hashed + 2 + int.from_bytes(body[hashed : hashed + 2])
    if kind != 0 or algorithm not in _RSA or hash_ not in _HASHES:
        raise ValueError(f"it has type {kind}, algorithm {algorithm}, digest {hash_}")
    number, _ = read_number(body, end + 2)  # two bytes repeat the digest's first
    return _Signature(_HASHES[hash_], trailer, number)


def _is_signed(number: int, block: bytes, key: RpmKey) -> bool:
    """Tell whether a key's primary part made a signature."""
    try:
        tag, body = first_packet(key.content)
        if tag != _PUBLIC_KEY or body[0] != 4 or body[5] not in _RSA:  # noqa: PLR2004 -- version
            return False
        modulus, end = read_number(body, 6)
        exponent, _ = read_number(body, end)
    except (IndexError, ValueError):
        return False
    length = (modulus.bit_length() + 7) // 8
    if length < _SHORTEST_KEY or number >= modulus:
        return False
    filling = b"\xff" * (length - len(block) - 3)
    return pow(number, exponent, modulus).to_bytes(length) == b"\0\1" + filling + b"\0" + block
