"""What a virtual host is made of: files by path, and other sites below a path."""

from __future__ import annotations

import hashlib
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

from builder.server.message import Request, Response, Site, redirect, text

_KINDS = {
    ".rpm": "application/x-rpm",
    ".xml": "text/xml",
    ".gz": "application/x-gzip",
    ".asc": "application/pgp-signature",
    ".gpg": "application/octet-stream",
    ".yaml": "text/yaml; charset=utf-8",
    ".sha256": "text/plain",
}
_METHODS = {"GET", "HEAD"}


class VirtualHost:
    """Serve files and redirects by exact path, and hand what lies below a prefix to other sites."""

    def __init__(self) -> None:
        self._files: dict[str, bytes | Path | str] = {}
        self._mounts: dict[str, Site] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self._files)

    def add(self, path: str, content: bytes | Path) -> None:
        self._files[path] = content

    def redirect(self, path: str, to: str) -> None:
        self._files[path] = to

    def mount(self, prefix: str, site: Site) -> None:
        """Let a site answer for a path and all below it; the longest prefix wins."""
        self._mounts[prefix.rstrip("/")] = site

    def answer(self, request: Request) -> Response:
        content = self._files.get(unquote(request.path))
        if content is None:
            site = self._mounted(request.path)
            return site.answer(request) if site else text(404, f"{request.path} is not here\n")
        if request.method not in _METHODS:
            return text(405, "only GET and HEAD\n")
        if isinstance(content, str):
            return redirect(content, 302)
        return _file(request, content)

    def _mounted(self, path: str) -> Site | None:
        while path and path not in self._mounts:
            path = path.rpartition("/")[0]
        return self._mounts.get(path)


def _file(request: Request, content: bytes | Path) -> Response:
    """Serve content with validators, as static servers do (RFC 9110 section 13)."""
    headers = {"Accept-Ranges": "bytes"}
    headers["Content-Type"] = _KINDS.get(Path(request.path).suffix, "application/octet-stream")
    if isinstance(content, bytes):
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    else:
        about = content.stat()
        headers["ETag"] = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
        headers["Last-Modified"] = formatdate(about.st_mtime, usegmt=True)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status=304, headers=headers)
    return Response(headers=headers, body=content)
