"""What a client of a yum repository sees: repomd.xml, all that it names, all packages in there."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = re.compile(
    r'<checksum type="sha256">([0-9a-f]{64})</checksum>.*?<location href="([^"]+)"', re.DOTALL
)
_PACKAGE = re.compile(
    r'<checksum type="sha256" pkgid="YES">([0-9a-f]{64})</checksum>.*?<location href="([^"]+)"',
    re.DOTALL,
)


def look(get: Callable[[str], bytes | None], repository: str) -> tuple[str, list[str]]:
    """Return the digest of repomd.xml ("" where there is none) and what of it is not right."""
    repomd = get(f"yum/{repository}/repodata/repomd.xml")
    if repomd is None:
        return "", []
    wrong, packages = [], []
    for digest, href in _FILE.findall(repomd.decode()):
        content = get(f"yum/{repository}/{href}")
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            wrong.append(href)
        elif href.endswith("-primary.xml.gz"):
            packages = _PACKAGE.findall(gzip.decompress(content).decode())
    for digest, href in packages:
        content = get(f"yum/{repository}/{href}")
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            wrong.append(href)
    return hashlib.sha256(repomd).hexdigest(), wrong
