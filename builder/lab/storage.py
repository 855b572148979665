"""An object store behind a registry: signed URLs, and no second way to prove who one is."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from builder.lab.image_store import blob
from builder.model.digest import Digest
from builder.server.message import Request, Response, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.lab.image_store import ImageStore

_PATH = re.compile(r"(.*)/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data")


class Storage:
    """Serve blobs to whoever has a URL that this store signed, for the method it was signed for."""

    def __init__(self, base: str, image_store: ImageStore) -> None:
        self.seconds = 600
        """How long a URL lives."""
        self.clock: Callable[[], float] = time.time
        self._base = base
        self._images = image_store
        self._secret = secrets.token_bytes(32)

    def url(self, digest: Digest, method: str) -> str:
        until = int(self.clock()) + self.seconds
        url = f"{self._base}/sha256/{digest.hex[:2]}/{digest.hex}/data"
        proof = self._sign(method, urlsplit(url).path, str(until))
        algorithm = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        return f"{url}?{algorithm}&X-Amz-Expires={until}&X-Amz-Signature={proof}"

    def answer(self, request: Request) -> Response:
        """Return the blob, or refuse in the words of S3."""
        if "authorization" in request.headers:
            return _refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        query = parse_qs(request.query)
        until = query.get("X-Amz-Expires", ["0"])[0]
        proof = query.get("X-Amz-Signature", [""])[0]
        if not hmac.compare_digest(
            proof.encode(), self._sign(request.method, request.path, until).encode()
        ):
            return _refusal(403, "SignatureDoesNotMatch", "The signature does not match")
        if float(until) <= self.clock():
            return _refusal(403, "AccessDenied", "Request has expired")
        match = _PATH.fullmatch(request.path)
        digest = Digest(match[2]) if match else None
        if digest is None or not self._images.path(digest).exists():
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        return blob(self._images.path(digest), digest)

    def _sign(self, method: str, path: str, until: str) -> str:
        words = f"{method}\n{path}\n{until}".encode()
        return hmac.new(self._secret, words, hashlib.sha256).hexdigest()


def _refusal(status: int, code: str, message: str) -> Response:
    words = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return text(status, words, "application/xml")
