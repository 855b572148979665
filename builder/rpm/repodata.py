"""repomd.xml: which metadata files a repository has, with their checksums and sizes.

There is no specification; createrepo_c and yum are the reference. Nothing here is trusted: sizes
are bounded, weak checksums refused, and hrefs only ever lead to the repository's own host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import quote, urljoin, urlsplit

from builder.errors import Fault, VerificationError
from builder.model.digest import Digest
from builder.rpm.markup import read_markup
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from xml.etree.ElementTree import Element

REPOMD_LIMIT = 1 << 20
"""Bytes of the largest repomd.xml that is read; CentOS's have 4 KiB."""
_FILE_LIMIT = 1 << 31
_HEX = {"sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_WEAK = {"md5", "sha", "sha1"}
_LONGEST = 2048
_TYPE = re.compile(r"[a-z0-9_.-]{1,64}")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\?#]|^[A-Za-z][A-Za-z0-9+.-]*:|^//")

Algorithm = Literal["sha224", "sha256", "sha384", "sha512"]


@dataclass(frozen=True, slots=True, order=True)
class Checksum:
    algorithm: Algorithm
    hex: str

    @property
    def digest(self) -> Digest | None:
        return Digest(self.hex) if self.algorithm == "sha256" else None

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepomdRecord:
    """Describe one metadata file; sizes are bytes, None where repomd.xml does not say."""

    type: str
    href: str
    checksum: Checksum
    size: int | None = None
    open_checksum: Checksum | None = None
    """Of the file after decompression."""
    open_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataFiles:
    """Name a repository's metadata files, plain or gzip."""

    name: str
    """Of the repository."""
    primary: Path
    filelists: Path | None = None
    """Needed for dependencies on files that primary does not list."""
    other: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repomd:
    records: tuple[RepomdRecord, ...]
    unread: tuple[str, ...] = ()
    """Types that nobody here reads, and whose records were not looked at: databases."""

    def find(self, *types: str) -> RepomdRecord | None:
        by_type = {record.type: record for record in self.records}
        return next((by_type[kind] for kind in types if kind in by_type), None)

    def need(self, kind: str, *, where: str) -> RepomdRecord:
        """Return the record of a type; raise VerificationError when there is none."""
        record = self.find(kind)
        if record is None:
            types = sorted({record.type for record in self.records} | {*self.unread})
            hint = f"it has: {plain(', '.join(types)) or 'nothing'}"
            if any(one in types for one in (f"{kind}_db", f"{kind}_zck")):
                hint += (
                    "; databases and zchunk are not read here: have the mirror's owner write XML,"
                    " too (`createrepo_c --no-database FOLDER`), or take another mirror"
                )
            raise VerificationError(
                f"the repository has no {kind} metadata that is XML", where=where, hint=hint
            )
        return record


def parse_repomd(content: bytes, *, where: str = "repomd.xml") -> Repomd:
    """Read repomd.xml strictly; raise VerificationError with one fault a bad record."""
    root = read_markup(content, "repomd", where=where, largest=REPOMD_LIMIT)
    faults: list[Fault] = []
    records: list[RepomdRecord] = []
    unread: list[str] = []
    seen: set[str] = set()
    for element in root.iter("data"):
        kind = element.get("type", "")
        try:
            record = _record(element, kind, seen)
        except ValueError as error:
            faults.append(Fault(where=f"{where}: {kind[:64]!r}", what=str(error)))
            continue
        if record:
            records.append(record)
        else:
            unread.append(kind)
    if faults:
        raise VerificationError(
            f"{len(faults)} of its records can't be used: {faults[0].what}",
            where=where,
            faults=faults,
        )
    return Repomd(records=tuple(records), unread=tuple(unread))


def _record(element: Element, kind: str, seen: set[str]) -> RepomdRecord | None:
    """Read one ``<data>``; return None for databases, which nobody here reads."""
    if not _TYPE.fullmatch(kind) or kind in seen:
        raise ValueError("it is not a type of metadata, or is there twice")
    seen.add(kind)
    if kind.endswith(("_db", "_zck")):
        return None
    location = element.find("location")
    href = "" if location is None else location.get("href", "")
    _check_href(href)
    if location is not None and location.get("base"):
        raise ValueError(
            "its xml:base sends us to another place, which is refused: take that place as a source"
            " of the repository instead, or write the metadata without --baseurl"
        )
    checksum = _checksum(element.find("checksum"))
    if checksum is None:
        raise ValueError("it has no checksum")
    return RepomdRecord(
        type=kind,
        href=href,
        checksum=checksum,
        size=_size(element, "size"),
        open_checksum=_checksum(element.find("open-checksum")),
        open_size=_size(element, "open-size"),
    )


def _checksum(element: Element | None) -> Checksum | None:
    if element is None:
        return None
    kind = element.get("type", "").lower()
    text = (element.text or "").strip().lower()
    if kind in _WEAK:
        raise ValueError(f"its checksum is {kind.upper()}, which proves nothing any more")
    if kind not in _HEX:
        raise ValueError(f"{kind[:40]!r} is not a known kind of checksum")
    if not re.fullmatch(rf"[0-9a-f]{{{_HEX[kind]}}}", text):
        raise ValueError(f"{text[:140]!r} is not a {kind} checksum")
    return Checksum(cast("Algorithm", kind), text)


def _size(element: Element, name: str) -> int | None:
    text = element.findtext(name)
    if text is None:
        return None
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > _FILE_LIMIT:
        raise ValueError(f"{text[:40]!r} is not a sensible {name}")
    return int(text)


def resolve_href(
    base_url: str,
    href: str,
    *,
    location_base: str | None = None,
    trusted: Iterable[str] = (),
) -> str:
    """Return the URL of a file that metadata names, below or beside the repository's URL.

    Google's old repositories kept RPMs in ``../../pool/`` and put their digests into the names, so
    an href may climb, but never to another host or scheme; ``location_base``, the ``xml:base`` of
    a package, may only where one of the URLs in ``trusted`` is. What a file is called here is never
    taken from an href: see ``Nevra.filename``. Raise VerificationError for anything else.
    """
    base = base_url if base_url.endswith("/") else f"{base_url}/"
    try:
        _check_href(href)
        home = urlsplit(base)
        if location_base:
            base = urljoin(base, f"{location_base.rstrip('/')}/")
        target = urlsplit(urljoin(base, quote(href, safe="/%+~^:@!$&'()*,;=")))
    except ValueError as error:
        raise VerificationError(str(error), where=_redacted(base_url)) from error
    homes = [home, *map(urlsplit, trusted)]
    if (target.scheme, target.netloc) not in {(one.scheme, one.netloc) for one in homes}:
        there = f"{target.scheme}://{target.hostname}"
        raise VerificationError(
            f"the metadata points to {there}",
            where=_redacted(base_url),
            expected=f"files on {home.hostname or 'this machine'} only",
            hint=f"if you trust it, add a URL of {there} to the repository's `sources` in a catalog"
            " of your own (--catalog); on a mirror of your own, run createrepo_c without --baseurl",
        )
    return target.geturl()


def _check_href(href: str) -> None:
    if not href:
        raise ValueError("it has no location")
    if len(href) > _LONGEST or _UNFIT.search(href) or not href.isprintable():
        raise ValueError(f"{href[:80]!r} is not a location inside a repository")


def _redacted(url: str) -> str:
    """Leave out what may be secret; rpm may not look into http, whose redact does this at large."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the repository"
    return parts._replace(netloc=host, query="", fragment="").geturl()
