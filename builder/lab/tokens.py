"""A token service, as https://distribution.github.io/distribution/spec/auth/token/ describes it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from builder.server.message import Request, Response, text

if TYPE_CHECKING:
    from collections.abc import Callable

TokenStatus = Literal["good", "invalid_token", "insufficient_scope"]


class TokenService:
    """Give out tokens for repositories and know them again; called from many threads."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.seconds: float = 300
        """How long a token lives from now on."""
        self.clock: Callable[[], float] = time.monotonic
        self._given: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def expire(self) -> None:
        """Let no token be good any longer."""
        with self._lock:
            self._given.clear()

    def verify(self, token: str, repository: str) -> TokenStatus:
        """Tell whether a token is good for a repository (none of them for the empty name)."""
        with self._lock:
            until, allowed = self._given.get(token, (0.0, frozenset[str]()))
        if self.clock() >= until:
            return "invalid_token"
        return "good" if not repository or repository in allowed else "insufficient_scope"

    def answer(self, request: Request) -> Response:
        """Return a token for the scopes that are asked for."""
        if request.method != "GET":
            return text(405, "only GET\n")
        asked = parse_qs(request.query)
        if asked.get("service") != [self.service]:
            return text(400, f"the service here is {self.service}\n")
        scopes = " ".join(asked.get("scope", [])).split()
        names = {parts[1] for scope in scopes if len(parts := scope.split(":")) == 3}  # noqa: PLR2004 -- type:name:actions
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._given[token] = (
                self.clock() + self.seconds,
                frozenset(self.permitted(request, names)),
            )
        value = {"token": token, "access_token": token, "expires_in": int(self.seconds)}
        return text(200, json.dumps(value), "application/json")

    def permitted(self, request: Request, repositories: set[str]) -> set[str]:  # noqa: ARG002 -- for tests, which know users
        """Return those of the repositories that a token may be for: here, all."""
        return repositories
