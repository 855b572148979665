"""Rich dependencies, ``(a or b)``, that libsolv can't read and would drop without a word."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from builder.rpm.markup import opened

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20
_LONGEST = 1 << 13
_RICH = re.compile(rb"""\bname\s*=\s*(?:"(\([^"<]{0,8000})"|'(\([^'<]{0,8000})')""")


def rich_dependencies(primary: Path, *, where: str) -> set[str]:
    """Find the rich dependencies in a primary, plain or gzip, without parsing it.

    EL7 has none, newer systems have some hundred. Raise VerificationError for a damaged file.
    """
    dependencies: set[bytes] = set()
    rest = b""
    with opened(primary, where) as file:
        while chunk := file.read(_CHUNK):
            content = rest + chunk
            dependencies.update(double or single for double, single in _RICH.findall(content))
            rest = content[-_LONGEST:]
    return {unescape(text.decode("utf-8", "replace")) for text in dependencies}
