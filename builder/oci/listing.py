"""What a registry has: its repositories, their tags, and which blobs are really there.

Distribution-spec 1.1 (tags/list); /v2/_catalog is docker distribution's, which most registries
for a site have and most public ones don't. Pages are followed by their Link header, on the same
host alone.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from builder import strict_json
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from builder.http import Reply
    from builder.model.digest import Digest
    from builder.oci.connection import RegistryConnection

_LIMIT = 16 << 20
_PAGE = 500
_MOST_NAMES = 1_000_000
"""Names that one registry may list, in all its lists together."""
_MOST_BYTES = 256 << 20
_MOST_PAGES = 20_000
_NEXT = re.compile(r'<([^>]{1,2048})>\s*;\s*rel="?next"?')
_ABSENT = {404, 405}


class Lister:
    """Read what registries have to offer; every method raises FetchError."""

    def __init__(self, connection: RegistryConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._totals = {"names": 0, "bytes": 0, "pages": 0}

    def repositories(self, host: str) -> list[str]:
        return self._pages(Scope(host=host), f"/v2/_catalog?n={_PAGE}", "repositories")

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, none where it has none."""
        try:
            return self._pages(Scope.of(repository), f"tags/list?n={_PAGE}", "tags")
        except StatusError as error:
            if error.status in _ABSENT:  # all its manifests were deleted
                return []
            raise

    def size_of(self, repository: str, digest: Digest) -> int | None:
        """Return the bytes of a blob, or None if it is not there."""
        try:
            return self._connection.size(Scope.of(repository), f"blobs/{digest}") or 0
        except StatusError as error:
            if error.status in _ABSENT:
                return None
            raise

    def _pages(self, scope: Scope, target: str, key: str) -> list[str]:
        names: dict[str, None] = {}
        seen: set[str] = set()
        while True:
            seen.add(target)
            reply = self._connection.get(scope, target, limit=_LIMIT)
            found = _names(reply, key)
            self._count(reply, names=len(found), bytes=len(reply.content), pages=1)
            names.update(dict.fromkeys(found))
            link = _NEXT.search(reply.headers.get("Link", ""))
            if not link:
                return list(names)
            # Credentials go to nobody else, and a registry behind a proxy may not know its name.
            following = urlsplit(urljoin(reply.url, link[1]))
            target = following._replace(scheme="", netloc="").geturl()
            if target in seen:
                raise FetchError(
                    f"the pages of the list of {key} go round in a circle", where=redact(reply.url)
                )

    def _count(self, reply: Reply, **amounts: int) -> None:
        """Add to what the registry has listed so far; raise FetchError where that has no end."""
        most = {"names": _MOST_NAMES, "bytes": _MOST_BYTES, "pages": _MOST_PAGES}
        with self._lock:
            for what, amount in amounts.items():
                self._totals[what] += amount
                if self._totals[what] > most[what]:
                    raise FetchError(
                        "the registry's lists do not end",
                        where=redact(reply.url),
                        expected=f"at most {most[what]:,} {what} in all",
                        hint="name the repositories, where the command allows it",
                    )


def _names(reply: Reply, key: str) -> list[str]:
    """Read one page; a registry may say null for none."""
    try:
        document: Any = strict_json.load(reply.content)
        names = document.get(key) if isinstance(document, dict) else None
        if names is None or (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            return names or []
    except ValueError as error:
        raise FetchError(f"the list of {key}: {error}", where=redact(reply.url)) from error
    raise FetchError(f"the registry sent no list of {key}", where=redact(reply.url))
