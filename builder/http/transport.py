"""One attempt at a document or a body, with its redirects; imported when a Client is made."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import urldefragauth

from builder.errors import FetchError
from builder.http import ranges
from builder.http.attempt import Attempt, Watchdog
from builder.http.environment import proxies_for, trust
from builder.http.errors import TRANSPORT
from builder.http.reply import Reply, StatusError
from builder.http.session import Adapter, HttpSession
from builder.http.stream import HttpStream, finish
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse

    from builder.http.environment import ClientCertificate
    from builder.http.upload import UploadBody

_SUCCESS = range(200, 300)
_PARTIAL = 206
_PIECE = 1 << 16
_IDENTITY = {"Accept-Encoding": "identity", "User-Agent": "airseed"}
"""Bytes must arrive as they lie there: digests and offsets are of the stored form."""


class Transport:
    """Send requests from many threads: a session for each, connection pools for all."""

    def __init__(
        self,
        *,
        ca_bundle: Path | None,
        certificate: ClientCertificate | None = None,
        connect_timeout: float,
        read_timeout: float,
        pool: int,
    ) -> None:
        self._adapter = Adapter(trust(ca_bundle, certificate), pool)
        self._timeout = (connect_timeout, read_timeout)
        self._watchdog = Watchdog()
        self._local = threading.local()

    def document(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        limit: int,
        end: float,
        cut: bool = False,
    ) -> Reply:
        """Fetch a document of at most ``limit`` bytes, before ``end`` on the monotonic clock.

        Of a longer one these are returned if it is to be ``cut``.
        """
        with self._attempt(end) as attempt:
            response, final = self._send(attempt, method, url, headers, body)
            # a part that nobody asked for is no document
            if response.status not in _SUCCESS or (response.status == _PARTIAL and not cut):
                finish(response)
                raise StatusError(final, response.status, response.headers)
            length = 0 if method == "HEAD" else response.length_remaining
            with HttpStream(response, final, attempt, length=length) as stream:
                content = _whole(stream, limit, end, cut=cut)
        return Reply(url=final, status=stream.status, headers=stream.headers, content=content)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | UploadBody,
        *,
        limit: int,
        patience: float = 0.0,
    ) -> Reply:
        """Send a body and read the short answer, which may take ``patience`` seconds."""
        with self._attempt() as attempt:
            if not isinstance(body, bytes):
                body.watch(attempt)
            elif patience:
                attempt.arm(patience)
            silence = self._timeout[1]
            # a socket has the first of these while it sends
            timeout = (silence, max(silence, patience))
            response, final = self._send(attempt, method, url, headers, body, timeout=timeout)
            with HttpStream(response, final, attempt, length=response.length_remaining) as stream:
                content = _whole(stream, limit, time.monotonic() + self._timeout[1])
        if stream.status not in _SUCCESS:
            raise StatusError(final, stream.status, stream.headers, content)
        return Reply(url=final, status=stream.status, headers=stream.headers, content=content)

    def open(
        self, url: str, headers: Mapping[str, str], *, offset: int, size: int | None
    ) -> HttpStream:
        wanted = {**headers, "Range": f"bytes={offset}-"} if offset else headers
        attempt = self._attempt()
        try:
            response, final = self._send(attempt, "GET", url, wanted)
            try:
                return ranges.begin(response, final, attempt, offset, size)
            except FetchError:
                finish(response)
                raise
        except BaseException:
            attempt.close()
            raise

    def cancel(self) -> None:
        """End all that is under way, in whatever thread, and all that begins later."""
        self._watchdog.cancel()

    def close(self) -> None:
        self._watchdog.close()
        self._adapter.close()

    def _attempt(self, end: float = float("inf")) -> Attempt:
        return Attempt(self._watchdog, self._timeout[1], end)

    def _send(
        self,
        attempt: Attempt,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | UploadBody | None = None,
        *,
        timeout: tuple[float, float] | None = None,
    ) -> tuple[BaseHTTPResponse, str]:
        """Send a request, follow its redirects, and return the open response with its URL.

        Raise FetchError when there is no answer, or a redirect that must not be followed, and
        UsageError for a proxy that cannot be used.
        """
        session = self._session()
        wanted = requests.PreparedRequest()
        try:
            wanted.prepare(
                method=method,
                url=url,
                headers=_IDENTITY,
                data=body,
                auth=_userinfo(url),
                cookies=session.cookies,
            )
            wanted.headers.update(headers)  # an Authorization of the caller's is the stronger one
            with attempt.current():
                response = session.send(
                    wanted,
                    stream=True,
                    timeout=timeout or self._timeout,
                    proxies=proxies_for(str(wanted.url)),
                )
        except requests.TooManyRedirects as error:
            at = error.response.url if error.response is not None else url
            raise FetchError(
                f"the server redirected more than {session.max_redirects} times", where=redact(at)
            ) from error
        except TRANSPORT as error:
            raise attempt.explain(error, url) from error
        if attempt.over:
            response.raw.close()
            attempt.check(url)
        return response.raw, urldefragauth(response.url if response.history else url)

    def _session(self) -> HttpSession:
        """Return this thread's session: requests does not promise that threads can share one."""
        session: HttpSession | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = HttpSession(self._adapter)
        return session


def _whole(stream: HttpStream, limit: int, end: float, *, cut: bool = False) -> bytes:
    where = redact(stream.url)
    if stream.length is not None and stream.length > limit and not cut:
        raise FetchError(
            f"the document has {stream.length:,} bytes", where=where, expected=f"at most {limit:,}"
        )
    content = bytearray()
    piece = memoryview(bytearray(_PIECE))
    while count := stream.readinto(piece):
        content += piece[:count]
        if len(content) >= limit and cut:
            return bytes(content[:limit])
        if len(content) > limit:
            raise FetchError(
                "the document does not end", where=where, expected=f"at most {limit:,} bytes"
            )
        if time.monotonic() > end:
            raise FetchError("the document takes too long to arrive", where=where, temporary=True)
    return bytes(content)


def _userinfo(url: str) -> HTTPBasicAuth | None:
    """Read ``user:password@`` from a URL, as UTF-8; a token may stand there without a password."""
    if "@" not in url or (parts := urlsplit(url)).username is None:
        return None
    user, password = parts.username or "", parts.password or ""
    return HTTPBasicAuth(unquote(user).encode(), unquote(password).encode())
