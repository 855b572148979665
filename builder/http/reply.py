"""What a server answered: a document, or a status that is no success.

The statuses of the retry table of the whole project stand here, its errors in ``words``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.errors import FetchError
from builder.http.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529})
"""Statuses after which the same request may succeed later."""
LONGEST_WAIT = 86_400.0
"""Seconds that a server's Retry-After is believed, at most; nobody here waits for so long."""
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
    429: "the server limits the rate; credentials or a mirror raise the limit",
}

_PHRASES = {one.value: one.phrase for one in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Hold a small document and how it came."""

    url: str
    """After redirects; may hold a signature, so show it through ``redact``."""
    status: int
    headers: Mapping[str, str]
    """Names are found in any case."""
    content: bytes


class StatusError(FetchError):
    """Say that a server answered with a status that is no success.

    ``headers`` are its own; ``url`` is where the answer came from, and may hold a signature.
    """

    def __init__(self, url: str, status: int, headers: Mapping[str, str]) -> None:
        phrase = _PHRASES.get(status, "")
        wait = retry_after(headers.get("Retry-After"))
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
        self.headers = headers


def retry_after(text: str | None, now: dt.datetime | None = None) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds: at least 0, at most a day."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_WAIT)
    import email.utils  # noqa: PLC0415 -- slow to load, and dates are rare

    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        wait = (moment - (now or dt.datetime.now(dt.UTC))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT)
