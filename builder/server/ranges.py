"""Range requests (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.server.message import Response

if TYPE_CHECKING:
    from builder.server.message import Request

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def apply_range(request: Request, response: Response) -> Response:
    """Answer a Range header: 206, 416, or the whole body where the client's copy is stale.

    A request for several ranges gets the whole body, which the RFC allows.
    """
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if response.status != HTTPStatus.OK or wanted is None or not any(wanted.groups()):
        return response
    validators = {response.headers.get("ETag"), response.headers.get("Last-Modified")}
    if_range = request.headers.get("if-range")
    if if_range and if_range not in validators:
        return response
    first, last = wanted.groups()
    total = response.total
    if first:
        start = int(first)
        end = min(int(last) + 1 if last else total, total)
    else:
        start, end = max(total - int(last), 0), total
    if start >= end:
        return Response(
            status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Content-Range": f"bytes */{total}"},
        )
    return replace(
        response,
        status=HTTPStatus.PARTIAL_CONTENT,
        headers={**response.headers, "Content-Range": f"bytes {start}-{end - 1}/{total}"},
        offset=start,
        length=end - start,
    )
