from __future__ import annotations

import pytest

from builder.openpgp import PacketError, first_packet, packets, read_number


@pytest.mark.parametrize(
    ("head", "tag", "length"),
    [
        (b"\x99\x01\x00", 6, 256),
        (b"\x98\x05", 6, 5),
        (b"\x9a\x00\x00\x00\x07", 6, 7),
        (b"\xc2\x05", 2, 5),
        (b"\xc2\xc0\x00", 2, 192),
        (b"\xc2\xff\x00\x00\x00\x09", 2, 9),
    ],
)
def test_heads_of_both_formats(head: bytes, tag: int, length: int) -> None:
    body = bytes(length)
    assert list(packets(2 * (head + body))) == 2 * [(tag, body)]
    assert first_packet(head + body + b"else") == (tag, body)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "there is no packet"),
        (b"\x19\x01\x00", "this is not a packet"),
        (b"\x9b", "a packet has no length"),
        (b"\x98\x02x", "a packet is cut off"),
        (b"\xc2\xff\0\0\0\2x", "a packet is cut off"),
        (b"\xc2\xe1x", "a packet comes in parts"),
    ],
)
def test_damaged_packets(content: bytes, what: str) -> None:
    with pytest.raises(PacketError) as caught:
        first_packet(content)
    assert str(caught.value) == what


def test_numbers_are_read_up_to_their_last_bit() -> None:
    assert read_number(b"..\x00\x09\x01\xff..", 2) == (0x1FF, 6)
    for cut in (b"\x00\x09\x01", b"\x00\x00", b"", b"\x00"):
        with pytest.raises(PacketError, match=r"^a number is cut off$"):
            read_number(cut, 0)
