"""The page at ``/``: what is served, and how clients are told to ask for it at this address."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from builder.host_port import BY_SCHEME
from builder.server.message import Response, redirect, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from builder.model.artifact import Image, Package
    from builder.serve.boots import BootBoard
    from builder.serve.content import Content, ServedBundle
    from builder.server.message import Request, Site

    Render = Callable[[str, Mapping[str, Any]], str]

_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Address:
    """Hold where a client finds this server, as its own request says."""

    scheme: str
    host: str
    """With its port, where the client named one."""

    @classmethod
    def of(cls, request: Request) -> Address | None:
        """Return None where the request names no host that could be pasted anywhere."""
        host = request.headers.get("host", "")
        # a proxy in front that does TLS says so; of several the first one is whom the client asked
        forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
        scheme = forwarded or request.scheme
        if scheme not in BY_SCHEME or not _HOST.fullmatch(host):
            return None
        return cls(scheme, host.lower())

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"{self.scheme}://{self.host}"

    @property
    def registry(self) -> str:
        """The host as the first part of an image's name, where a bare word would be a folder."""
        bare = not re.search(r"[.:]", self.host) and self.host != "localhost"
        return f"{self.host}:{BY_SCHEME[self.scheme]}" if bare else self.host


class Pages:
    """Make responses of pages; ``render`` takes a page's name and what is on it."""

    def __init__(self, render: Render, policy: Callable[[], str]) -> None:
        self._render = render
        self._policy = policy

    def answer(self, request: Request, name: str, values: Mapping[str, Any]) -> Response:
        address = Address.of(request)
        if address is None:
            return text(400, "the request's Host is none\n")
        where = {
            "host": address.host,
            "url": address.url,
            "registry": address.registry,
            "login": "authorization" in request.headers,
        }
        body = self._render(name, where | dict(values)).encode()
        return Response(
            headers={
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": self._policy(),
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",
                "Vary": "Host, X-Forwarded-Proto",
                "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            },
            body=body,
        )


class People:
    """Answer people's paths with pages, and leave all others to the site behind."""

    def __init__(
        self, site: Site, content: Content, pages: Pages, boots: BootBoard | None = None
    ) -> None:
        self._site = site
        self._overview = Overview(content)
        self._pages = pages
        self._boots = boots

    def answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return self._site.answer(request)
        if request.path == "/" and self._boots and not self._overview.bundles:
            return redirect(self._boots.path)
        if request.path == "/":
            values = {**self._overview.values, "boots": self._boots is not None}
            return self._pages.answer(request, "index", values)
        shown = self._boots.answer(request, self._pages) if self._boots else None
        return shown or self._site.answer(request)


class Overview:
    """Say what bundles have, for the page at ``/``; it is found out when first asked for."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def bundles(self) -> int:
        return len(self._content.bundles)

    @cached_property
    def values(self) -> dict[str, Any]:
        bundles = self._content.bundles
        return {
            "bundles": [
                {
                    "name": bundle.name,
                    "quoted": quote(bundle.name),
                    "cluster": bundle.lock.subject.cluster,
                    "kubernetes": bundle.lock.subject.kubernetes,
                    "os": bundle.lock.subject.os,
                    "images": len(bundle.lock.images),
                    "packages": len(bundle.lock.packages),
                    "size": sum(extent.size for extent in bundle.layout.extents),
                }
                for bundle in bundles
            ],
            "images": self._images(),
            "repositories": list(self._repositories()),
            "files": self._files(),
        }

    def _images(self) -> list[dict[str, Any]]:
        images: dict[tuple[str, str], Image] = {}
        for bundle in self._content.bundles:
            for image in bundle.lock.images:
                key = image.name, str(image.digest)
                known = images.get(key, image)  # an index is the same for each choice of platforms
                parts = {part.digest: part for part in (*known.manifests, *image.manifests)}
                images[key] = replace(known, manifests=tuple(parts.values()))
        return [self._image(image) for _, image in sorted(images.items())]

    def _image(self, image: Image) -> dict[str, Any]:
        blobs = self._content.blobs
        parts = image.digests | image.signed_digests
        return {
            "name": image.name,
            "hub": image.reference.host == "docker.io",
            "platforms": sorted({str(manifest.platform) for manifest in image.manifests}),
            "size": sum(blobs[digest].size for digest in parts if digest in blobs),
            "digest": str(image.digest),
            "signed_by": image.signed_by,
        }

    def _repositories(self) -> Iterator[dict[str, Any]]:
        """Yield the repositories of all bundles; of two that differ each has an address."""
        files = self._content.files
        for bundle in self._content.bundles:
            packages: dict[str, list[Package]] = {}
            for package in bundle.lock.packages:
                if package.path in files:  # a delta has not all of them
                    packages.setdefault(package.repository, []).append(package)
            for name, own in sorted(packages.items()):
                index, inside = f"yum/{name}/repodata/repomd.xml", f"bundles/{bundle.name}/"
                shared, mine = files[index], files[inside + index]
                if shared is mine:
                    inside = ""
                elif shared.digest == mine.digest:
                    continue
                yield {
                    "id": f"{name}-{bundle.name}" if inside else name,
                    "title": f"{name} of {bundle.name}" if inside else name,
                    "path": quote(f"/{inside}yum/{name}/"),
                    "gpgkeys": [quote(f"/{inside}{path}") for path in _keys(bundle, name)],
                    "count": len(own),
                    "size": sum(package.size for package in own),
                    "packages": [_package(package, inside) for package in own],
                }

    def _files(self) -> list[dict[str, Any]]:
        """Return what is neither of an image nor of a yum repository."""
        kinds = {file.path: file.kind for each in self._content.bundles for file in each.lock.files}
        return [
            {
                "path": path,
                "kind": kinds.get(path, "bundle"),
                "size": piece.size,
                "digest": str(piece.digest),
                "url": quote(f"/{path}"),
            }
            for path, piece in sorted(self._content.files.items())
            if not path.startswith(("images/", "yum/", "bundles/"))
        ]


def _package(package: Package, inside: str) -> dict[str, Any]:
    return {
        "name": package.nevra.name,
        "version": package.nevra.evr,
        "arch": package.nevra.arch,
        "size": package.size,
        "digest": str(package.digest),
        "url": quote(f"/{inside}{package.path}"),
    }


def _keys(bundle: ServedBundle, repository: str) -> list[str]:
    """Return the paths of the keys of a repository's packages, of all where none are said."""
    wanted = {
        key
        for package in bundle.lock.packages
        if package.repository == repository
        for key in package.keys
    }
    keys = {file.path: file.fingerprint for file in bundle.lock.files if file.kind == "key"}
    return [path for path, print_ in keys.items() if print_ in wanted] or list(keys)
