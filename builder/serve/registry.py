"""The pull side of a registry: https://github.com/opencontainers/distribution-spec, version 1.1.

A repository is found by its upstream name (``k8s.gcr.io/pause``), by the name that a site's
registry has it under (``pause``), and by what containerd asks a mirror for
(``pause?ns=k8s.gcr.io``).
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.server.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.serve.content import Content, ServedRepository
    from builder.serve.piece import Piece
    from builder.server.message import Request

_ROUTE = re.compile(r"/v2/(.+)/(?:(manifests|blobs|referrers)/([^/]+)|tags/list)")
_NAME = re.compile(r"[A-Za-z0-9]+(?:[._:-]+[A-Za-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+")
_MANIFESTS = (*INDEX_TYPES, *MANIFEST_TYPES)
_API = {"Docker-Distribution-Api-Version": "registry/2.0"}
_PAGE = 1000
_INVALID = (400, "DIGEST_INVALID")


class ApiError(Exception):
    """Carry a refusal in the specification's words: status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    @property
    def document(self) -> dict[str, list[dict[str, str]]]:
        return {"errors": [{"code": self.code, "message": self.message}]}

    @property
    def response(self) -> Response:
        return document(self.document, status=self.status)


class ServedRegistry:
    def __init__(
        self, content: Content, send: Callable[[Request, Piece, dict[str, str]], Response]
    ) -> None:
        self._content = content
        self._send = send

    def answer(self, request: Request) -> Response:
        """Answer a request below ``/v2/``."""
        try:
            return self._answer(request)
        except ApiError as error:
            return error.response

    def _answer(self, request: Request) -> Response:
        query = {key: values[-1] for key, values in parse_qs(request.query).items()}
        if request.path in {"/v2", "/v2/"}:
            return document({})
        if request.path == "/v2/_catalog":
            return _page("repositories", sorted(self._content.repositories), request, query)
        route = _ROUTE.fullmatch(request.path)
        if route is None:
            raise ApiError(404, "UNSUPPORTED", "no such endpoint")
        name, kind, item = route.groups()
        repository = self._repository(name, query.get("ns", ""))
        if kind is None:
            return _page("tags", sorted(repository.tags), request, query, name=name)
        if kind == "manifests":
            return self._manifest(request, repository, name, item)
        digest = _digest(item)
        if kind == "referrers":
            return self._referrers(repository, digest, query.get("artifactType", ""))
        piece = self._piece(repository, digest)
        if piece is None:
            raise ApiError(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
        return self._content_of(request, piece, "application/octet-stream")

    def _repository(self, name: str, host: str) -> ServedRepository:
        if not _NAME.fullmatch(name):
            raise ApiError(400, "NAME_INVALID", f"not a repository: {name}")
        repository = self._content.repositories.get(f"{host}/{name}" if host else name)
        if repository is None:
            raise ApiError(404, "NAME_UNKNOWN", f"no bundle has an image of {name}")
        return repository

    def _manifest(
        self, request: Request, repository: ServedRepository, name: str, item: str
    ) -> Response:
        if ":" in item:
            digest = _digest(item, "MANIFEST_UNKNOWN")
        elif not _TAG.fullmatch(item):
            raise ApiError(400, "TAG_INVALID", f"not a tag: {item}")
        elif item not in repository.tags:
            clash = self._content.clashes.get(f"{name}:{item}")
            hint = f"; it may be {' or '.join(clash)}: ask by that name" if clash else ""
            raise ApiError(404, "MANIFEST_UNKNOWN", f"{name} has no tag {item}{hint}")
        else:
            digest = repository.tags[item]
        piece = self._piece(repository, digest)
        if piece is None or piece.media_type not in _MANIFESTS:
            raise ApiError(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {digest}")
        return self._content_of(request, piece, piece.media_type)

    def _content_of(self, request: Request, piece: Piece, media_type: str) -> Response:
        response = self._send(request, piece, {**_API, "Content-Type": media_type})
        if response.status != HTTPStatus.OK:
            raise ApiError(response.status, "UNKNOWN", f"{piece.digest} is damaged")
        return response

    def _piece(self, repository: ServedRepository, digest: Digest) -> Piece | None:
        return self._content.blobs.get(digest) if digest in repository.digests else None

    def _referrers(self, repository: ServedRepository, digest: Digest, wanted: str) -> Response:
        """List the signatures of a manifest; an unknown digest has none, as the standard asks."""
        entries = []
        for signature in repository.referrers.get(digest, ()):
            piece = self._content.blobs.get(signature)
            if piece is None:
                continue
            try:
                manifest = json.loads(piece.read())
                kind = manifest.get("artifactType") or manifest["config"]["mediaType"]
                about = manifest["subject"]["digest"]
            except OSError as error:
                raise ApiError(500, "UNKNOWN", f"{signature} is damaged") from error
            except (ValueError, LookupError, TypeError, AttributeError):
                continue  # a signature of the old kind, which is found by its tag
            if wanted in {"", kind} and about == str(digest):
                entry = {"mediaType": piece.media_type, "digest": str(signature)}
                entries.append(entry | {"size": piece.size, "artifactType": kind})
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        return document(index, headers={"Content-Type": INDEX_TYPES[0], **headers})


def refusal_of_login(request: Request) -> bytes:
    """Say to somebody unknown in the words of what was asked that a login is missing."""
    if request.path.startswith("/v2/"):
        return json.dumps(ApiError(401, "UNAUTHORIZED", "log in first").document).encode()
    return b"log in first\n"


def document(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    own = {**_API, "Content-Type": "application/json", **(headers or {})}
    return Response(status=status, headers=own, body=json.dumps(value).encode())


def _digest(text: str, unknown: str = "BLOB_UNKNOWN") -> Digest:
    if not _DIGEST.fullmatch(text):
        raise ApiError(*_INVALID, f"not a digest: {text}")
    try:
        return Digest.parse(text)
    except ValueError as error:
        status, code = (404, unknown) if not text.startswith("sha256:") else _INVALID
        raise ApiError(status, code, str(error)) from error


def _page(
    key: str, everything: Sequence[str], request: Request, query: dict[str, str], **more: str
) -> Response:
    """Return a part of a sorted list, with a Link to what comes behind it."""
    text = query.get("n", "")
    if text and not (text.isascii() and text.isdecimal()):
        raise ApiError(400, "PAGINATION_NUMBER_INVALID", f"n={text} is not a number")
    size = min(int(text[:9]), _PAGE) if text else len(everything)
    last = query.get("last", "")
    left = [item for item in everything if item > last]
    headers = {}
    if 0 < size < len(left):
        link = f"{request.path}?n={size}&last={quote(left[size - 1], safe='')}"
        headers["Link"] = f'<{link}>; rel="next"'
    return document({**more, key: left[:size]}, headers=headers)
