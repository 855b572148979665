"""Text to plain values, strictly: YAML that people write, JSON that machines write.

The values are ``None``, ``bool``, ``int``, ``str``, ``list`` and ``dict``. YAML numbers with a
point stay text, so that ``kubernetes: 1.20`` means what it says. Duplicate keys, deep nesting and
documents that grow without bound through aliases are refused. Hostile input ends in a
:class:`DocumentError`, never in another exception.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from builder import disk, strict_json
from builder.errors import reason
from builder.formats.reading import Document, refusal
from builder.strict_json import JsonError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 32 << 20
"""Bytes of one document file; Calico's largest manifest has under 3 MB."""

_SAVE = "save it as UTF-8: iconv -f {} -t UTF-8 FILE; Windows PowerShell writes UTF-16"
_PACKED = (
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip, or tar xzf of a chart"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first: zstd -d"),
    (b"BZh", "compressed with bzip2", "unpack it first: bunzip2"),
    (b"\xfd7zX", "compressed with xz", "unpack it first: unxz"),
)
_HEAD = 512
_TAR = slice(257, 262)


def read_content(path: Path, *, largest: int = LARGEST) -> bytes:
    """Read a file whole; raise DocumentError when it cannot be had or is too large."""
    try:
        return disk.read(path, largest)
    except disk.TooLargeError as error:
        with path.open("rb") as file:
            what, hint = other_than_text(file.read(_HEAD))
        raise refusal(str(path), what or reason(error), hint=hint or None) from error
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise refusal(str(path), reason(error), hint=hint or None) from error


def read_text(path: Path, *, largest: int = LARGEST) -> str:
    """Read a UTF-8 text file; raise DocumentError when it cannot be had or is too large."""
    return decode(read_content(path, largest=largest), str(path))


def decode(content: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark; raise DocumentError otherwise."""
    what, hint = other_than_text(content)
    try:
        text = "" if what else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refusal(
            name,
            f"byte {error.start} (line {line}) is not UTF-8 text",
            hint="save it as UTF-8; if it is Windows' or Latin-1: iconv -f WINDOWS-1252 -t UTF-8",
        ) from error
    if what:
        raise refusal(name, what, hint=hint)
    return text


def other_than_text(content: bytes) -> tuple[str, str]:
    """Return what a file is that is not UTF-8 text, and what helps; nothing for all others."""
    head = content[:4]
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32, not UTF-8 text", _SAVE.format("UTF-32")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16, not UTF-8 text", _SAVE.format("UTF-16")
    nulls = tuple(byte == 0 for byte in head)
    if nulls in {(False, True, False, True), (True, False, True, False)}:
        return "UTF-16, not UTF-8 text", _SAVE.format("UTF-16LE" if nulls[1] else "UTF-16BE")
    for magic, kind, advice in _PACKED:
        if head.startswith(magic):
            return f"{kind}, not text", advice
    if content[_TAR] != b"ustar":
        return "", ""
    bundle = content.startswith(b"README.txt\0")
    what = "this is a bundle, not a document" if bundle else "a tar, not text"
    return what, "airseed inspect shows what is inside" if bundle else "unpack it first: tar xf"


def yaml_documents(
    text: str, name: str, *, manifest: bool = False, applied: bool = False
) -> list[Document]:
    """Read every document of a YAML text, or of a Kubernetes manifest; empty ones are left out."""
    from builder.formats import events  # noqa: PLC0415 -- slow to load, and a lock is JSON

    return events.documents(text, name, manifest=manifest, applied=applied)


def yaml_document(text: str, name: str) -> Document:
    """Read a YAML text that holds exactly one document."""
    documents = yaml_documents(text, name)
    if not documents:
        raise refusal(name, "the document is empty")
    if len(documents) != 1:
        raise refusal(name, f"{len(documents)} documents where one was expected")
    return documents[0]


def json_value(text: str, name: str, *, integers: bool = True) -> Any:
    """Read a JSON text, whose numbers are whole unless others are let in; raise DocumentError."""
    try:
        return strict_json.load(text, integers=integers)
    except JsonError as error:
        raise refusal(name, error.what, where=error.where) from error
