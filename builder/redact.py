"""Text as it may be shown: without passwords, signatures and tokens.

Whatever stands before the last ``@`` may be a password, even where the text is no URL (``http//``,
a slash in the password); so that is hidden before anything else is read.
"""

from __future__ import annotations

import re
import string

HIDDEN = "***"
_IN_SCHEMES = string.ascii_lowercase + string.digits
_SCHEME = re.compile(r"(?:https?|ftp|file|socks[45][ah]?)://")
_PUBLIC = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*(?:/[^:?#\s]*)?")
"""A host with dots and a path without a colon: that has no room for a user and a password."""
_DIGEST = re.compile(r"@sha(?:256|512):[0-9a-fA-F]*[^\s@]*$")
_QUOTED_OR_WORD = re.compile(r"'[^'\n@]*@[^'\n]*'|\"[^\"\n@]*@[^\"\n]*\"|\S+")
_WORD = re.compile(r"[^\s'\"]+")
_QUERY = re.compile(r"(://(?:(?!://)[^\s'\"?#])*)\?([^\s'\"#]+)")
_EXAMPLE = "USER:PASSWORD@"
_ENDLESS = re.compile(r"(\S{100})\S{3996,}")
"""Longer than any path of a file (PATH_MAX)."""


def redact(url: str) -> str:
    """Return a URL without userinfo and fragment, and with every query value hidden.

    The names of the query stay, because they tell a signed URL from a search.
    """
    url = _hide_encoded(url)
    scheme = match[0] if (match := _SCHEME.match(url)) else ""
    rest = url[len(scheme) :]
    head, at, tail = rest.rpartition("@")
    if at and re.search(r"[?#]", head):
        return f"{scheme}{HIDDEN}"  # a query, or a password: what follows may be of either
    if at and not _PUBLIC.fullmatch(head):
        # only where no slash is in it, what stands before is surely no part of a path
        rest = tail if scheme and "/" not in head else f"{HIDDEN}@{tail}"
    place, mark, query = rest.partition("#")[0].partition("?")
    shown = _names(query)
    return f"{scheme}{place}{mark if shown else ''}{shown}"


def _hide_encoded(text: str) -> str:
    """Hide a user and a password of URLs that are percent-encoded as a whole."""

    def hidden(word: re.Match[str]) -> str:
        head, at, tail = word[0].rpartition("%40")
        return f"{HIDDEN}@{tail}" if at and "%3a" in head.lower() else word[0]

    return _WORD.sub(hidden, text) if "%40" in text else text


def _names(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    # A name without a value may itself be the secret (`?TOKEN`).
    return "&".join(f"{name}={HIDDEN}" if equals else HIDDEN for name, equals, _ in pairs)


def hide(text: str) -> str:
    """Return a sentence with passwords hidden and words without end cut."""
    text = _hide_encoded(text)
    shown = _QUOTED_OR_WORD.sub(_hidden, text) if "@" in text else text
    if "?" in shown:
        shown = _QUERY.sub(lambda url: f"{url[1]}?{_names(url[2])}", shown)
    return _ENDLESS.sub(lambda word: f"{word[1]}... ({len(word[0])} characters)", shown)


def quoted(value: str, most: int) -> str:
    """Return the beginning of somebody's text in quotes; cut only after passwords are hidden."""
    whole = repr(value)
    hidden = hide(whole)
    return repr(value[:most]) if hidden == whole else hidden[: most + 2]


def _hidden(match: re.Match[str]) -> str:
    word = match[0]
    digest = _DIGEST.search(word)
    named = word[: digest.start()] if digest else word
    head, at, _ = named.rpartition("@")
    if not at or _EXAMPLE in named:
        return word
    before, scheme, rest = head.rpartition("://")
    if scheme and _PUBLIC.fullmatch(rest):
        return word
    if ":" not in head:
        return word  # an address of mail, a unit of systemd: a name, and no password
    quote = word[0] if word[0] in "'\"" else ""
    name = before[len(before.rstrip(_IN_SCHEMES)) :]
    kept = f"{before}{scheme}" if scheme and _SCHEME.fullmatch(f"{name}://") else quote
    return f"{kept}{HIDDEN}@{word[len(head) + 1 :]}"
