"""Text to plain values, strictly: YAML that people write, JSON that machines write.

The values are ``None``, ``bool``, ``int``, ``str``, ``list`` and ``dict``. YAML numbers with a
point stay text, so that ``kubernetes: 1.20`` means what it says. Duplicate keys, deep nesting and
documents that grow without bound through aliases are refused. Hostile input ends in a
:class:`DocumentError`, never in another exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder import disk, strict_json
from builder.formats.reading import Document, refusal
from builder.strict_json import JsonError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 32 << 20
"""Bytes of one document file; Calico's largest manifest has under 3 MB."""


def read_content(path: Path, *, largest: int = LARGEST) -> bytes:
    """Read a file whole; raise DocumentError when it cannot be had or is too large."""
    try:
        return disk.read(path, largest)
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else None
        raise refusal(str(path), error.strerror or str(error), hint=hint) from error


def read_text(path: Path, *, largest: int = LARGEST) -> str:
    """Read a UTF-8 text file; raise DocumentError when it cannot be had or is too large."""
    return decode(read_content(path, largest=largest), str(path))


def decode(content: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark; raise DocumentError otherwise."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(name, f"byte {error.start} is not UTF-8 text") from error


def yaml_documents(text: str, name: str, *, manifest: bool = False) -> list[Document]:
    """Read every document of a YAML text, or of a Kubernetes manifest; empty ones are left out."""
    from builder.formats import events  # noqa: PLC0415 -- slow to load, and a lock is JSON

    return events.documents(text, name, manifest=manifest)


def yaml_document(text: str, name: str) -> Document:
    """Read a YAML text that holds exactly one document."""
    documents = yaml_documents(text, name)
    if not documents:
        raise refusal(name, "the document is empty")
    if len(documents) != 1:
        raise refusal(name, f"{len(documents)} documents where one was expected")
    return documents[0]


def json_value(text: str, name: str) -> Any:
    """Read a JSON text of objects, lists, strings and integers; raise DocumentError."""
    try:
        return strict_json.load(text, integers=True)
    except JsonError as error:
        raise refusal(name, error.what, where=error.where) from error
