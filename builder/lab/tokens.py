"""A token service, as https://distribution.github.io/distribution/spec/auth/token/ describes it."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from builder.server.message import Request, Response, text

if TYPE_CHECKING:
    from collections.abc import Callable

TokenStatus = Literal["good", "invalid_token", "insufficient_scope"]


class TokenService:
    """Return out tokens for repositories and know them again; called from many threads."""

    def __init__(self, service: str, *, private: tuple[str, ...] = ()) -> None:
        self.service = service
        self.private = private
        self.users: dict[str, str] = {}
        """Names and passwords."""
        self.seconds: float = 300
        """How long a token lives from now on."""
        self.field: Literal["token", "access_token", "both"] = "both"
        """Where the answer has the token; services differ."""
        self.clock: Callable[[], float] = time.monotonic
        self._given: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def expire(self) -> None:
        """Let no token be good any longer."""
        with self._lock:
            self._given.clear()

    def knows(self, user: tuple[str, str] | None) -> bool:
        return user is not None and self.users.get(user[0]) == user[1]

    def verify(self, token: str, repository: str) -> TokenStatus:
        """Tell whether a token is good for a repository (none of them for the empty name)."""
        with self._lock:
            until, allowed = self._given.get(token, (0.0, frozenset[str]()))
        if self.clock() >= until:
            return "invalid_token"
        return "good" if not repository or repository in allowed else "insufficient_scope"

    def answer(self, request: Request) -> Response:
        """Return a token for the scopes that the user, or anybody, may have."""
        header = request.headers.get("authorization", "")
        user = credentials(header)
        if header and not self.knows(user):
            return text(401, '{"details":"incorrect username or password"}', "application/json")
        if request.method != "GET":
            return text(405, "only GET\n")
        asked = parse_qs(request.query)
        if asked.get("service") != [self.service]:
            return text(400, f"the service here is {self.service}\n")
        scopes = " ".join(asked.get("scope", [])).split()
        names = {parts[1] for scope in scopes if len(parts := scope.split(":")) == 3}  # noqa: PLR2004 -- type:name:actions
        if user is None:
            names = {name for name in names if not self._is_private(name)}
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._given[token] = (self.clock() + self.seconds, frozenset(names))
        fields = ["token", "access_token"] if self.field == "both" else [self.field]
        value = {**dict.fromkeys(fields, token), "expires_in": int(self.seconds)}
        return text(200, json.dumps(value), "application/json")

    def _is_private(self, repository: str) -> bool:
        return any(fnmatchcase(repository, pattern) for pattern in self.private)


def credentials(header: str) -> tuple[str, str] | None:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password
