"""The content of all registries: what each repository has, over one folder of blobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.server.message import Response

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.digest import Digest


@dataclass(slots=True)
class RepositoryContent:
    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[Digest, str] = field(default_factory=dict)
    """Media types of indexes and manifests."""
    blobs: set[Digest] = field(default_factory=set)
    referrers: dict[Digest, list[Digest]] = field(default_factory=dict)
    """Manifests that are attached to others; without any, the registry does not know the API."""


class ImageStore:
    """Hold all images by repository (``quay.io/tigera/operator``), with their blobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repositories: dict[str, RepositoryContent] = {}

    def path(self, digest: Digest) -> Path:
        return self.folder / digest.hex


def blob(path: Path, digest: Digest) -> Response:
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
    }
    return Response(headers=headers, body=path)
