"""What a server answered: a document, or a status other than success."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.backoff import TEMPORARY, retry_after
from builder.errors import FetchError
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

_CREDENTIALS_HINT = (
    "check that the credentials for this host (docker login, ~/.docker/config.json) are there and"
    " may read it"
)
STATUS_HINTS = {
    401: _CREDENTIALS_HINT,
    403: _CREDENTIALS_HINT + "; some mirrors answer 403 for what they do not have",
    404: "check the name and the version; a later source may still have it",
    407: "put user and password into the proxy's URL (https_proxy=http://USER:PASSWORD@HOST:PORT)",
    410: "upstream has removed it; name another source",
    413: "the server or a proxy before it limits bodies (nginx: client_max_body_size 0)",
    429: "the server limits the rate; credentials or a mirror raise the limit",
    507: "its disk is full, or a quota is used up: make room there",
}

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    url: str
    """After redirects; may hold a signature, so show it through ``redact``."""
    status: int
    headers: Mapping[str, str]
    """Names are found in any case."""
    content: bytes


class StatusError(FetchError):
    """Say that a server answered with a status other than success.

    ``headers`` are its own; ``url`` is where the answer came from, and may hold a signature.
    ``content`` is its text where a body had been sent.
    """

    def __init__(
        self, url: str, status: int, headers: Mapping[str, str], content: bytes = b""
    ) -> None:
        phrase = _PHRASES.get(status, "")
        wait = retry_after(headers.get("Retry-After"), headers.get("Date"))
        super().__init__(
            f"the server answered {status} {phrase}".rstrip()
            + (f" and asks to wait {wait:,.0f} s" if wait else ""),
            where=redact(url),
            hint=STATUS_HINTS.get(status),
            temporary=status in TEMPORARY,
            retry_after=wait,
            status=status,
        )
        self.url = url
        self.content = content
        self.headers = headers
