"""The head of a request, read strictly (RFC 9112): what can be read in two ways is refused.

A proxy and a server that see the end of a request in different places let one client smuggle its
words into another's; so a length said twice or in another form than digits, a Transfer-Encoding,
folded lines, bare line ends and blanks before a colon are not requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- the RFC's word for a word
_FIRST = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_MOST_FIELDS = 100
_ONCE = {"host", "content-length", "authorization", "range", "if-range", "transfer-encoding"}
"""What may not be said twice; lists add up (RFC 9110, section 5.3)."""


class RequestRefused(Exception):  # noqa: N818 -- an answer, and no error of ours
    """Answer with a status and end the connection: its next bytes may be anybody's."""

    def __init__(self, status: HTTPStatus, text: str = "") -> None:
        super().__init__(status.phrase)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Head:
    method: str
    target: str
    lasting: bool
    """Whether the client may send another request behind this one."""
    length: int
    """Bytes of the body."""
    headers: Mapping[str, str]
    """Names are lower case."""


def parse_head(raw: bytes) -> Head:
    """Read all before the empty line; raise RequestRefused."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    match = _FIRST.fullmatch(first)
    if match is None:
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    method, target, major, minor = match.groups()
    if major != "1":
        raise RequestRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    headers = _fields(lines)
    if "transfer-encoding" in headers:
        # with a length beside it, it is an attempt to be read in two ways
        both = "content-length" in headers
        raise RequestRefused(HTTPStatus.BAD_REQUEST if both else HTTPStatus.NOT_IMPLEMENTED)
    if minor != "0" and "host" not in headers and method != "CONNECT":
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    length = headers.get("content-length", "0")
    if not _LENGTH.fullmatch(length):
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    options = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    return Head(method, target, minor != "0" and "close" not in options, int(length), headers)


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > _MOST_FIELDS:
        raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    headers: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RequestRefused(HTTPStatus.BAD_REQUEST)
        name, value = match[1].lower(), match[2]
        if name in headers:
            if name in _ONCE:
                raise RequestRefused(HTTPStatus.BAD_REQUEST)
            # Go programs send one Accept line a type
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers
