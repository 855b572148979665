"""A token service that knows users, and what only they may read."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal

from builder.lab.tokens import TokenService
from builder.server.message import Request, Response, text


class UserTokens(TokenService):
    """Give out tokens, those for private repositories to users alone."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.private: tuple[str, ...] = ()
        """Shell patterns of repositories."""
        self.users: dict[str, str] = {}
        """Names and passwords."""
        self.field: Literal["token", "access_token", "both"] = "both"
        """Where the answer has the token; services differ."""

    def knows(self, user: tuple[str, str] | None) -> bool:
        """Tell whether name and password fit."""
        return user is not None and self.users.get(user[0]) == user[1]

    def answer(self, request: Request) -> Response:
        header = request.headers.get("authorization", "")
        if header and not self.knows(credentials(header)):
            return text(401, '{"details":"incorrect username or password"}', "application/json")
        response = super().answer(request)
        if self.field == "both" or response.status != 200:
            return response
        assert isinstance(response.body, bytes)
        value = json.loads(response.body)
        del value["access_token" if self.field == "token" else "token"]
        return replace(response, body=json.dumps(value).encode())

    def permitted(self, request: Request, repositories: set[str]) -> set[str]:
        if "authorization" in request.headers:
            return repositories
        return {
            name
            for name in repositories
            if not any(fnmatchcase(name, pattern) for pattern in self.private)
        }


def credentials(header: str) -> tuple[str, str] | None:
    """Read user and password from an Authorization header of the basic kind."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password
