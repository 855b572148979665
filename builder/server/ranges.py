"""Range requests (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from builder.server.conditions import apply_conditions, range_holds
from builder.server.message import Response

if TYPE_CHECKING:
    from builder.server.message import Request

_RANGE = re.compile(r"[Bb][Yy][Tt][Ee][Ss]=[ \t]*([0-9]{0,18})-([0-9]{0,18})")


def apply_range(request: Request, response: Response) -> Response:
    """Answer conditions and a Range header: 206, 304, 412, 416, or the whole body.

    A request for several ranges gets the whole body, which the RFC allows, as does one whose copy
    is stale. HEAD has no ranges.
    """
    response = apply_conditions(request, response)
    wanted = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if (
        response.status != HTTPStatus.OK
        or request.method != "GET"
        or wanted is None
        or not any(wanted.groups())
        or not range_holds(request, response)
    ):
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
