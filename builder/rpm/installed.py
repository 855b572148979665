"""What a node has before our first package: ``rpm -qa`` output, and groups of comps.xml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault, VerificationError
from builder.model.rpm import Nevra
from builder.rpm.markup import read_markup

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LIST_LIMIT = 4 << 20
"""Bytes of the longest ``rpm -qa`` output that is read: some 50,000 packages."""
COMPS_LIMIT = 32 << 20
"""Bytes of the largest comps.xml that is read; CentOS 7's has 750 KB."""
_NONE = re.compile(r"\(none\):")
_BARE = re.compile(r"[A-Za-z0-9_.+-]+-[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+")
_WANTED = {"mandatory", "default", ""}
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,256}")


def parse_installed(content: bytes, *, document: str) -> tuple[Nevra, ...]:
    """Read what ``rpm -qa`` prints, one package a line; return them sorted, each once.

    ``NAME-VERSION-RELEASE.ARCH`` (the default, which leaves the epoch out) and ``%{NEVRA}`` are
    both read; empty lines, comments and gpg-pubkey entries are skipped. Raise DocumentError with
    every bad line.
    """
    if len(content) > LIST_LIMIT:
        fault = Fault(where="", what=f"{len(content):,} bytes", expected=f"at most {LIST_LIMIT:,}")
        raise DocumentError(document, [fault])
    packages: set[Nevra] = set()
    faults: list[Fault] = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(("#", "gpg-pubkey-")):
            continue
        try:
            packages.add(_package(text))
        except ValueError as error:
            hint = _advice(text)
            faults.append(Fault(where=f"line {number}", what=str(error), hint=hint))
    if not packages and not faults:
        what = "no package is listed"
        faults.append(Fault(where="", what=what, hint="an empty base is written `kind: empty`"))
    if faults:
        raise DocumentError(document, faults, hint="write the file with: rpm -qa > FILE")
    return tuple(sorted(packages))


def _package(text: str) -> Nevra:
    if text.endswith(".rpm"):
        raise ValueError(f"{text[:80]!r} names a file")
    package = Nevra.parse(_NONE.sub("", text))  # %{EPOCH} of a package without one
    if package.arch in {"src", "nosrc"}:
        raise ValueError(f"{text[:80]!r} is a source package")
    return package


def _advice(text: str) -> str | None:
    if text.endswith(".rpm"):
        return "these are names of packages, not of files: leave .rpm out"
    if _BARE.fullmatch(text) and not text.endswith((".src", ".nosrc")):
        return "the architecture is missing"
    return None


def parse_comps(content: bytes, group: str, *, where: str = "comps.xml") -> tuple[str, ...]:
    """Return the mandatory and default packages of a group, sorted.

    Conditional and optional ones are what an installer leaves out. Raise VerificationError for a
    damaged document or one without that group.
    """
    root = read_markup(content, "comps", where=where, largest=COMPS_LIMIT, typed=True)
    groups = {(element.findtext("id") or "").strip(): element for element in root.iter("group")}
    if group not in groups:
        some = ", ".join(sorted(name for name in groups if _NAME.fullmatch(name))[:20])
        raise VerificationError(
            f"there is no group {group!r}", where=where, hint=f"it has: {some}" if some else None
        )
    names = {
        _name(element, where)
        for element in groups[group].iter("packagereq")
        if element.get("type", "") in _WANTED
    }
    if not names:
        raise VerificationError(f"the group {group!r} has no packages", where=where)
    return tuple(sorted(names))


def _name(element: Element, where: str) -> str:
    text = (element.text or "").strip()
    if not _NAME.fullmatch(text):
        raise VerificationError(f"{text[:80]!r} is not the name of a package", where=where)
    return text
