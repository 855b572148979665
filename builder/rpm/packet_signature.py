"""A signature as an OpenPGP packet, and whether an RSA or DSA key made it (RFC 4880 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.openpgp import read_number, subpacket, subpackets

RSA, DSA = {1, 3}, {17}
CHECKED = RSA | DSA
"""What rpm of EL7 knows."""
HASHES = {2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_CREATED, ISSUER, EMBEDDED, _FINGERPRINT = 2, 16, 32, 33
_SHORTEST_KEY = 128  # bytes: RSA-1024
# DER of DigestInfo before the digest (RFC 8017 9.2, note 1)
_PREFIXES = {
    "sha1": "3021300906052b0e03021a05000414",
    "sha224": "302d300d06096086480165030402040500041c",
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}


@dataclass(frozen=True, slots=True)
class Signature:
    kind: int
    algorithm: int
    hash: str | None
    """As hashlib has it; None for one that is not believed here."""
    created: int
    """Seconds since 1970."""
    trailer: bytes
    """What is hashed after the content."""
    numbers: bytes
    issuer: str
    """What it says of who made it, upper-case hex; no proof."""
    subpackets: dict[int, bytes] = field(default_factory=dict)
    """Those that are signed."""
    front: bytes = b""
    """The body up to the end of what is signed."""
    embedded: bytes = b""
    """A signature in it that is not signed: of a subkey, that it belongs to the key."""
    canonical: bytes = b""
    """The body without what anybody could add."""

    @property
    def is_old(self) -> bool:
        """Tell whether it has version 3."""
        return not self.trailer.startswith(b"\x04")


def read_signature(body: bytes) -> Signature:
    """Read a signature of version 3 or 4 (RFC 4880 5.2); raise ValueError or IndexError."""
    if body[0] == 3:  # noqa: PLR2004 -- RFC 4880 5.2.2
        return Signature(
            kind=body[2],
            algorithm=body[15],
            hash=HASHES.get(body[16]),
            created=int.from_bytes(body[3:7]),
            trailer=body[2:7],
            numbers=body[19:],
            issuer=body[7:15].hex().upper(),
            front=body[:7],
            canonical=body,
        )
    if body[0] != 4:  # noqa: PLR2004 -- RFC 4880 5.2.3
        raise ValueError("it is not a signature of version 3 or 4")
    hashed = 6 + int.from_bytes(body[4:6])
    end = hashed + 2 + int.from_bytes(body[hashed : hashed + 2])
    signed = dict(subpackets(body[6:hashed]))
    others = {
        kind: content
        for kind, content in sorted(subpackets(body[hashed + 2 : end]))
        if kind in {ISSUER, EMBEDDED, _FINGERPRINT}
    }
    kept = b"".join(subpacket(kind, content) for kind, content in others.items())
    said = others | signed
    return Signature(
        kind=body[1],
        algorithm=body[2],
        hash=HASHES.get(body[3]),
        created=int.from_bytes(signed.get(_CREATED, b"")),
        trailer=body[:hashed] + b"\x04\xff" + hashed.to_bytes(4),
        numbers=body[end + 2 :],  # two bytes repeat the digest's first
        issuer=(said.get(_FINGERPRINT, b"")[1:] or said.get(ISSUER, b"")).hex().upper(),
        subpackets=signed,
        front=body[:hashed],
        embedded=others.get(EMBEDDED, b""),
        canonical=body[:hashed] + len(kept).to_bytes(2) + kept + body[end:],
    )


def is_signed(signature: Signature, digest: bytes, key: bytes) -> bool:
    """Tell whether an RSA or DSA key, as the body of its packet, signed a digest."""
    try:
        if key[0] != 4 or signature.hash is None:  # noqa: PLR2004 -- version
            return False
        if key[5] in DSA:
            return _is_signed_by_dsa(_numbers(signature.numbers, 2), digest, _numbers(key[6:], 4))
        if key[5] not in RSA:
            return False
        modulus, exponent = _numbers(key[6:], 2)
        (number,) = _numbers(signature.numbers, 1)
    except (IndexError, ValueError):  # a number that has no inverse, too
        return False
    # RFC 8017 8.2.2
    block = bytes.fromhex(_PREFIXES[signature.hash]) + digest
    length = (modulus.bit_length() + 7) // 8
    if length < _SHORTEST_KEY or number >= modulus:
        return False
    filling = b"\xff" * (length - len(block) - 3)
    return pow(number, exponent, modulus).to_bytes(length) == b"\0\1" + filling + b"\0" + block


def _is_signed_by_dsa(signature: list[int], digest: bytes, key: list[int]) -> bool:
    """Check as FIPS 186-4 4.7 has it."""
    (r, s), (p, q, g, y) = signature, key
    if not (0 < r < q and 0 < s < q and 1 < g < p and 1 < y < p):
        return False
    z = int.from_bytes(digest) >> max(len(digest) * 8 - q.bit_length(), 0)
    w = pow(s, -1, q)
    return pow(g, z * w % q, p) * pow(y, r * w % q, p) % p % q == r


def _numbers(content: bytes, count: int) -> list[int]:
    numbers, end = [], 0
    for _ in range(count):
        number, end = read_number(content, end)
        numbers.append(number)
    return numbers
