"""Conditional requests (RFC 9110, section 13): 304 for what the client has."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.server.message import Response

if TYPE_CHECKING:
    from builder.server.message import Request

_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_KEPT = {"etag", "last-modified", "cache-control", "expires", "vary", "content-location"}


def apply_conditions(request: Request, response: Response) -> Response:
    """Answer If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in this order."""
    if response.status != HTTPStatus.OK or request.method not in {"GET", "HEAD"}:
        return response
    asked = request.headers
    tag = response.headers.get("ETag", "")
    modified = _moment(response.headers.get("Last-Modified"))
    if "if-match" in asked:
        if not _matches(asked["if-match"], tag, weak=False):
            return Response(status=HTTPStatus.PRECONDITION_FAILED)
    elif modified and (since := _moment(asked.get("if-unmodified-since"))) and modified > since:
        return Response(status=HTTPStatus.PRECONDITION_FAILED)
    if "if-none-match" in asked:
        unchanged = _matches(asked["if-none-match"], tag, weak=True)
    else:
        since = _moment(asked.get("if-modified-since"))
        unchanged = bool(modified and since and modified <= since)
    if not unchanged:
        return response
    kept = {name: value for name, value in response.headers.items() if name.lower() in _KEPT}
    return Response(status=HTTPStatus.NOT_MODIFIED, headers=kept)


def range_holds(request: Request, response: Response) -> bool:
    """Tell whether If-Range lets a part be sent: by a strong tag, or the very same date."""
    wanted = request.headers.get("if-range")
    if wanted is None:
        return True
    if _TAG.fullmatch(wanted):
        return _matches(wanted, response.headers.get("ETag", ""), weak=False)
    moment = _moment(wanted)
    return moment is not None and moment == _moment(response.headers.get("Last-Modified"))


def _matches(text: str, tag: str, *, weak: bool) -> bool:
    if text.strip() == "*":
        return True
    named = [match[0] for match in _TAG.finditer(text)]
    if weak:
        return bool(tag) and tag.removeprefix("W/") in {one.removeprefix("W/") for one in named}
    return bool(tag) and not tag.startswith("W/") and tag in named


def _moment(text: str | None) -> dt.datetime | None:
    """Read an HTTP date; what is none counts as not said."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
