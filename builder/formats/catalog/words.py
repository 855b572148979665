"""The words of a catalog's files: names, versions, addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.formats import terms
from builder.formats.reading import MisfitError
from builder.formats.records import ListOf, MapOf
from builder.formats.shape import Text
from builder.model.reference import Reference
from builder.model.source import is_url

if TYPE_CHECKING:
    from typing import Any

    from builder.formats.shape import Shape

NAME = r"[a-z][a-z0-9.-]{0,62}"
SERIES = r"(?:0|[1-9][0-9]{0,3})\.[0-9]{1,4}"
_EVR = r"(?:[0-9]{1,10}:)?[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+"


def url(text: str) -> str:
    """Read a URL with nothing after its path."""
    if not is_url(text):
        raise MisfitError(f"{text!r} is not a URL")
    terms.source(text)
    if urlsplit(text).query or urlsplit(text).fragment:
        raise MisfitError(f"{text!r} has more than a path")
    return text


def _folder(text: str) -> str:
    if not text.endswith("/"):
        raise MisfitError(f"{text!r} does not end in a slash", hint=f"write {text}/")
    url(f"{text}x")
    return text


def prefix(text: str) -> str:
    """Read the first parts of an image's name, its registry included."""
    # two parts below it, since one alone means another folder (library/) on Docker Hub
    if Reference.parse(f"{text}/x/y").repository != f"{text}/x/y":
        raise MisfitError(f"{text!r} does not begin with a registry's host")
    return text


def word(pattern: str, expected: str, example: str) -> Text[str]:
    return Text(pattern=pattern, expected=expected, example=example)


ENTRY = word(NAME, "the name of an entry", "centos-7.6")
SERIES_NAME = word(SERIES, "major and minor version", "1.18")
VERSION = word(r"[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}", "a version", "3.10")
TAG = word(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", "a tag", "3.4.3-0")
EVR = word(rf"{_EVR}|\$version-[A-Za-z0-9_.+~^]+", "[EPOCH:]VERSION-RELEASE", "0.8.6-0")
PACKAGE_NAME = word(terms.PACKAGE, "a package's name", "conntrack-tools")
API_VERSION = r"v1(?:(?:alpha|beta)[0-9]+)?"
FILE_NAME = word(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "a file's name", "calico.yaml")
URLS = ListOf(Text(parse=url, expected="a URL", example="https://example.com/key.asc"), least=1)
FOLDERS = ListOf(
    Text(parse=_folder, expected="the URL of a folder", example="https://example.com/el7/"), least=1
)
NAMES = ListOf(ENTRY, least=1)
DIGEST: Text[Any] = Text(parse=terms.digest, expected="64 lower-case hexadecimal digits")
BY_FAMILY = MapOf(ENTRY, key=NAME)


def by_patch(shape: Shape[Any]) -> MapOf[Any]:
    return MapOf(shape, key=r"0|[1-9][0-9]{0,3}", parse=int)
