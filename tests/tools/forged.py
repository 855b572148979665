"""A yum repository whose metadata a mirror has changed, every checksum in repomd.xml refreshed."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_lab.upstream import FaultyUpstream

    Change = Callable[[str], str]


def forge(folder: Path, kind: str, change: Change) -> None:
    """Change a document of a ``repodata`` folder, and what repomd.xml says of it."""
    repomd = folder / "repomd.xml"
    text = repomd.read_text("utf-8")
    path = folder / name_of(text, kind)
    content, told = forged(path.read_bytes(), text, change)
    path.write_bytes(content)
    repomd.write_text(told, "utf-8")


def forge_served(upstream: FaultyUpstream, url: str, kind: str, change: Change) -> None:
    """Do the same to a repository that an upstream serves; nobody signs it afterwards."""
    parts = urlsplit(url)
    files = upstream.site(parts.hostname or "")._files
    base = f"{parts.path.rstrip('/')}/repodata"
    text = _content(files[f"{base}/repomd.xml"]).decode()
    place = f"{base}/{name_of(text, kind)}"
    content, told = forged(_content(files[place]), text, change)
    files[place], files[f"{base}/repomd.xml"] = content, told.encode()
    files.pop(f"{base}/repomd.xml.asc", None)


def name_of(repomd: str, kind: str) -> str:
    found = re.search(rf'<data type="{kind}">.*?href="repodata/([^"]+)"', repomd, re.DOTALL)
    assert found, kind
    return found[1]


def forged(before: bytes, repomd: str, change: Change) -> tuple[bytes, str]:
    packed = before.startswith(b"\x1f\x8b")
    plain = gzip.decompress(before) if packed else before
    changed = change(plain.decode()).encode()
    assert changed != plain, "nothing was changed"
    after = gzip.compress(changed, mtime=0) if packed else changed
    for old, new in ((before, after), (plain, changed)):
        digests = (hashlib.sha256(one).hexdigest() for one in (old, new))
        # the file's name may begin with its digest, and stays
        repomd = re.sub(rf">{next(digests)}<", f">{hashlib.sha256(new).hexdigest()}<", repomd)
        repomd = re.sub(rf"(size>){len(old)}(</)", rf"\g<1>{len(new)}\2", repomd)
    return after, repomd


def of_package(name: str, change: Change) -> Change:
    """Change what a document says of one package."""

    def inside(text: str) -> str:
        pieces = re.split(r"(?=<package )|(?<=</package>)", text)
        mine = [
            number
            for number, piece in enumerate(pieces)
            if f"<name>{name}</name>" in piece or f'name="{name}" arch=' in piece
        ]
        for number in mine:
            pieces[number] = change(pieces[number])
        return "".join(pieces)

    return inside


def _content(served: bytes | Path | str) -> bytes:
    assert not isinstance(served, str)
    return served.read_bytes() if isinstance(served, Path) else served
