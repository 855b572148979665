"""The one site of ``airseed serve``: which path is answered by what."""

from __future__ import annotations

import mimetypes
from dataclasses import replace
from email.utils import formatdate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from builder.serve.registry import ApiError, ServedRegistry
from builder.server.message import Response, text

if TYPE_CHECKING:
    from builder.serve.content import Content
    from builder.serve.metrics import Metrics
    from builder.serve.piece import Piece
    from builder.server.message import Request

_SMALL = 1 << 20
"""Bytes of what is verified before the answer begins, so that damage has a status of its own."""
_TYPES = {
    ".repo": "text/plain; charset=utf-8",
    ".rpm": "application/x-rpm",
    "": "text/plain; charset=utf-8",
}


class ServeSite:
    """Answer every request from bundles; nothing else of the machine can be asked for."""

    def __init__(self, content: Content, metrics: Metrics) -> None:
        self._content = content
        self._metrics = metrics
        self._registry = ServedRegistry(content, _send)

    def answer(self, request: Request) -> Response:
        registry = request.path == "/v2" or request.path.startswith("/v2/")
        if request.method not in {"GET", "HEAD"}:
            what = "this server can only be read"
            refused = ApiError(405, "UNSUPPORTED", what).response
            refusal = refused if registry else text(405, f"{what}\n")
            return replace(refusal, headers={**refusal.headers, "Allow": "GET, HEAD"})
        if request.path == "/healthz":
            return text(200, "ok\n")
        if request.path == "/metrics":
            return self._metrics.response
        if registry:
            return self._registry.answer(request)
        piece = self._content.files.get(unquote(request.path).removeprefix("/"))
        if piece is None:
            return text(404, "no bundle has this file\n")
        return _send(request, piece, {"Content-Type": _media_type(piece.path)})


def _send(request: Request, piece: Piece, headers: dict[str, str]) -> Response:
    """Answer with a member; one that is known to be damaged is refused."""
    right = piece.right
    if right is None and (piece.size <= _SMALL or "range" in request.headers):
        try:
            piece.verify()
        except OSError:
            right = False
    if right is False:
        return text(500, f"{piece.path} is damaged in the bundle: airseed verify shows more\n")
    own = {
        "ETag": f'"{piece.digest}"',
        "Docker-Content-Digest": str(piece.digest),
        "Last-Modified": formatdate(piece.modified, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    return Response(headers={**own, **headers}, body=piece)


def _media_type(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
