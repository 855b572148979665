"""Where something comes from, as people write it: a URL, or a path beside their document."""

import re

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""How a URL of any kind begins; capitals are allowed (RFC 3986)."""


def is_url(source: str) -> bool:
    """Tell a URL from a local path; both may stand where a source is asked for."""
    return source.startswith(("https://", "http://"))
