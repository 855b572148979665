"""Lists in pages, as registries give them: distribution-spec 1.1, "Listing Tags"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from builder.server.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.server.message import Request

LONGEST = 3
"""Names on a page at most, so few that every list has several."""


def page(request: Request, key: str, names: Iterable[str], **more: str) -> Response:
    """Return the names after ``last``, at most ``n`` of them, and a Link to the next page."""
    query = parse_qs(request.query)
    wanted = query.get("n", [""])[0]
    most = min(int(wanted), LONGEST) if wanted.isdigit() else LONGEST
    rest = sorted(name for name in names if name > query.get("last", [""])[0])
    headers = {"Content-Type": "application/json"}
    if len(rest) > most > 0:
        following = urlencode({"last": rest[most - 1], "n": most})
        headers["Link"] = f'<{request.path}?{following}>; rel="next"'
    return Response(headers=headers, body=json.dumps({**more, key: rest[:most]}).encode())
