"""Compare two renderings without showing the secrets in them."""

from __future__ import annotations

import difflib
import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 64 << 20
_GZIP = b"\x1f\x8b"
_BLOT = "<hidden>"
_TOKEN = re.compile(r"(?<![a-z0-9.])([a-z0-9]{6})\.[a-z0-9]{16}(?![a-z0-9])")
_CERTIFICATE_KEY = re.compile(r"(certificateKey:\s*[\"']?)[0-9A-Fa-f]{32,}")
_PASSWORD = re.compile(r"\$(?:2[aby]|5|6|y|gy|7)\$[A-Za-z0-9./$,=-]{8,}")
_AUTH = re.compile(r"(\"?(?:auth|password|identitytoken)\\?\"?:\s*\\?\")[^\"\\]*")
_PRIVATE_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PRIVATE_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


def differences(before: bytes | None, after: bytes | None, name: str) -> Iterator[str]:
    """Give a unified diff of two versions of a file; None stands for no file.

    What differs in secrets alone is said in one line.
    """
    if before == after:
        return
    old, new = (hidden(_text(content)) for content in (before, after))
    if old == new:
        yield f"{name}: only secrets, or how it is packed, differ"
        return
    yield from difflib.unified_diff(
        old,
        new,
        f"before/{name}" if before is not None else "/dev/null",
        f"after/{name}" if after is not None else "/dev/null",
        lineterm="",
    )


def hidden(text: str) -> list[str]:
    """Give a text's lines with tokens, keys and password hashes blotted out."""
    lines = []
    inside = False
    for raw in text.splitlines():
        if _PRIVATE_BEGIN.search(raw):
            inside = not _PRIVATE_END.search(raw)
            lines.append(f"{_PRIVATE_BEGIN.split(raw)[0]}{_BLOT}")
            continue
        if inside:
            inside = not _PRIVATE_END.search(raw)
            continue
        line = _TOKEN.sub(rf"\1.{_BLOT}", raw)
        line = _CERTIFICATE_KEY.sub(rf"\1{_BLOT}", line)
        line = _PASSWORD.sub(_BLOT, line)
        lines.append(_AUTH.sub(rf"\1{_BLOT}", line))
    return lines


def _text(content: bytes | None) -> str:
    """Read a rendering as text; user-data that was packed to fit is unpacked first."""
    if content is None:
        return ""
    if content[:2] == _GZIP:
        unpacking = zlib.decompressobj(wbits=31)
        size = len(content)
        try:
            content = unpacking.decompress(content, _LARGEST)
        except zlib.error:
            content = b""
        if not unpacking.eof:
            return f"{size} bytes that cannot be unpacked"
    return content.decode("utf-8", "replace")
