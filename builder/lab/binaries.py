"""Programs as upstream publishes them one by one, and archives of some; made-up content."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builder.lab.profiles import read_data
from builder.lab.random_bytes import program, random_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.lab.upstream import Upstream
    from builder.model.recipe import Recipe

_KIB = 1024
_MADE = 1593561600


def serve(upstream: Upstream, recipes: Iterable[Recipe], scale: float) -> dict[str, str]:
    """Serve every program of the recipes at all its URLs; return SHA-256 by the one it stands for.

    Programs of which the catalog has no digest are served, too.
    """
    data = read_data("binaries.yaml")
    digests = {}
    for recipe in recipes:
        for binary in recipe.programs:
            label = f"{binary.name} {recipe.nevra.version}"
            content = _content(binary.name, label, data, scale)
            for url in binary.sources:
                _serve(upstream, url, content, binary.sources, data["moved"])
            if binary.digest is not None:
                digests[binary.digest.hex] = hashlib.sha256(content).hexdigest()
    return digests


def _serve(
    upstream: Upstream,
    url: str,
    content: bytes,
    sources: Iterable[str],
    moved: Mapping[str, str],
) -> None:
    to = moved.get(urlsplit(url).hostname or "")
    other = next((source for source in sources if to and urlsplit(source).hostname == to), None)
    if other:
        upstream.add_redirect(url, other)
    else:
        upstream.add_file(url, content)


def _content(name: str, label: str, data: Mapping[str, Any], scale: float) -> bytes:
    if name in data["programs"]:
        size = int(data["programs"][name]["large"] * _KIB * scale)
        return program("amd64") + random_bytes(label, size)
    return _archive(data["archives"][name], label, scale)


def _archive(shape: Mapping[str, Any], label: str, scale: float) -> bytes:
    """Write a gzip'd tar, the same bytes every time."""
    members = shape["members"]
    each = int(shape["large"] * _KIB * scale / len(members))
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in members:
            if name.endswith("/"):
                _add(archive, name, None, 0o755)
            else:
                _add(archive, name, program("amd64") + random_bytes(f"{label} {name}", each), 0o755)
        for name in shape.get("plain", ()):
            _add(archive, name, f"{label}: words of the lab\n".encode(), 0o644)
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None, mode: int) -> None:
    entry = tarfile.TarInfo(name.rstrip("/") if content is None else name)
    entry.mtime, entry.mode = _MADE, mode
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        return
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
