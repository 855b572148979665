"""The Authorization header for each repository: Basic, or a token that is fetched and kept.

Flow: distribution's token authentication specification. A registry's first 401 says where tokens
come from; after that every other repository of the host gets its token before it is asked, so an
image costs one round trip more than its content, not two.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from builder import strict_json
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.oci.challenge import Challenge, parse
from builder.oci.hosts import base_url, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.http import Client
    from builder.oci.auth import Credential, Credentials
    from builder.oci.scope import Scope

_CLIENT_ID = "airseed"
_LIMIT = 1 << 20
_LIFE = 60.0  # what the specification gives a token that does not say
_LONGEST_LIFE = 86_400.0
_MARGIN = 0.2  # of its life, in which a token is no longer used for a new request
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LOGIN_HINT = "the repository does not exist, or reading it needs credentials: docker login {host}"
_REFUSED_HINT = "the credentials for {host} are wrong, expired, or may not read this repository"


@dataclass(frozen=True, slots=True)
class _Key:
    host: str
    """Of the registry: another one that names the same token server is not shown its tokens."""
    credential: Credential | None
    realm: str
    service: str
    scope: str


class Authorizer:
    """Know for each repository which Authorization to send; shared by many threads."""

    def __init__(
        self,
        client: Client,
        credentials: Credentials,
        *,
        schemes: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._schemes = schemes or {}
        self._clock = clock
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[_Key, tuple[str, float]] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def header(self, scope: Scope) -> str | None:
        """Return the header for a scope, as far as its host has said what it wants."""
        challenge = self._challenges.get(scope.host)
        if challenge is None:
            return None
        return self._header(challenge, scope, allowing=str(scope), used=None)

    def answer(self, error: StatusError, scope: Scope, used: str | None) -> str:
        """Return another header after a 401 for ``used``; raise FetchError when there is none."""
        if urlsplit(error.url).netloc != urlsplit(base_url(scope.host, self._schemes)).netloc:
            raise error  # not the registry asks, but where it redirected to
        text = error.headers.get("WWW-Authenticate", "")
        try:
            offered = {item.scheme: item for item in reversed(parse(text))}
        except ValueError as reason:
            raise FetchError(
                f"the registry asks for a login that airseed does not understand: {reason}",
                where=redact(error.url),
                status=error.status,
            ) from error
        challenge = offered.get("bearer") or offered.get("basic")
        if challenge is None:
            raise FetchError(
                f"the registry offers no login that airseed knows ({', '.join(offered) or '-'})",
                where=redact(error.url),
                expected="Bearer or Basic",
                status=error.status,
            ) from error
        wanted = challenge.get("scope")
        allowing = str(scope) if not wanted or scope.covers(wanted) else wanted
        header = self._header(challenge, scope, allowing=allowing, used=used)
        if header is None or header == used:
            raise self.refused(error, scope) from error
        if challenge.scheme == "basic" or allowing == str(scope):
            self._challenges[scope.host] = challenge
        return header

    def refused(self, error: StatusError, scope: Scope) -> FetchError:
        """Explain a 401 that no header of ours answers."""
        known = self._credentials.find(scope.repository) is not None
        return FetchError(
            "the registry refuses the login" if known else "the registry requires a login",
            where=redact(error.url),
            hint=(_REFUSED_HINT if known else _LOGIN_HINT).format(host=scope.host),
            status=error.status,
        )

    def _header(
        self, challenge: Challenge, scope: Scope, *, allowing: str, used: str | None
    ) -> str | None:
        """Make the header that answers a challenge, another one than ``used``."""
        credential = self._credentials.find(scope.repository)
        if challenge.scheme == "basic":
            return credential.basic if credential and credential.username else None
        realm, service = challenge.get("realm"), challenge.get("service")
        key = _Key(scope.host, credential, realm, service, allowing)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            held = self._tokens.get(key)
            if held is None or held[0] == used or self._clock() >= held[1]:
                held = self._fetch(key)
                self._tokens[key] = held
            return held[0]

    def _fetch(self, key: _Key) -> tuple[str, float]:
        """Get a new token; return its header and the moment until which it is used."""
        host, credential = key.host, key.credential
        realm = self._realm(key.realm, host, credential)
        form = {"service": key.service, "scope": key.scope}
        form = {name: text for name, text in form.items() if text}
        asked = self._clock()
        try:
            if credential is not None and credential.identity_token:
                form |= {
                    "grant_type": "refresh_token",
                    "client_id": _CLIENT_ID,
                    "refresh_token": credential.identity_token,
                }
                reply = self._client.post(realm, form, limit=_LIMIT)
            else:
                headers = {"Authorization": credential.basic} if credential else {}
                reply = self._client.get(_with(realm, form), headers=headers, limit=_LIMIT)
        except StatusError as error:
            if error.status in {400, 401, 403}:
                raise FetchError(
                    f"the token server answered {error.status}",
                    where=redact(error.url),
                    hint=(_REFUSED_HINT if credential else _LOGIN_HINT).format(host=host),
                    status=error.status,
                ) from error
            raise
        token, life = _token(reply.content, redact(reply.url))
        return f"Bearer {token}", asked + life * (1 - _MARGIN)

    def _realm(self, realm: str, host: str, credential: Credential | None) -> str:
        """Check where tokens come from: a URL, and none that would show a password on the way."""
        try:
            parts = urlsplit(realm)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in realm
        except ValueError:
            parts, good = urlsplit(""), False
        if not good:
            raise FetchError(
                "the registry names no valid URL for tokens", where=f"{host}: {redact(realm)[:120]}"
            )
        own = realm.startswith(f"{base_url(host, self._schemes)}/")
        open_way = parts.scheme == "http" and not is_loopback(parts.hostname or "") and not own
        if credential is not None and open_way:
            raise FetchError(
                "the registry asks for credentials over plain http to another host",
                where=f"{host}: {redact(realm)}",
                expected="https",
            )
        return realm


def _with(url: str, query: dict[str, str]) -> str:
    parts = urlsplit(url)
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *query.items()]
    return urlunsplit(parts._replace(query=urlencode(pairs), fragment=""))


def _token(content: bytes, where: str) -> tuple[str, float]:
    """Read a token server's answer: the token and its life in seconds."""
    try:
        document: Any = strict_json.load(content)
    except ValueError as error:
        raise FetchError(f"the token server's answer: {error}", where=where) from error
    if not isinstance(document, dict):
        document = {}
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise FetchError("the token server sent no token", where=where)
    life = document.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or not life > 0:
        life = _LIFE
    return token, min(float(life), _LONGEST_LIFE)
