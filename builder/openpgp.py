"""OpenPGP's packets, subpackets and numbers, as they stand in keys and signatures (RFC 4880)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_COMPRESSED = 8
_ARMOUR = re.compile(
    rb"^(?:\xef\xbb\xbf)?[ \t]*-----BEGIN PGP [^\n]*\n(.*?)(?:^[ \t]*(-----END PGP )|\Z)",
    re.DOTALL | re.MULTILINE,
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HEADER = re.compile(rb"[A-Za-z]+: ")


class PacketError(ValueError):
    """Say what is wrong with a packet, in a phrase."""


def packets(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of every packet; raise PacketError."""
    place = 0
    while place < len(content):
        tag, start, length = _head(content[place : place + 6])
        body = content[place + start : place + start + length]
        if len(body) != length:
            raise PacketError("a packet is cut off")
        place += start + length
        yield tag, body


def packets_of_file(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of every packet of a file, binary or with armours and words between them.

    Libraries unpack what is compressed, also what is compressed in that, and a small file becomes
    gigabytes; neither keys nor signatures have such packets. Raise PacketError.
    """
    if content.startswith(_UTF16):
        raise PacketError("it is UTF-16, as PowerShell writes it: save it as UTF-8")
    armours = [_bare(*armour) for armour in _ARMOUR.findall(content)]
    for tag, body in packets(b"".join(armours) if armours else content):
        if tag == _COMPRESSED:
            raise PacketError("a packet is compressed, as in no key and no signature")
        yield tag, body


def _bare(text: bytes, end: bytes) -> bytes:
    """Take an armour off (RFC 4880 6.2); its checksum proves nothing."""
    if not end:
        raise PacketError("an armour is cut off")
    lines = [line.strip() for line in text.splitlines()]
    coded = b"".join(line for line in lines if not (_HEADER.match(line) or line[:1] == b"="))
    try:
        return base64.b64decode(coded, validate=True)
    except ValueError as error:
        raise PacketError("an armour is damaged") from error


def first_packet(content: bytes) -> tuple[int, bytes]:
    """Return tag and body of the first packet; raise PacketError."""
    for packet in packets(content):
        return packet
    raise PacketError("there is no packet")


def framed(tag: int, body: bytes) -> bytes:
    """Write a packet; its head has the new form, with five bytes of length where it is long."""
    length = len(body)
    if length < 192:  # noqa: PLR2004 -- RFC 4880 4.2.2
        head = bytes([length])
    elif length < 8384:  # noqa: PLR2004 -- two bytes
        head = bytes([192 + ((length - 192) >> 8), (length - 192) & 0xFF])
    else:
        head = b"\xff" + length.to_bytes(4)
    return bytes([0xC0 | tag]) + head + body


def read_number(content: bytes, start: int) -> tuple[int, int]:
    """Return a multiprecision integer and where it ends (RFC 4880 3.2); raise PacketError."""
    end = start + 2 + (int.from_bytes(content[start : start + 2]) + 7) // 8
    if len(content) < end or end == start + 2:
        raise PacketError("a number is cut off")
    return int.from_bytes(content[start + 2 : end]), end


def subpackets(area: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of subpackets (RFC 4880 5.2.3.1), which is critical or not."""
    while area:
        first = area[0]
        if first < 192:  # noqa: PLR2004 -- one byte of length
            start, length = 1, first
        elif first < 255:  # noqa: PLR2004 -- two
            start, length = 2, ((first - 192) << 8) + area[1] + 192
        else:
            start, length = 5, int.from_bytes(area[1:5])
        if not length or len(area) < start + length:
            raise PacketError("a subpacket is cut off")
        yield area[start] & 0x7F, area[start + 1 : start + length]
        area = area[start + length :]


def subpacket(kind: int, content: bytes) -> bytes:
    """Write a subpacket; its head has five bytes of length where it is long."""
    length = len(content) + 1
    short = length < 192  # noqa: PLR2004 -- as above
    return (bytes([length]) if short else b"\xff" + length.to_bytes(4)) + bytes([kind]) + content


def _head(content: bytes) -> tuple[int, int, int]:
    """Read a packet's head: its tag, where its body begins and how long it is (RFC 4880 4.2)."""
    first, padded = content[0], content[:6] + bytes(6)
    if not first & 0x80:
        raise PacketError("this is not a packet")
    if not first & 0x40:  # RFC 4880 4.2.1
        width = 1 << (first & 3)
        if width == 8:  # noqa: PLR2004 -- the packet ends where the file does
            raise PacketError("a packet has no length")
        return first >> 2 & 0x0F, 1 + width, int.from_bytes(padded[1 : 1 + width])
    length = padded[1]
    if length < 192:  # noqa: PLR2004 -- RFC 4880 4.2.2.1 to 4.2.2.3
        return first & 0x3F, 2, length
    if length < 224:  # noqa: PLR2004 -- two bytes of length
        return first & 0x3F, 3, ((length - 192) << 8) + padded[2] + 192
    if length == 255:  # noqa: PLR2004 -- five
        return first & 0x3F, 6, int.from_bytes(padded[2:6])
    raise PacketError("a packet comes in parts")
