"""Compare two renderings without showing the secrets in them."""

from __future__ import annotations

import difflib
import hashlib
import re
import secrets
import textwrap
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
_AUTH = re.compile(r"(\"?(?:auth|password|identitytoken|registrytoken)\\?\"?:\s*\\?\")[^\"\\]*")
_PRIVATE_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PRIVATE_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_KUBEADM = "/etc/airseed/kubeadm.yaml"
"""Only root reads it either, but its secrets are known, and the rest is what people look for."""
_CLOSED = re.compile(
    r"(?P<head>  - path: \"(?P<path>[^\n]*)\"\n    permissions: \"[0-7]{3}0\"\n"
    r"(?:    owner: [^\n]*\n)?)"
    r"(?P<content>(?:    encoding: [^\n]*\n)?    content: [^\n]*\n?(?:(?: {6}[^\n]*)?\n)*)"
)
"""A file of user-data, as the template writes it, that is closed to everybody else."""


def differences(before: bytes | None, after: bytes | None, name: str) -> Iterator[str]:
    """Return a unified diff of two versions of a file; None stands for no file.

    What differs in secrets alone is said in one line, or by marks that stand for the contents of
    files and mean nothing in another run.
    """
    if before == after:
        return
    salt = secrets.token_bytes(16)
    old, new = (hidden(readable(content), salt) for content in (before, after))
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


def changed_lines(before: str, after: str) -> tuple[str, ...]:
    """Return the lines that go and come, marked by - and +; none where only secrets differ.

    They are moved to the left as far as all of them can be.
    """
    salt = secrets.token_bytes(16)
    diff = difflib.unified_diff(hidden(before, salt), hidden(after, salt), n=0, lineterm="")
    lines = [line for line in list(diff)[2:] if line[0] in "+-"]
    text = textwrap.dedent("\n".join(line[1:] for line in lines)).split("\n")
    return tuple(f"{line[0]} {moved}" for line, moved in zip(lines, text, strict=False))


def hidden(text: str, salt: bytes = b"") -> list[str]:
    """Return a text's lines with tokens, keys, password hashes and closed files blotted out."""

    def closed(match: re.Match[str]) -> str:
        # as base64 its secrets would not be known again
        if match["path"] == _KUBEADM and "encoding:" not in match["content"].partition("\n")[0]:
            return match[0]
        mark = hashlib.blake2b(match["content"].encode(), key=salt, digest_size=4).hexdigest()
        return f"{match['head']}    content: <hidden, {mark}>\n"

    lines = []
    inside = False
    for raw in _CLOSED.sub(closed, text).splitlines():
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


def readable(content: bytes | None) -> str:
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
