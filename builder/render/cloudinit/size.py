"""How much user-data a provider takes: as it is, compressed, or an account of what is too much.

Between the last two comes one form more: compressed, and airseed's scripts, without their comments
and their indentation, as one text that the node's xz unpacks: gzip alone looks back 32 KiB.
"""

from __future__ import annotations

import base64
import io
import lzma
import re
import struct
import zlib
from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault
from builder.render.engine import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.catalog.systems import UserDataLimit
    from builder.render.cloudinit.userdata import UserData

_LEVEL = 9
_GZIP = bytes.fromhex("1f8b08 00 00000000 02 ff")
"""The head of RFC 1952 without a time: the same bytes for the same content, always."""
_MEMORY = 9
_TEXT = {"id": lzma.FILTER_LZMA2, "preset": _LEVEL | lzma.PRESET_EXTREME, "pb": 0}
"""Text has no words of four bytes, whose places xz would tell apart."""
_ARCHIVE = "/run/airseed-scripts.xz"
"""EL7's dracut requires xz, so that every machine which starts a kernel of its own has it."""
_UNPACK = (
    'cd "$1" && xz -dc "$0" | while read -r mode size path; do'
    ' mkdir -p "${path%/*}"; head -c "$size" >"$path"; chmod "$mode" "$path"; done'
)
_COMMANDS = "\nruncmd:\n"
_COMMENT = re.compile(r"^[ \t]*#(?!!)(?! (?!uses|seed)[a-z]+: ).*\n", re.MULTILINE)
"""A line that is a comment, and no ``# NAME: TEXT`` that the scripts read of each other: two names
are for those who make them."""


_PARTS = re.compile(r"""\\.|\$?'|"|(?<!<)<<(?!<)-?\s*['"]?(?P<end>\w+)['"]?|(?<!\S)#""")
"""What of a line of bash opens or ends something; what a backslash stands before does not."""


def fitted(data: UserData, limit: UserDataLimit, *, where: str) -> bytes:
    """Return user-data as the provider takes it; raise AirseedError where it takes neither form."""
    raw = data.text.encode("ascii")
    if limit.bytes is None or limit.size(len(raw)) <= limit.bytes:
        return raw
    packed = compressed(raw)
    if limit.size(len(packed)) > limit.bytes:
        packed = compressed(*_with_archive(data))
    if limit.size(len(packed)) <= limit.bytes:
        return packed
    raise _too_large(data, raw, packed, limit, where)


def compressed(raw: bytes, dense: bytes = b"") -> bytes:
    """Compress as gzip does; ``dense`` is a part of it that was compressed, and has become base64.

    What seems to repeat itself there is chance, and each reference to it takes more than it spares.
    """
    before, _, after = raw.partition(dense) if dense else (b"", b"", raw)
    parts = [
        (before, zlib.Z_DEFAULT_STRATEGY, zlib.Z_FULL_FLUSH),
        (dense, zlib.Z_HUFFMAN_ONLY, zlib.Z_FULL_FLUSH),
        (after, zlib.Z_DEFAULT_STRATEGY, zlib.Z_FINISH),
    ]
    packed = [_GZIP]
    for part, strategy, end in parts:
        if part or end == zlib.Z_FINISH:
            # no head, no window of the part before
            stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY, strategy)
            packed += [stream.compress(part), stream.flush(end)]
    return b"".join((*packed, struct.pack("<II", zlib.crc32(raw), len(raw))))


def bare(script: str) -> str:
    """Return a script without comments, empty lines and what bash ignores at the left of lines."""
    lines, quote, documents = [], "", list[str]()
    for line in _COMMENT.sub("", script).removesuffix("\n").split("\n"):
        if documents:
            lines.append(line)
            if line == documents[0]:
                del documents[0]
            continue
        if quote or line.strip():
            lines.append(line if quote else line.lstrip(" \t"))
        quote, documents = _after(line, quote)
    return "".join(f"{line}\n" for line in lines)


def _after(line: str, quote: str) -> tuple[str, list[str]]:
    """Return the quote that is open after a line of bash, and the words that end its documents."""
    ends = []
    for part in _PARTS.finditer(line):
        mark = part[0]
        if quote:
            quote = "" if mark == quote[-1] else quote
        elif mark[0] in "'\"$":
            quote = mark
        elif mark.startswith("<<"):
            ends.append(part["end"])
        elif mark.startswith("#"):
            break
    return quote, [] if quote else ends


def _with_archive(data: UserData) -> tuple[bytes, bytes]:
    """Return the text with all scripts in one, and what these have become."""
    if not data.scripts:
        return data.text.encode("ascii"), b""
    archive = base64.b64encode(_archive(data))
    entry = f"""  - path: {quote(_ARCHIVE)}
    permissions: "0600"
    encoding: b64
    content: {quote(archive.decode("ascii"))}
"""
    before, _, after = data.text.replace(data.scripts, entry).partition(_COMMANDS)
    words = ", ".join(quote(word) for word in ("bash", "-c", _UNPACK, _ARCHIVE, "/"))
    return f"{before}{_COMMANDS}  - [{words}]\n{after}".encode("ascii"), archive


def _archive(data: UserData) -> bytes:
    """Pack the scripts; the same bytes every time. Heads of tar's would take a thirtieth more."""
    packed = io.BytesIO()
    with lzma.LZMAFile(packed, "wb", filters=[_TEXT]) as plain:
        for file in data.files:
            if file.kind == "scripts" and isinstance(file.content, str):
                content = bare(file.content).encode("ascii")
                head = f"{file.permissions} {len(content)} {file.path.lstrip('/')}\n"
                plain.write(head.encode("ascii") + content)
    return packed.getvalue()


def account(data: UserData) -> Mapping[str, int]:
    """Return the bytes of user-data by kind of file, the largest first; they add up."""
    by_kind: dict[str, int] = {}
    for file in data.files:
        by_kind[file.kind] = by_kind.get(file.kind, 0) + len(file.content)
    frame = len(data.text) - sum(by_kind.values())
    sizes = {**by_kind, "paths, quoting and accounts": frame}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _too_large(
    data: UserData, raw: bytes, packed: bytes, limit: UserDataLimit, where: str
) -> AirseedError:
    how = " as base64" if limit.counted == "base64" else ""
    faults = [Fault(where=kind, what=f"{size:,} bytes") for kind, size in account(data).items()]
    own = [file for file in data.files if file.kind == "user's files"]
    own.sort(key=lambda file: -len(file.content))
    faults += [
        Fault(where=f"user's files: {file.path}", what=f"{len(file.content):,} bytes")
        for file in own
    ]
    if any(file.kind == "scripts" for file in data.files):
        hint = "with airseed's scripts in the image, seed.scripts: image leaves them out here"
    else:
        hint = "bring large files with extra.files in the bundle"
    return AirseedError(
        f"{limit.size(len(packed)):,} bytes{how} when compressed,"
        f" {limit.size(len(raw)):,} as they are: more than {limit.provider} takes",
        where=where,
        expected=f"{limit.bytes:,} bytes{how} at most",
        hint=f"{hint}; or hand the seed over as an ISO (seed.provider: nocloud)",
        faults=faults,
    )
