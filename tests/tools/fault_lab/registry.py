"""Registries with what the demo never asks them for: lists, referrers, limits, private images."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from builder.lab.registry import (
    CATALOG,
    ROUTE,
    LabRegistry,
    RegistryProfile,
    digest_of,
    json_response,
    refusal,
    unauthorized,
)
from builder.model.artifact import INDEX_TYPES
from builder.server.message import Response
from fault_lab.paging import page
from fault_lab.tokens import UserTokens, credentials

if TYPE_CHECKING:
    from builder.lab.image_store import RepositoryContent
    from builder.server.message import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class FullProfile(RegistryProfile):
    """Describe a registry that may want users."""

    auth: Any = "bearer"
    """``basic``, too, for one that has no tokens."""
    private: tuple[str, ...] = ()
    """Shell patterns of repositories that need a user."""


@dataclass(slots=True)
class PullLimit:
    """Count the pulls that a registry gives away, and say so with every manifest."""

    pulls: int
    left: int
    seconds: int = 6 * 3600
    source: str = "192.0.2.7"
    """An address, or the account that is counted."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Take one pull; tell whether there was one."""
        with self._lock:
            had = self.left > 0
            self.left -= had
        return had

    @property
    def headers(self) -> dict[str, str]:
        """Return what Docker Hub says with a manifest."""
        return {
            "RateLimit-Limit": f"{self.pulls};w={self.seconds}",
            "RateLimit-Remaining": f"{self.left};w={self.seconds}",
            "Docker-RateLimit-Source": self.source,
        }


class FullRegistry(LabRegistry):
    """Answer for ``/v2/`` of one host, lists and referrers, too."""

    tokens: UserTokens

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.allowance: PullLimit | None = None
        """None for a registry that counts no pulls."""
        if isinstance(self.profile, FullProfile):
            self.tokens.private = self.profile.private

    def read(self, request: Request) -> Response:
        if request.path == CATALOG:
            start = f"{self.profile.content}/"
            known = (name for name in self._images.repositories if name.startswith(start))
            return page(request, "repositories", (name.removeprefix(start) for name in known))
        route = ROUTE.fullmatch(request.path)
        images = self.content(route[1]) if route else None
        if route is None or images is None:
            return super().read(request)
        repository, kind, name = route.groups()
        if kind == "manifests" and not self.profile.manifests:
            return self._counted(request, self._for_client(request, images, name))
        if kind == "referrers":
            return self._referrers(images, name)
        if kind == "tags":
            return _tags(request, images, repository)
        return super().read(request)

    def refuse(self, request: Request, repository: str) -> Response | None:
        basic: Any = self.profile.auth  # the lab's own profiles know no such thing
        if basic != "basic":
            return super().refuse(request, repository)
        if self.tokens.knows(credentials(request.headers.get("authorization", ""))):
            return None
        return unauthorized(f'Basic realm="{self.profile.host}"')

    def _counted(self, request: Request, response: Response) -> Response:
        """Count a pull, which HEAD is not, or refuse it."""
        allowance = self.allowance
        if allowance is None:
            return response
        if request.method == "GET" and not allowance.take():
            response = refusal(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
        return replace(response, headers={**response.headers, **allowance.headers})

    def _for_client(self, request: Request, images: RepositoryContent, name: str) -> Response:
        """Send a manifest, or what registries send to clients that know no index."""
        response = self.manifest(images, name)
        kind = response.headers["Content-Type"]
        accept = request.headers.get("accept", "")
        accepted = {part.partition(";")[0].strip() for part in accept.split(",")}
        if kind not in INDEX_TYPES or accepted & {kind, "*/*"} or ":" in name:
            return response
        if kind != INDEX_TYPES[1]:
            words = "OCI index found, but accept header does not support OCI indexes"
            return refusal(404, "MANIFEST_UNKNOWN", words)
        # distribution gives old clients the manifest of linux/amd64
        index = json.loads(self._images.path(images.tags[name]).read_bytes())
        for entry in index["manifests"]:
            platform = entry["platform"]
            if (platform["os"], platform["architecture"]) == ("linux", "amd64"):
                return self.manifest(images, entry["digest"])
        return refusal(404, "MANIFEST_UNKNOWN", f"manifest unknown: {name}")

    def _referrers(self, images: RepositoryContent, name: str) -> Response:
        """List what is attached to a manifest (distribution-spec 1.1)."""
        digest = digest_of(name)
        if not images.referrers or digest is None:
            return refusal(404, "NOT_FOUND", "no such page")
        entries = []
        for made in images.referrers.get(digest, ()):
            content = self._images.path(made).read_bytes()
            entries.append(
                {
                    "mediaType": images.manifests[made],
                    "size": len(content),
                    "digest": str(made),
                    "artifactType": json.loads(content)["artifactType"],
                }
            )
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}
        response = json_response(index)
        return Response(
            headers={**response.headers, "Content-Type": INDEX_TYPES[0]}, body=response.body
        )


def _tags(request: Request, images: RepositoryContent, repository: str) -> Response:
    if "n" not in parse_qs(request.query):  # the whole list is what most registries give then
        return json_response({"name": repository, "tags": sorted(images.tags)})
    return page(request, "tags", images.tags, name=repository)
