"""HTTP, the only owner of requests: pooled connections, one retry table, ranged streams.

Two ways to ask, and nothing else::

    Client.get   a small document: size-limited, retried, with a deadline over everything
                 (``head`` and ``post`` are its sisters)
    Client.open  a body to stream: ONE attempt; the caller resumes, because it knows how far it is

Both follow redirects (never from https to http, never taking Authorization to another host), go
through the environment's proxies, and raise nothing but :class:`~builder.errors.FetchError` (and
UsageError, for a kind of proxy that cannot be used).

This stands on requests, imported when the first Client is made, and reads bodies from the urllib3
response below it (``response.raw``), straight into the caller's buffer. Nothing is kept between
requests but connections: no cookies, and netrc is not read; credentials come from docker's
config.json or stand in a URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.http.client import Client
from builder.http.reply import Reply, StatusError
from builder.redact import redact

if TYPE_CHECKING:
    from builder.http.stream import HttpStream

__all__ = ["Client", "HttpStream", "Reply", "StatusError", "redact"]


def __getattr__(name: str) -> object:
    """Import HttpStream when it is asked for: requests comes with it, and takes 0.2 seconds."""
    if name != "HttpStream":
        raise AttributeError(name)
    from builder.http.stream import HttpStream  # noqa: PLC0415 -- the reason stands above

    return HttpStream
