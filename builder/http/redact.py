"""URLs as they may be shown: without passwords, signatures and tokens."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"


def redact(url: str) -> str:
    """Return the URL without userinfo and fragment, and with every query value hidden.

    The names of the query stay, because they tell a signed URL from a search. Text that is no
    URL comes back as far as it surely holds no secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    host = parts.netloc.rpartition("@")[2]
    names = [pair.partition("=")[0] for pair in parts.query.split("&") if pair]
    # A name without a value may itself be the secret (`?TOKEN`).
    shown = "&".join(
        f"{name}={HIDDEN}" if "=" in pair else HIDDEN
        for name, pair in zip(names, filter(None, parts.query.split("&")), strict=True)
    )
    return urlunsplit((parts.scheme, host, parts.path, shown, ""))
