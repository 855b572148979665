"""Basic authentication in front of a site (RFC 7617); whether a login is right, its caller says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.server.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from builder.server.message import Request, Site

_MOST_KNOWN = 1024


class BasicAuth:
    """Let only users in; ``knows`` tells whether name and password fit, and may be slow.

    What fitted is remembered by a keyed hash, so that bcrypt is asked once for each login, and not
    for each of ten thousand blobs. ``public`` are paths that everybody may see,
    ``refusal`` says what the others are told.
    """

    def __init__(
        self,
        site: Site,
        knows: Callable[[str, str], bool],
        *,
        refusal: Callable[[Request], bytes] = lambda _: b"",
        public: Collection[str] = (),
    ) -> None:
        self._site = site
        self._knows = knows
        self._public = frozenset(public)
        self._refusal = refusal
        self._challenge = {"WWW-Authenticate": 'Basic realm="airseed", charset="UTF-8"'}
        self._key = secrets.token_bytes(32)
        self._fitting: set[bytes] = set()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        if request.path in self._public or self._may(request.headers.get("authorization", "")):
            return self._site.answer(request)
        body = self._refusal(request)
        return Response(status=HTTPStatus.UNAUTHORIZED, headers=self._challenge, body=body)

    def _may(self, header: str) -> bool:
        scheme, _, coded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        proof = hmac.new(self._key, coded.encode(), hashlib.sha256).digest()
        if proof in self._fitting:
            return True
        try:
            user, colon, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        if not colon or not self._knows(user, password):
            return False
        with self._lock:
            if len(self._fitting) >= _MOST_KNOWN:
                self._fitting.clear()
            self._fitting.add(proof)
        return True
