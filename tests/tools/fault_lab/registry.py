"""Registries with what locking and bundling never ask them for: lists, referrers, pull limits."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from builder.lab.registry import CATALOG, ROUTE, LabRegistry, digest_of, json_response, refusal
from builder.model.artifact import INDEX_TYPES
from builder.server.message import Response
from fault_lab.paging import page

if TYPE_CHECKING:
    from builder.lab.image_store import RepositoryContent
    from builder.server.message import Request


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

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.allowance: PullLimit | None = None
        """None for a registry that counts no pulls."""

    def read(self, request: Request) -> Response:
        if request.path == CATALOG:
            start = f"{self.profile.content}/"
            known = (name for name in self._images.repositories if name.startswith(start))
            return page(request, "repositories", (name.removeprefix(start) for name in known))
        route = ROUTE.fullmatch(request.path)
        images = self.content(route[1]) if route else None
        if route is None or images is None or route[2] in {"manifests", "blobs"}:
            return super().read(request)
        repository, kind, name = route.groups()
        if kind == "referrers":
            return self._referrers(images, name)
        if "n" not in parse_qs(request.query):  # the whole list is what most registries give then
            return json_response({"name": repository, "tags": sorted(images.tags)})
        return page(request, "tags", images.tags, name=repository)

    def manifest(self, request: Request, images: RepositoryContent, name: str) -> Response:
        """Count a pull, which HEAD is not, or refuse it."""
        response = super().manifest(request, images, name)
        allowance = self.allowance
        if allowance is None:
            return response
        if request.method == "GET" and not allowance.take():
            response = refusal(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
        return replace(response, headers={**response.headers, **allowance.headers})

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
