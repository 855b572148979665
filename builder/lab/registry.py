"""The pull side of registries: https://github.com/opencontainers/distribution-spec.

Registries differ in where their tokens come from, where their blobs lie and whether they have
moved; a :class:`RegistryProfile` says so. All of them share one store of images.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from builder.lab.image_store import blob
from builder.model.digest import Digest
from builder.server.message import Request, Response, redirect

if TYPE_CHECKING:
    from builder.lab.image_store import ImageStore, RepositoryContent
    from builder.lab.storage import Storage
    from builder.lab.tokens import TokenService

ROUTE = re.compile(r"/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)")
CATALOG = "/v2/_catalog"
_API = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryProfile:
    host: str
    content: str
    """The host in the references of the images that it serves."""
    auth: Literal["none", "bearer"] = "bearer"
    realm: str = ""
    """URL of the token service; empty for one at the host itself."""
    service: str = ""
    storage: str = ""
    """URL below which blobs lie on another host; empty when the registry sends them itself."""
    manifests: str = ""
    """URL that stands for ``/v2`` of a host which has the manifests; empty for this one."""
    prefix: str = ""
    """Path before every repository."""
    moved: str = ""
    """URL of the registry that took over: everything is redirected there."""


class LabRegistry:
    """Answer for ``/v2/`` of one host."""

    def __init__(
        self,
        profile: RegistryProfile,
        image_store: ImageStore,
        tokens: TokenService,
        storage: Storage | None,
    ) -> None:
        self.profile = profile
        self.tokens = tokens
        self._images = image_store
        self.storage = storage

    def answer(self, request: Request) -> Response:
        if self.profile.moved and request.path != "/v2/":
            return redirect(f"{self.profile.moved}{request.path}", 302)
        route = ROUTE.fullmatch(request.path)
        if refused := self.refuse(request, route[1] if route else ""):
            return refused
        if request.method not in {"GET", "HEAD"}:
            return refusal(405, "UNSUPPORTED", "this registry can only be read")
        return self.read(request)

    def content(self, repository: str) -> RepositoryContent | None:
        """Return what a repository has, by the path in a request."""
        prefix = self.profile.prefix
        path = repository.removeprefix(f"{prefix}/")
        if prefix and path == repository:
            return None
        return self._images.repositories.get(f"{self.profile.content}/{path}")

    def read(self, request: Request) -> Response:  # noqa: PLR0911 -- one way out for each answer
        """Answer for one manifest or one blob; lists are for those who override this."""
        if request.path == "/v2/":
            return json_response({})
        route = ROUTE.fullmatch(request.path)
        if route is None:
            return refusal(404, "NOT_FOUND", "no such page")
        repository, kind, name = route.groups()
        images = self.content(repository)
        if images is None:
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        if kind == "blobs":
            return self._blob(request, images, name)
        if kind != "manifests":
            return refusal(404, "NOT_FOUND", "no such page")
        if self.profile.manifests:
            return redirect(f"{self.profile.manifests}/{repository}/manifests/{name}")
        return self.manifest(images, name)

    def refuse(self, request: Request, repository: str) -> Response | None:
        """Ask for a token where the profile wants one."""
        profile = self.profile
        if profile.auth == "none":
            return None
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        status = self.tokens.verify(token if scheme.lower() == "bearer" else "", repository)
        if status == "good":
            return None
        realm = profile.realm or f"https://{profile.host}/v2/token"
        challenge = f'Bearer realm="{realm}",service="{self.tokens.service}"'
        if request.path == CATALOG:
            challenge += ',scope="registry:catalog:*"'
        if repository:
            challenge += f',scope="repository:{repository}:pull"'
        if header:
            challenge += f',error="{status}"'
        return unauthorized(challenge)

    def manifest(self, images: RepositoryContent, name: str) -> Response:
        digest = digest_of(name) if ":" in name else images.tags.get(name)
        kind = images.manifests.get(digest) if digest else None
        if digest is None or kind is None:
            return refusal(404, "MANIFEST_UNKNOWN", f"manifest unknown: {name}")
        headers = {
            **_API,
            "Content-Type": kind,
            "Docker-Content-Digest": str(digest),
            "ETag": f'"{digest}"',
        }
        return Response(headers=headers, body=self._images.path(digest))

    def _blob(self, request: Request, images: RepositoryContent, name: str) -> Response:
        digest = digest_of(name)
        if digest is None or digest not in images.blobs:
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.storage:
            return redirect(self.storage.url(digest, request.method))
        return blob(self._images.path(digest), digest)


def refusal(status: int, code: str, message: str) -> Response:
    """Refuse in the words of the distribution specification."""
    return json_response({"errors": [{"code": code, "message": message}]}, status)


def unauthorized(challenge: str) -> Response:
    response = refusal(401, "UNAUTHORIZED", "authentication required")
    return replace(response, headers={**response.headers, "WWW-Authenticate": challenge})


def json_response(value: Any, status: int = 200) -> Response:
    headers = {**_API, "Content-Type": "application/json"}
    return Response(status=status, headers=headers, body=json.dumps(value).encode())


def digest_of(text: str) -> Digest | None:
    """Read a digest; None for what is none."""
    try:
        return Digest.parse(text)
    except ValueError:
        return None
