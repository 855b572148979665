"""What a node has before our first package: ``rpm -qa`` output, and groups of comps.xml."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault, VerificationError
from builder.model.rpm import Nevra
from builder.rpm.markup import read_markup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from xml.etree.ElementTree import Element

LIST_LIMIT = 4 << 20
"""Bytes of the longest ``rpm -qa`` output that is read: some 50,000 packages."""
COMPS_LIMIT = 32 << 20
"""Bytes of the largest comps.xml that is read; CentOS 7's has 750 KB."""
_LONGEST = 1000
"""Characters of a line that are looked at; no package's name has so many."""
_NONE = re.compile(r"\(none\):")
_ARCHES = frozenset(
    """noarch x86_64 amd64 ia32e i386 i486 i586 i686 athlon geode aarch64 armv6hl armv7l armv7hl
    armv7hnl ppc ppc64 ppc64le ppc64p7 s390 s390x riscv64 src nosrc""".split()  # noqa: SIM905 -- one to a word reads better
)
"""What ends a package's name; in a list without architectures a release like ``31.el7`` would."""
_BARE = re.compile(r"[A-Za-z0-9_.+-]+-(?:[0-9]+:)?[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+")
_HEADING = re.compile(
    r"(?i)(?:installed|available|loaded plugins|loading mirror|last metadata|repodata)"
    r"[\w ]*[:.]?.*|\* [\w-]+: .*|[\w-]+ +: .*"
)
"""What yum and dnf print around a list, when the packages are columns."""
_COLUMNS = re.compile(
    r"([A-Za-z0-9_.+-]+)\.([a-z0-9_]+)\s+([A-Za-z0-9_.+~^:-]+-[A-Za-z0-9_.+~^]+)(?:\s+\S+)?"
)
"""``yum list installed``: NAME.ARCH, [EPOCH:]VERSION-RELEASE, and the repository."""
_AVAILABLE = re.compile(r"\S+\.[a-z0-9_]+\s+\S+-\S+\s+(?!installed$)[^@\s]\S*")
"""The same of what is not installed: before the repository of what is there stands an @."""
_DIGIT = re.compile("[0-9]")
_DATED = re.compile(r"(\S+)\s{2,}\S.*[0-9]{2}:[0-9]{2}:[0-9]{2}.*")
"""``rpm -qa --last``: the package, and when it was installed."""
_WRITE = "rpm -qa --qf '%{NEVRA}\\n' > FILE"
_SAVE = "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE; Windows PowerShell writes UTF-16"
_DEBIAN = re.compile(
    r"(?:ii|rc|hi) +[a-z0-9]|Desired=|[a-z0-9.+-]+/\S*,?\S* \S+ (?:amd64|all|arm64)"
)
_ANYWHERE = frozenset({"noarch", "i386", "i486", "i586", "i686"})
_SYSTEM = re.compile(r"\.((?:el|fc)[0-9]+)")
_GZIP = b"\x1f\x8b"
_WANTED = {"mandatory", "default", ""}
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,256}")


def parse_installed(
    content: bytes, *, document: str, architecture: str = "", system: str = ""
) -> tuple[Nevra, ...]:
    """Read a list of packages as people save it, one a line; return them sorted, each once.

    Read are ``rpm -qa`` (which leaves the epoch out), ``%{NEVRA}``, ``rpm -qa --last``, the
    columns of ``yum list installed``, and parts of a name with blanks between. Empty lines,
    comments and gpg-pubkey entries are skipped. Raise DocumentError with every bad line, and for a
    list of machines that have another ``architecture`` or ``system`` (``el7``).
    """
    if len(content) > LIST_LIMIT:
        fault = Fault(where="", what=f"{len(content):,} bytes", expected=f"at most {LIST_LIMIT:,}")
        raise DocumentError(document, [fault])
    if content.startswith(_GZIP):
        fault = Fault(where="", what="is compressed with gzip", hint="unpack it first: gzip -d")
        raise DocumentError(document, [fault])
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        fault = Fault(where="", what="is not UTF-8", hint=_SAVE)
        raise DocumentError(document, [fault])
    lines = [*_packages(content.decode("utf-8-sig", "replace"))]
    packages: set[Nevra] = set()
    faults: list[Fault] = []
    for number, text in lines:
        try:
            packages.add(_package(text))
        except ValueError as error:
            hint = _advice(text)
            faults.append(Fault(where=f"line {number}", what=str(error), hint=hint))
    other = "" if packages else _other([text for _, text in lines])
    if other:
        fault = Fault(where="", what=other, hint=f"write it on a node: {_WRITE}")
        raise DocumentError(document, [fault])
    faults += _foreign(packages, architecture, system)
    if not packages and not faults:
        what = "no package is listed"
        faults.append(Fault(where="", what=what, hint="an empty base is written `base: empty`"))
    if faults:
        raise DocumentError(document, faults, hint=f"write the file with: {_WRITE}")
    return tuple(sorted(packages))


def _other(texts: Sequence[str]) -> str:
    """Say what a list is that has no package in it as RPM names them."""
    if any(_DEBIAN.match(text) for text in texts):
        return "this list is of Debian's packages, not of RPMs"
    if texts and all(_BARE.fullmatch(text) and not _has_architecture(text) for text in texts):
        return "this list has no architectures"
    if len(texts) > 1 and all(_NAME.fullmatch(text) for text in texts):
        return "this list has names without versions"
    return ""


def _foreign(packages: Collection[Nevra], architecture: str, system: str) -> Iterator[Fault]:
    """Yield why a list is not of a node; what is there of another system may be a vendor's own."""
    hint = "write the list on a machine like the nodes"
    arches = Counter(one.arch for one in packages if one.arch not in _ANYWHERE)
    if architecture and arches and architecture not in arches:
        what = f"this list is of machines with {arches.most_common(1)[0][0]}"
        yield Fault(where="", what=what, expected=architecture, hint=hint)
    found = (_SYSTEM.search(one.release) for one in packages)
    systems = Counter(match[1] for match in found if match)
    if system and systems and system not in systems:
        what = f"this list is of a system whose packages are called .{systems.most_common(1)[0][0]}"
        yield Fault(where="", what=what, expected=f".{system}", hint=hint)


def _packages(text: str) -> Iterator[tuple[int, str]]:
    """Yield what stands for a package, each with its line; lines that yum wrapped are joined."""
    lines = [line[:_LONGEST] for line in text.splitlines()]
    listed = any(_COLUMNS.fullmatch(line.strip()) for line in lines)
    begun = ""
    for number, line in enumerate(lines, 1):
        text = f"{begun} {line.strip()}".strip()
        begun = ""
        following = lines[number] if number < len(lines) else ""
        if not text or _NONE.sub("", text).startswith(("#", "gpg-pubkey")):
            continue
        if listed and _HEADING.fullmatch(text):
            continue
        if listed and len(text.split()) == 1 and following[:1].isspace():
            begun = text
            continue
        # `yum list` has what could be installed, too, and headings in the machine's language
        if listed and (_AVAILABLE.fullmatch(text) or not _DIGIT.search(text)):
            continue
        yield number, _as_one(text)


def _as_one(text: str) -> str:
    """Return a package as one word, whichever columns it was printed in, or named as a file."""
    if text.endswith(".rpm"):
        text = text.rpartition("/")[2].removesuffix(".rpm")
    columns = _COLUMNS.fullmatch(text)
    if columns and columns[2] in _ARCHES:
        return f"{columns[1]}-{columns[3]}.{columns[2]}"
    dated = _DATED.fullmatch(text)
    if dated:
        return dated[1]
    words = text.replace("\t", " ").replace(",", " ").replace(";", " ").split()
    if len(words) in {3, 4} and words[-1] in _ARCHES:
        return f"{'-'.join(words[:-1])}.{words[-1]}"
    return text


def _has_architecture(text: str) -> bool:
    return text.rpartition(".")[2] in _ARCHES


def _package(text: str) -> Nevra:
    package = Nevra.parse(_NONE.sub("", text))  # %{EPOCH} of a package without one
    if package.arch not in _ARCHES:
        raise ValueError(f"{text[:80]!r} has no architecture that RPM knows")
    if package.arch in {"src", "nosrc"}:
        raise ValueError(f"{text[:80]!r} is a source package")
    return package


def _advice(text: str) -> str | None:
    if _BARE.fullmatch(text) and not _has_architecture(text):
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
