from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, SupportsIndex

import pytest

from builder.lab.openpgp import armour
from builder.openpgp import (
    PacketError,
    first_packet,
    framed,
    packets,
    packets_of_file,
    read_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable


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


def compressed(content: bytes) -> bytes:
    return framed(8, b"\x02" + zlib.compress(content, 9))


@pytest.mark.parametrize("armoured", [True, False])
def test_what_is_compressed_is_not_unpacked(*, armoured: bool) -> None:
    """48 KiB become 48 MiB, and what is compressed in it 48 GiB."""
    content = framed(2, b"sig") + compressed(compressed(bytes(1 << 20)))
    if armoured:
        content = b"words\n" + armour("SIGNATURE", content)
    with pytest.raises(PacketError) as caught:
        list(packets_of_file(content))
    assert str(caught.value) == "a packet is compressed, as in no key and no signature"


def test_armours_and_words_between_them() -> None:
    one, other = framed(2, b"1" * 300), framed(6, b"2")
    text = b"see https://a.example\n" + armour("SIGNATURE", one)
    text += b"and\n" + armour("PUBLIC KEY BLOCK", other).replace(b"\n", b"\r\n").replace(
        b"-----\r\n\r\n", b"-----\r\nVersion: GnuPG v2\r\nComment: a: b\r\n\r\n", 1
    )
    assert list(packets_of_file(text)) == [(2, b"1" * 300), (6, b"2")]
    assert list(packets_of_file(one + other)) == [(2, b"1" * 300), (6, b"2")]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text[: text.index(b"-----END")], "an armour is cut off"),
        (lambda text: text.replace(b"MTEx", b"MT!x", 1), "an armour is damaged"),
        (lambda text: text.replace(b"\n", b"\nMTEx\n", 1), "this is not a packet"),
    ],
)
def test_damaged_armours(change: Callable[[bytes], bytes], what: str) -> None:
    with pytest.raises(PacketError) as caught:
        list(packets_of_file(change(armour("SIGNATURE", framed(2, b"1" * 90)))))
    assert str(caught.value) == what


def test_an_armour_as_windows_saves_it() -> None:
    text = armour("SIGNATURE", framed(2, b"1"))
    assert list(packets_of_file(b"\xef\xbb\xbf" + text)) == [(2, b"1")]
    with pytest.raises(
        PacketError, match="it is UTF-16, as PowerShell writes it: save it as UTF-8"
    ):
        list(packets_of_file(text.decode().encode("utf-16")))


def test_packets_are_read_in_linear_time() -> None:
    class Counting(bytes):
        copied = 0

        def __getitem__(self, key: SupportsIndex | slice) -> Any:
            found = super().__getitem__(key)
            Counting.copied += len(found) if isinstance(found, bytes) else 1
            return found

    assert len(list(packets(Counting(b"\xcd\x00" * 5000)))) == 5000
    assert Counting.copied < 100_000
