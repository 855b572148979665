"""The words that cluster.yaml, the catalog and options share: packages, paths, URLs, digests.

Every function is a ``parse`` of :class:`builder.formats.shape.Text`. No message repeats a text
that may hold credentials.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

from builder.formats.reading import MisfitError
from builder.host_port import LAST_PORT
from builder.model.digest import Digest
from builder.model.registry import Registry
from builder.model.source import SCHEME, is_url

PACKAGE = r"[A-Za-z0-9_][A-Za-z0-9_.+:~^-]*"
FILE_PATH = r"[A-Za-z0-9_+@=,:~][A-Za-z0-9._+@=,:~-]*(?:/[A-Za-z0-9_+@=,:~][A-Za-z0-9._+@=,:~-]*)*"
"""Relative, and no part of it begins with a dot or a dash; a lock takes the same."""
_SECRET = re.compile(
    r"(?i)token|secret|signature|^sig$|passw|credential|api_?key|access_?key|private_?key"
)
"""What of a URL's query opens something."""
_LOCAL_INSTEAD = "fetch the file yourself, and name it by its path"
_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
)
"""No letter that a shell, systemd or cloud-init reads as its own."""
_REGISTRY = re.compile(
    r"((?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?"
    r"(?:/([a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*))?"
)


def digest(text: str) -> Digest:
    """Read a SHA-256, with or without ``sha256:`` in front."""
    return Digest.parse(f"sha256:{text.removeprefix('sha256:')}")


def split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 -- raises where it is not a number
    except ValueError:
        raise MisfitError("this is not a URL") from None
    if parts.hostname and not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        raise MisfitError("the host of this URL is neither a name nor an address")
    return parts


def url(text: str) -> str:
    """Read an http or https URL without credentials."""
    parts = split_url(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise MisfitError("this is not a URL", hint="begin it with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise MisfitError("credentials in a URL would be visible to everyone on the machine")
    if not text.isascii() or not re.fullmatch(r"[!#-&(-;=?-_a-z~]+", text):
        raise MisfitError("this is not a URL")
    return text


def folder_url(text: str) -> str:
    """Read the URL of a folder: names of files are put behind it."""
    parts = split_url(text)
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise MisfitError("a folder's URL ends after its path")
    return url(text)


def registry(text: str) -> Registry:
    """Read ``HOST[:PORT][/PREFIX]``."""
    if "@" in text:
        raise MisfitError(
            "a registry's name holds no credentials", hint="use docker login for them"
        )
    if SCHEME.match(text):
        rest = text.partition("://")[2].rstrip("/")
        hint = f"write {rest}" if _REGISTRY.fullmatch(rest) else None
        raise MisfitError(f"{text!r} has a scheme", hint=hint)
    if text.endswith("/"):
        raise MisfitError(f"{text!r} ends in a slash", hint=f"write {text.rstrip('/')}")
    match = _REGISTRY.fullmatch(text)
    if not match:
        hint = f"write {text.lower()}" if _REGISTRY.fullmatch(text.lower()) else None
        raise MisfitError(f"{text!r} is not a registry", hint=hint)
    host, port, prefix = match.groups()
    if port and not (1 <= int(port[1:]) <= LAST_PORT):
        raise MisfitError(f"{text!r} has no valid port", hint=f"a number from 1 to {LAST_PORT}")
    if not (port or "." in host or host.startswith("[") or host == "localhost"):
        # container runtimes take a first part like this for a folder of Docker Hub
        raise MisfitError(f"{host!r} would be taken for a folder of Docker Hub", hint=f"{host}:443")
    return Registry(host=f"{host}{port or ''}", prefix=prefix or "")


def source(text: str) -> str:
    """Read where a file of the user's is: an http or https URL, or a local path."""
    if is_url(text):
        parts = split_url(text)
        if parts.username is not None or parts.password is not None:
            raise MisfitError("credentials in a URL would end up in the lock", hint=_LOCAL_INSTEAD)
        if secret := next((name for name, _ in parse_qsl(parts.query) if _SECRET.search(name)), ""):
            raise MisfitError(
                f"{secret[:40]!r} in a URL would end up in the lock", hint=_LOCAL_INSTEAD
            )
        if not parts.hostname or parts.port == 0 or not text.isascii() or " " in text:
            raise MisfitError("this is not a URL")
    elif SCHEME.match(text):
        scheme = text.partition("://")[0]
        hint = "write the path alone" if scheme.lower() == "file" else None
        hint = "write it in lower case" if scheme.lower() in {"http", "https"} else hint
        raise MisfitError(f"{scheme[:20]}:// is not supported", hint=hint)
    elif text.endswith("/"):
        raise MisfitError(f"{text!r} is a folder", hint="name one file")
    return text
