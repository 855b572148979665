"""XML from strangers: what makes XML dangerous is refused."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from builder.errors import VerificationError
from builder.rpm import markup
from builder.rpm.markup import check_prologue, read_markup, rich_dependencies

if TYPE_CHECKING:
    from pathlib import Path

LAUGHS = b"""<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><r>&b;</r>"""
OUTSIDE = b"""<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>"""
TYPED = b"""<!DOCTYPE r SYSTEM "r.dtd"><r>text</r>"""
REFUSED = (
    "os: the document is refused: it declares a document type, which repository metadata"
    " never needs"
)


def read(content: bytes, *, typed: bool = False, largest: int = 1 << 20) -> str:
    found = read_markup(content, "r", where="os", largest=largest, typed=typed)
    return "".join(found.itertext())


def refused(content: bytes, *, typed: bool = False) -> str:
    with pytest.raises(VerificationError) as caught:
        read(content, typed=typed)
    return str(caught.value)


def test_namespaces_are_left_out() -> None:
    content = b'<x:r xmlns:x="urn:x" x:a="1"><x:b xml:base="u">text</x:b></x:r>'
    root = read_markup(content, "r", where="os", largest=1000)
    assert (root.tag, root.attrib) == ("r", {"a": "1"})
    [inner] = root
    assert (inner.tag, inner.attrib, inner.text) == ("b", {"base": "u"}, "text")


@pytest.mark.parametrize("content", [LAUGHS, OUTSIDE])
@pytest.mark.parametrize("typed", [False, True])
def test_entities_are_refused(content: bytes, typed: bool) -> None:
    assert refused(content, typed=typed) == REFUSED


def test_a_type_that_declares_nothing_may_be_named_where_that_is_usual() -> None:
    assert read(TYPED, typed=True) == "text"
    assert refused(TYPED) == REFUSED


def test_external_entities_of_a_type_are_not_read() -> None:
    content = b"""<!DOCTYPE r SYSTEM "file:///etc/passwd"><r>&x;</r>"""
    assert refused(content, typed=True) == (
        "os: the document is refused: it needs an entity that it does not declare"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "os: not well-formed XML: no element found: line 1, column 0"),
        (b"<r>\xff</r>", "os: not well-formed XML: not well-formed (invalid token): "),
        (b"<r/><r/>", "os: not well-formed XML: junk after document element: "),
        (b"<s/>", "os: the document begins with <s> (expected <r>)"),
        (b"<r>" * 33, "os: the document is refused: elements are nested more than 32 deep"),
        (b"<r>" + b"<a/>" * 300_000, "os: 1,200,003 bytes is too much for this document"),
    ],
)
def test_what_is_damaged_or_too_much_is_refused(content: bytes, message: str) -> None:
    assert refused(content).startswith(message)


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "_MOST", 1000)
    assert read(b"<r>" + b"<a/>" * 999 + b"</r>") == ""
    assert refused(b"<r>" + b"<a/>" * 1000 + b"</r>") == (
        "os: the document is refused: there are more than 1,000 elements"
    )


def test_the_encoding_is_not_the_documents_to_choose() -> None:
    text = '<?xml version="1.0" encoding="utf-7"?><r>+ADw-</r>'
    assert read(text.encode()) == "+ADw-"


def prologue(tmp_path: Path, content: bytes) -> str | None:
    path = tmp_path / "primary.xml"
    path.write_bytes(content)
    try:
        check_prologue(path, "metadata", where="os: primary")
    except VerificationError as error:
        return str(error)
    return None


def test_the_beginning_of_large_documents_is_checked(tmp_path: Path) -> None:
    good = b'<?xml version="1.0"?>\n<metadata packages="9">' + b"<package/>" * 10_000
    assert prologue(tmp_path, good) is None
    assert prologue(tmp_path, gzip.compress(good)) is None
    assert prologue(tmp_path, b"<!DOCTYPE metadata>" + good) is not None
    assert prologue(tmp_path, b"<filelists>") == (
        "os: primary: the document begins with <filelists> (expected <metadata>)"
    )
    late = b"<!-- " + b"x" * (1 << 17) + b" --><metadata>"
    assert prologue(tmp_path, late) == "os: primary: no element was found (expected <metadata>)"


def test_a_prologue_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"<metadata>" + bytes(range(256)) * 100)
    assert str(prologue(tmp_path, packed[:40])).startswith("os: primary: ")
    with pytest.raises(VerificationError) as caught:
        check_prologue(tmp_path / "absent", "metadata", where="os: primary")
    assert str(caught.value) == "os: primary: no such file or directory"


@pytest.mark.parametrize("packed", [False, True])
def test_rich_dependencies_are_found_wherever_they_stand(tmp_path: Path, packed: bool) -> None:
    entry = '<rpm:entry name="{}"/>'
    names = ("(a or b)", "(a &gt;= 1 if b)", "plain", "config(x) ", "((deep")
    filling = "<!-- " + "x" * ((1 << 20) - 30) + " -->"  # the next one lies across two reads
    text = filling + entry.format("(a and b)") + "".join(map(entry.format, names))
    path = tmp_path / "primary.xml"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert rich_dependencies(path, where="os: primary") == {
        "(a and b)",
        "(a or b)",
        "(a >= 1 if b)",
        "((deep",
    }
