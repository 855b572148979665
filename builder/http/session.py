"""What requests is told to do otherwise: where a redirect may lead, which proxy, whom to trust."""

from __future__ import annotations

import threading
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter

from builder.errors import FetchError
from builder.http.attempt import POOLS
from builder.http.environment import proxies_for
from builder.http.stream import finish
from builder.redact import redact

if TYPE_CHECKING:
    import ssl

_MOST_REDIRECTS = 10
_HOSTS = 64
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=())


class HttpSession(requests.Session):
    """Send requests, and keep nothing of them; for one thread, over an adapter that many share.

    requests itself takes Authorization away when a redirect leads to another host: a registry
    sends blobs to storage whose signed URLs refuse a second credential.
    """

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.trust_env = False  # no netrc: a file for another tool must not send a password here
        self.max_redirects = _MOST_REDIRECTS
        self.cookies.set_policy(_NO_COOKIES)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where to go next; raise FetchError for where nobody should go.

        What has a body is not redirected: that may be a secret, and cannot be sent twice.
        """
        asks = resp.request.method in {"GET", "HEAD"}
        if not (resp.is_redirect and resp.headers["Location"] and asks):
            return None
        finish(resp.raw)  # requests would read all of its body, however long
        wanted = requests.PreparedRequest()
        try:
            wanted.prepare_url(urljoin(resp.url, super().get_redirect_target(resp)), None)
            target = str(wanted.url)
            self.get_adapter(target)
        except ValueError as error:  # requests' InvalidURL and InvalidSchema are ValueErrors
            raise FetchError(
                "the server redirected to something that is not a URL",
                where=redact(resp.url),
            ) from error
        if resp.url.startswith("https:") and not target.startswith("https:"):
            raise FetchError(
                "the server redirected from https to plain http, which is refused",
                where=f"{redact(resp.url)} -> {redact(target)}",
            )
        return target

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: object
    ) -> dict[str, str]:
        """Choose the proxy of a redirect's target; the adapter adds its credentials."""
        del proxies
        return proxies_for(str(prepared_request.url))


class Adapter(HTTPAdapter):
    """Hold the connection pools of all hosts and proxies, and one TLS context; thread-safe."""

    def __init__(self, context: ssl.SSLContext, pool: int) -> None:
        self._context = context
        self._lock = threading.Lock()
        super().__init__(pool_connections=_HOSTS, pool_maxsize=pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the pools behind a proxy; the proxy itself may speak TLS too."""
        with self._lock:
            manager = super().proxy_manager_for(
                proxy, ssl_context=self._context, proxy_ssl_context=self._context, **proxy_kwargs
            )
            manager.pool_classes_by_scheme = POOLS
            return manager

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Leave the decision to the context: requests would add certifi's authorities to it."""
