"""The beginning of an RPM: lead, signature header, header. Lengths and tags, nothing else.

Layout: rpm's docs/manual/format_v4.md. Two headers of the same form follow a lead of 96 bytes;
the first one is padded to 8 bytes. Only so much is read here that a caller can fetch just these
bytes, and that nonsense is refused before a library sees it. Nobody signs what stands before the
second header, and rpm of EL7 refuses some of what may stand there; so that is refused here, too.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from builder.errors import VerificationError

if TYPE_CHECKING:
    from typing import BinaryIO

LEAD = 96
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_INTRO = struct.Struct(">8sII")
_MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
_ENTRY = struct.Struct(">IIII")
_TRAILER = struct.Struct(">IIiI")
_STRING, BINARY, _STRINGS, _I18N = 6, 7, 8, 9
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, BINARY: 1}
"""Bytes of one value, by which it is aligned as well, of the kinds that are no text."""
_TAGS, _REGION = range(100, 1 << 31), 62
_DIGESTS = {269: "sha1", 273: "sha256"}
"""Tags of the signature header that hold the header's digest, as hexadecimal text."""
_VERSIONS, _SIGNED = {3, 4}, 5
"""What a lead may say: of the format, and that a signature header follows."""
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
    if prefix[4] not in _VERSIONS or int.from_bytes(prefix[78:80]) != _SIGNED:
        raise _damaged("its lead is of another format", where)
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
    tags = _check_front(head, where)
    _entries(head, _main(head, where), where)
    return tags


def check_digests(head: bytes, *, where: str = "RPM") -> None:
    """Compare the header with its digests before it; raise VerificationError.

    The head must have passed :func:`signature_tags`.
    """
    for tag, name in _DIGESTS.items():
        if said := value(head, tag, signature=True, where=where):
            digest = hashlib.new(name, main_header(head, where=where), usedforsecurity=False)
            if said[1].partition(b"\0")[0] != digest.hexdigest().encode():
                raise _damaged(f"its header is not the one of its {name}", where)


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
            end = offset + count if kind == BINARY else length
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


def _entries(content: bytes, start: int, where: str) -> list[tuple[int, int, int, int]]:
    """Read a header's index: tag, kind, offset, count. Every entry must point into the store."""
    _, count, store = _INTRO.unpack_from(content, start)
    index = memoryview(content)[start + _INTRO.size : start + _INTRO.size + count * _ENTRY.size]
    entries = list(_ENTRY.iter_unpack(index))
    if any(e[1] > _I18N or e[2] >= max(store, 1) or e[3] > store for e in entries):
        raise VerificationError("the RPM's header points outside of itself", where=where)
    return entries


def _check_front(head: bytes, where: str) -> set[int]:
    """Check the signature header as rpm does, which refuses the RPM otherwise; return its tags."""
    entries = _entries(head, LEAD, where)
    base = LEAD + _INTRO.size + len(entries) * _ENTRY.size
    store = head[base : LEAD + _span(head, LEAD, where)]
    if entries and entries[0][0] == _REGION:
        _, kind, offset, count = entries.pop(0)
        trailer = store[offset : offset + _ENTRY.size]
        if kind != BINARY or count != len(trailer) or count != _TRAILER.size:
            raise _damaged("its signature header has no region", where)
        tag, kind, back, count = _TRAILER.unpack(trailer)
        covered, rest = divmod(-back, _ENTRY.size)
        if (tag, kind, count, rest) != (_REGION, BINARY, _TRAILER.size, 0) or not (
            0 < covered <= len(entries) + 1
        ):
            raise _damaged("its signature header has no region", where)
    tags = {entry[0] for entry in entries}
    ends = [(offset, _end(kind, offset, count, store)) for _, kind, offset, count in entries]
    known = len(tags) == len(entries) and all(tag in _TAGS for tag in tags)
    apart = all(end <= start for (_, end), (start, _) in pairwise(sorted(ends)))
    if not (known and apart and all(end <= len(store) for _, end in ends)):
        raise _damaged("its signature header has values that rpm refuses", where)
    return tags


def _end(kind: int, offset: int, count: int, store: bytes) -> int:
    """Return where a value ends in the store: behind that, if it is none."""
    none = len(store) + 1
    if width := _WIDTHS.get(kind):
        return none if offset % width or not count else offset + count * width
    if kind not in {_STRING, _STRINGS, _I18N} or (kind == _STRING and count != 1) or not count:
        return none
    end = offset
    for _ in range(count):
        end = store.find(b"\0", end) + 1
        if not end:
            return none
    return end


def _padded(length: int) -> int:
    return (length + 7) // 8 * 8


def _damaged(what: str, where: str) -> VerificationError:
    return VerificationError(
        f"the RPM is damaged: {what}",
        where=where,
        expected="what rpm of EL7 reads",
        hint="it was changed after it was made, or damaged on the way: take it from another mirror",
    )


def _no_rpm(where: str) -> VerificationError:
    return VerificationError("this is not an RPM", where=where)


def _too_large(where: str) -> VerificationError:
    return VerificationError(
        "the RPM's header is too large", where=where, expected=f"at most {_LARGEST:,} bytes"
    )
