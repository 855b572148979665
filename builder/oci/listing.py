"""What a registry has: its repositories, their tags, and which blobs are really there.

Distribution-spec 1.1 (tags/list); /v2/_catalog is docker distribution's, which most registries
for a site have and most public ones don't. Pages are followed by their Link header, on the same
host alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from builder import strict_json
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.oci.client import Registry
from builder.oci.hosts import base_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.http import Reply
    from builder.model.digest import Digest

_LIMIT = 16 << 20
_PAGE = 500
_MOST_PAGES = 10_000
_NEXT = re.compile(r'<([^>]{1,2048})>\s*;\s*rel="?next"?')
_ABSENT = {404, 405}
_UNAUTHORIZED = 401


class Listing(Registry):
    """Read what registries have to offer, too."""

    def repositories(self, host: str) -> list[str]:
        """Give the paths of all repositories of a host; raise FetchError."""
        return self._pages(
            f"{base_url(host, self._plain)}/v2/_catalog?n={_PAGE}",
            "repositories",
            lambda url: self._catalog(host, url),
        )

    def tags(self, repository: str) -> list[str]:
        """Give the tags of a repository, none where it has none; raise FetchError."""
        host, _, path = repository.partition("/")
        start = f"{base_url(host, self._plain)}/v2/{path}/tags/list?n={_PAGE}"

        def fetch(url: str) -> Reply:
            rest = url.partition(f"/v2/{path}/")[2]
            return self._ask(
                repository,
                rest,
                lambda url, headers: self._client.get(url, headers=headers, limit=_LIMIT),
            )

        try:
            return self._pages(start, "tags", fetch)
        except StatusError as error:
            if error.status in _ABSENT:  # all its manifests were deleted
                return []
            raise

    def size_of(self, repository: str, digest: Digest) -> int | None:
        """Give the bytes of a blob, or None if it is not there; raise FetchError."""
        try:
            reply = self._ask(
                repository,
                f"blobs/{digest}",
                lambda url, headers: self._client.head(url, headers=headers),
            )
        except StatusError as error:
            if error.status in _ABSENT:
                return None
            raise
        length = reply.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    def _catalog(self, host: str, url: str) -> Reply:
        """Ask for a page of the catalog, with a token of its own where one is wanted."""
        try:
            return self._client.get(url, limit=_LIMIT)
        except StatusError as error:
            if error.status != _UNAUTHORIZED:
                raise
            header = self._authority.answer(error, host, "", None)
        return self._client.get(url, headers={"Authorization": header}, limit=_LIMIT)

    @staticmethod
    def _pages(url: str, key: str, fetch: Callable[[str], Reply]) -> list[str]:
        """Follow pages to the last one."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        while url not in seen and len(seen) < _MOST_PAGES:
            seen.add(url)
            reply = fetch(url)
            found.update(dict.fromkeys(_names(reply, key)))
            link = _NEXT.search(reply.headers.get("Link", ""))
            if not link:
                break
            # Credentials go to nobody else, and a registry behind a proxy may not know its name.
            following = urlsplit(urljoin(url, link[1]))
            url = urlsplit(url)._replace(path=following.path, query=following.query).geturl()
        return list(found)


def _names(reply: Reply, key: str) -> list[str]:
    """Read one page; a registry may say null for none."""
    try:
        document: Any = strict_json.load(reply.content)
        names = document.get(key) if isinstance(document, dict) else None
        if names is None or (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            return names or []
    except ValueError as error:
        raise FetchError(f"the list of {key}: {error}", where=redact(reply.url)) from error
    raise FetchError(f"sent no list of {key}", where=redact(reply.url))
