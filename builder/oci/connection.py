"""The way to registries that pulling, listing and pushing share: URLs, logins, one answer to a 401.

What is temporary is tried again by ``http``, which also follows redirects and takes the
Authorization header away where they lead to another host.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from builder.http import StatusError
from builder.oci.hosts import base_url
from builder.oci.tokens import Authorizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from builder.http import Client, HttpStream, Reply
    from builder.http.upload import HttpUpload
    from builder.oci.auth import Credentials
    from builder.oci.scope import Scope

_UNAUTHORIZED = 401
_Answer = TypeVar("_Answer")


class RegistryConnection:
    """Speak with any number of registries; one for a whole run, shared by its threads.

    Hosts on loopback and those in ``plain_http_hosts`` are asked over plain http, all others and
    those in ``tls_hosts`` over https. A ``target`` is relative to the scope's repository
    (``tags/list``) or to its host (``/v2/_catalog``). Every method raises FetchError.
    """

    def __init__(
        self,
        client: Client,
        credentials: Credentials,
        *,
        plain_http_hosts: Iterable[str] = (),
        tls_hosts: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._schemes = dict.fromkeys(plain_http_hosts, "http")
        self._schemes |= dict.fromkeys(tls_hosts, "https")
        self._authorizer = Authorizer(client, credentials, schemes=self._schemes, clock=clock)

    def get(self, scope: Scope, target: str, *, accept: str = "", limit: int) -> Reply:
        """Fetch a small document, retried as :meth:`builder.http.Client.get`."""
        return self._ask(
            scope,
            target,
            lambda url, headers: self._client.get(
                url, headers=_accepting(accept) | headers, limit=limit
            ),
        )

    def head(self, scope: Scope, target: str, *, accept: str = "") -> Reply:
        return self._ask(
            scope,
            target,
            lambda url, headers: self._client.head(url, headers=_accepting(accept) | headers),
        )

    def size(self, scope: Scope, target: str) -> int | None:
        """Return the bytes of a blob, None where the registry does not say."""
        return self._ask(
            scope, target, lambda url, headers: self._client.size(url, headers=headers)
        )

    def open(self, scope: Scope, target: str, *, size: int, offset: int = 0) -> HttpStream:
        """Begin to read a stream; one attempt, as :meth:`builder.http.Client.open`."""
        return self._ask(
            scope,
            target,
            lambda url, headers: self._client.open(url, offset=offset, size=size, headers=headers),
        )

    def send(
        self,
        scope: Scope,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        patience: float = 0.0,
    ) -> Reply:
        """Send a small body; one attempt, as :meth:`builder.http.Client.send`."""
        return self._ask(
            scope,
            target,
            lambda url, own: self._client.send(
                method, url, headers={**(headers or {}), **own}, body=body, patience=patience
            ),
        )

    def submit(
        self,
        scope: Scope,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send a small body, retried as :meth:`builder.http.Client.submit`."""
        return self._ask(
            scope,
            target,
            lambda url, own: self._client.submit(
                method, url, headers={**(headers or {}), **own}, body=body
            ),
        )

    def upload(
        self, scope: Scope, method: str, target: str, *, headers: Mapping[str, str], size: int
    ) -> HttpUpload:
        """Begin to send a large body; its answer may be a 401, see ``renew``."""
        url = self._url(scope, target)
        header = self._authorizer.header(scope) if self._is_own(scope, url) else None
        return self._client.upload(
            method, url, headers={**headers, **_authorization(header)}, size=size
        )

    def renew(self, scope: Scope, error: StatusError) -> None:
        """Get another token after a 401 in the middle of an upload; raise FetchError."""
        self._authorizer.answer(error, scope, self._authorizer.header(scope))

    def _url(self, scope: Scope, target: str) -> str:
        return urljoin(f"{base_url(scope.host, self._schemes)}/v2/{scope.path}/", target)

    def _is_own(self, scope: Scope, url: str) -> bool:
        """Tell whether a URL is the registry's, and not where it sends us: no login goes there."""
        return url.startswith(f"{base_url(scope.host, self._schemes)}/")

    def _ask(
        self, scope: Scope, target: str, call: Callable[[str, dict[str, str]], _Answer]
    ) -> _Answer:
        """Call with a URL and headers; answer one 401, be it the first or an expired token's."""
        url = self._url(scope, target)
        if not self._is_own(scope, url):
            return call(url, {})
        header = self._authorizer.header(scope)
        try:
            return call(url, _authorization(header))
        except StatusError as error:
            if error.status != _UNAUTHORIZED:
                raise
            header = self._authorizer.answer(error, scope, header)
        try:
            return call(url, _authorization(header))
        except StatusError as error:
            if error.status != _UNAUTHORIZED or not scope.path:
                raise  # a login that is good for repositories may not be for their list
            raise self._authorizer.refused(error, scope) from error


def _authorization(header: str | None) -> dict[str, str]:
    return {"Authorization": header} if header else {}


def _accepting(accept: str) -> dict[str, str]:
    return {"Accept": accept} if accept else {}
