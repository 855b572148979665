"""XML from strangers: no document type, no entities, bounded size, depth and count.

Repository metadata needs none of what makes XML dangerous, so all of it is refused.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from html import unescape
from typing import TYPE_CHECKING, BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from builder.errors import VerificationError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST = 32
_MOST = 2_000_000
_PROLOGUE = 1 << 16
_CHUNK = 1 << 20
_LONGEST = 1 << 13
_RICH = re.compile(rb"""\bname\s*=\s*(?:"(\([^"<]{0,8000})"|'(\([^'<]{0,8000})')""")


class _Refused(Exception):  # noqa: N818 -- how a callback leaves expat
    pass


class _Begun(Exception):  # noqa: N818 -- the same
    pass


def read_markup(
    content: bytes, root: str, *, where: str, largest: int, typed: bool = False
) -> Element:
    """Read a small document whole; return its root, tags without namespaces.

    ``largest`` is in bytes. A ``typed`` document may name a document type (as comps.xml does),
    which is not read, but never declare anything itself. Raise VerificationError for anything that
    is not well-formed, is too large or deep, declares a document type, or has another root.
    """
    if len(content) > largest:
        raise VerificationError(
            f"{len(content):,} bytes is too much for this document",
            where=where,
            expected=f"at most {largest:,} bytes",
        )
    tree = _Tree()
    parser = _parser(typed=typed)
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    _feed(parser, content, where, final=True)
    try:
        element = tree.close()
    except (ParseError, AssertionError) as error:  # TreeBuilder asserts that a root was closed
        raise VerificationError("the document is empty", where=where) from error
    if element.tag != root:
        raise VerificationError(
            f"the document begins with <{element.tag[:40]}>", where=where, expected=f"<{root}>"
        )
    return element


def check_prologue(path: Path, root: str, *, where: str) -> None:
    """Check that a document of any size begins with the right element and no document type.

    The rest is for the C library that reads it; without a document type there are no entities.
    The file may be compressed with gzip.
    """
    with opened(path, where) as file:
        content = file.read(_PROLOGUE)
    first: list[str] = []

    def start(tag: str, _attributes: dict[str, str]) -> None:
        first.append(_local(tag))
        raise _Begun

    parser = _parser()
    parser.StartElementHandler = start
    with contextlib.suppress(_Begun):
        _feed(parser, content, where, final=False)
    if first != [root]:
        began = f"the document begins with <{first[0][:40]}>" if first else "no element was found"
        raise VerificationError(began, where=where, expected=f"<{root}>")


@contextlib.contextmanager
def opened(path: Path, where: str) -> Iterator[BinaryIO]:
    """Open a document, plain or gzip, for reading; raise VerificationError when that fails."""
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_gzip else file
    except (OSError, EOFError, zlib.error) as error:
        what = reason(error) if isinstance(error, OSError) else str(error)
        raise VerificationError(what, where=where) from error


def rich_dependencies(primary: Path, *, where: str) -> set[str]:
    """Find the ``(a or b)`` in a primary, plain or gzip, without parsing it.

    libsolv drops those that it can't read without a word. EL7 has none, newer systems have some
    hundred. Raise VerificationError for a damaged file.
    """
    dependencies: set[bytes] = set()
    rest = b""
    with opened(primary, where) as file:
        while chunk := file.read(_CHUNK):
            content = rest + chunk
            dependencies.update(double or single for double, single in _RICH.findall(content))
            rest = content[-_LONGEST:]
    return {unescape(text.decode("utf-8", "replace")) for text in dependencies}


class _Tree:
    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self.data, self.close = self._builder.data, self._builder.close
        self._depth = 0
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > _DEEPEST:
            raise _Refused(f"elements are nested more than {_DEEPEST} deep")
        if self._count > _MOST:
            raise _Refused(f"there are more than {_MOST:,} elements")
        self._builder.start(_local(tag), {_local(key): text for key, text in attributes.items()})

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _parser(*, typed: bool = False) -> expat.XMLParserType:
    def doctype(_name: str, _system: str | None, _public: str | None, inner: int) -> None:
        if inner or not typed:
            refuse()

    def skipped(*_: object) -> None:
        raise _Refused("it needs an entity that it does not declare")

    def refuse(*_: object) -> None:
        raise _Refused("it declares a document type, which repository metadata never needs")

    # the encoding is ours to say: all metadata is UTF-8, and a document could name odd codecs
    parser = expat.ParserCreate("utf-8", "}")
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = refuse
    parser.SkippedEntityHandler = skipped
    parser.buffer_text = True
    return parser


def _feed(parser: expat.XMLParserType, content: bytes, where: str, *, final: bool) -> None:
    try:
        parser.Parse(content, final)
    except _Refused as error:
        raise VerificationError(f"the document is refused: {error}", where=where) from error
    except expat.ExpatError as error:
        raise VerificationError(
            f"not well-formed XML: {error}",
            where=where,
            hint="a login page or a proxy's error page looks like this",
        ) from error
