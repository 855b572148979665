"""The beginning of an RPM: lead, signature header, header. Lengths and tags, nothing else.

Layout: rpm's docs/manual/format_v4.md. Two headers of the same form follow a lead of 96 bytes;
the first one is padded to 8 bytes. Only so much is read here that a caller can fetch just these
bytes, and that nonsense is refused before a library sees it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from builder.errors import VerificationError

if TYPE_CHECKING:
    from typing import BinaryIO

LEAD = 96
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_INTRO = struct.Struct(">4s4xII")
_MAGIC = b"\x8e\xad\xe8\x01"
_ENTRY = struct.Struct(">IIII")
_BINARY = 7
_MOST_ENTRIES = 65_535
_LARGEST = 64 << 20
"""Bytes of the largest head that is read; those of texlive and kernels have some 4 MiB."""


def header_length(prefix: bytes, *, where: str = "RPM") -> int:
    """Tell how many bytes of an RPM lead to its payload, as far as a prefix shows.

    Return the number of bytes to read next, counted from the beginning; when the prefix has that
    many already, they are lead, signature header and header. Two or three rounds are enough.
    Raise VerificationError for what is not an RPM, or has a head that is too large.
    """
    signature = LEAD + _INTRO.size
    if len(prefix) < signature:
        if prefix and not _LEAD_MAGIC.startswith(prefix[:4]):
            raise _no_rpm(where)
        return signature
    if not prefix.startswith(_LEAD_MAGIC):
        raise _no_rpm(where)
    start = LEAD + _padded(_span(prefix, LEAD, where))
    if len(prefix) < start + _INTRO.size:
        return start + _INTRO.size
    total = start + _span(prefix, start, where)
    if total > _LARGEST:
        raise _too_large(where)
    return total


def read_head(file: BinaryIO, *, where: str = "RPM") -> bytes:
    head = b""
    while len(head) < (needed := header_length(head, where=where)):
        more = file.read(needed - len(head))
        if not more:
            raise VerificationError("the RPM ends inside its header", where=where)
        head += more
    return head


def signature_tags(head: bytes, *, where: str = "RPM") -> set[int]:
    """Return the tags of the signature header; raise VerificationError for a damaged head."""
    if header_length(head, where=where) > len(head):
        raise VerificationError("the RPM ends inside its header", where=where)
    tags = _tags(head, LEAD, where)
    _tags(head, LEAD + _padded(_span(head, LEAD, where)), where)
    return tags


def main_header(head: bytes, *, where: str = "RPM") -> bytes:
    """Return the header that signatures cover, without lead and signature header."""
    return head[_main(head, where) : header_length(head, where=where)]


def value(
    head: bytes, tag: int, *, signature: bool = False, where: str = "RPM"
) -> tuple[int, bytes] | None:
    """Return a tag's kind, and its content with all that follows it in the store.

    Only binary content (kind 7) ends where it ends; None stands for a tag that is not there. The
    head must have passed :func:`signature_tags`.
    """
    start = LEAD if signature else _main(head, where)
    _, entries, length = _INTRO.unpack_from(head, start)
    store = start + _INTRO.size + entries * _ENTRY.size
    index = memoryview(head)[start + _INTRO.size : store]
    for candidate, kind, offset, count in _ENTRY.iter_unpack(index):
        if candidate == tag:
            end = offset + count if kind == _BINARY else length
            return kind, head[store + offset : store + min(end, length)]
    return None


def _main(head: bytes, where: str) -> int:
    return LEAD + _padded(_span(head, LEAD, where))


def _span(content: bytes, start: int, where: str) -> int:
    """Return the length of the header that begins at ``start``: intro, index and store."""
    magic, entries, store = _INTRO.unpack_from(content, start)
    if magic != _MAGIC:
        raise _no_rpm(where)
    if entries > _MOST_ENTRIES or store > _LARGEST:
        raise _too_large(where)
    return int(_INTRO.size + entries * _ENTRY.size + store)


def _tags(content: bytes, start: int, where: str) -> set[int]:
    """Read a header's index; every entry must point into the store."""
    _, entries, store = _INTRO.unpack_from(content, start)
    index = memoryview(content)[start + _INTRO.size : start + _INTRO.size + entries * _ENTRY.size]
    tags = set()
    for tag, kind, offset, count in _ENTRY.iter_unpack(index):
        if kind > 9 or offset >= max(store, 1) or count > store:  # noqa: PLR2004 -- I18NSTRING
            raise VerificationError("the RPM's header points outside of itself", where=where)
        tags.add(tag)
    return tags


def _padded(length: int) -> int:
    return (length + 7) // 8 * 8


def _no_rpm(where: str) -> VerificationError:
    return VerificationError("this is not an RPM", where=where)


def _too_large(where: str) -> VerificationError:
    return VerificationError(
        "the RPM's header is too large", where=where, expected=f"at most {_LARGEST:,} bytes"
    )
