from __future__ import annotations

import pytest

from builder.errors import Fault, VerificationError
from builder.rpm.repodata import Checksum, Repomd, RepomdRecord, parse_repomd, resolve_href

SUM = "a" * 64
OPEN = "b" * 64


def repomd(inner: str) -> bytes:
    return f'<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo">{inner}</repomd>'.encode()


def data(kind: str = "primary", more: str = "", *, href: str = "repodata/p.xml.gz") -> str:
    return (
        f'<data type="{kind}"><checksum type="sha256">{SUM}</checksum>'
        f'<location href="{href}"/>{more}</data>'
    )


def test_records_are_read_and_databases_left_out() -> None:
    more = (
        f'<open-checksum type="sha512">{"c" * 128}</open-checksum>'
        "<size>10</size><open-size>20</open-size>"
    )
    found = parse_repomd(
        repomd(f"<revision>1593561600</revision>{data(more=more)}{data('primary_db')}")
    )
    record = RepomdRecord(
        type="primary",
        href="repodata/p.xml.gz",
        checksum=Checksum("sha256", SUM),
        size=10,
        open_checksum=Checksum("sha512", "c" * 128),
        open_size=20,
    )
    assert found == Repomd(records=(record,), unread=("primary_db",))
    assert found.find("group_gz", "primary") == record
    assert str(record.checksum.digest) == f"sha256:{SUM}"
    assert record.open_checksum is not None
    assert record.open_checksum.digest is None


def test_a_missing_kind_says_what_there_is() -> None:
    with pytest.raises(VerificationError) as caught:
        parse_repomd(repomd(data())).need("filelists", where="docker")
    assert str(caught.value) == "docker: the repository has no filelists metadata that is XML"
    assert caught.value.hint == "it has: primary"


@pytest.mark.parametrize("packed", ["primary_db", "primary_zck"])
def test_a_repository_of_databases_is_told_what_it_has(packed: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_repomd(repomd(data(packed))).need("primary", where="docker")
    assert caught.value.hint == (
        f"it has: {packed}; databases and zchunk are not read here: have the mirror's owner write"
        " XML, too (`createrepo_c --no-database FOLDER`), or take another mirror"
    )


def test_every_bad_record_is_reported() -> None:
    weak = (
        f'<data type="other"><checksum type="sha">{"a" * 40}</checksum><location href="o"/></data>'
    )
    content = repomd(
        data(href="/etc/\\x") + weak + data("group", "<size>-1</size>") + data("filelists")
    )
    with pytest.raises(VerificationError) as caught:
        parse_repomd(content, where="os")
    assert caught.value.faults == (
        Fault(where="os: 'primary'", what="'/etc/\\\\x' is not a location inside a repository"),
        Fault(where="os: 'other'", what="its checksum is SHA, which proves nothing any more"),
        Fault(where="os: 'group'", what="'-1' is not a sensible size"),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "os: not well-formed XML: no element found: line 1, column 0"),
        (b"<html>", "os: not well-formed XML: no element found: line 1, column 6"),
        (b"<html/>", "os: the document begins with <html> (expected <repomd>)"),
        (
            b'<!DOCTYPE repomd [<!ENTITY a "aaaa">]><repomd>&a;</repomd>',
            (
                "os: the document is refused: it declares a document type, which repository"
                " metadata never needs"
            ),
        ),
        (
            b"<repomd>" * 40,
            "os: the document is refused: elements are nested more than 32 deep",
        ),
        (
            b" " * (1 << 20) + b"x",
            "os: 1,048,577 bytes is too much for this document (expected at most 1,048,576 bytes)",
        ),
    ],
)
def test_what_is_no_repomd_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_repomd(content, where="os")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("base", "href", "url"),
    [
        ("https://h/a/b", "Packages/x.rpm", "https://h/a/b/Packages/x.rpm"),
        ("https://h/a/b/", "../../pool/1-x.rpm", "https://h/pool/1-x.rpm"),
        ("https://h/a/", "../../../../x.rpm", "https://h/x.rpm"),
        ("https://h:8/a/", "x+y~1^2.rpm", "https://h:8/a/x+y~1^2.rpm"),
        ("https://h/a/", "x%2By.rpm", "https://h/a/x%2By.rpm"),
        ("https://h/a/", "/abs/x.rpm", "https://h/abs/x.rpm"),
        ("file:///srv/a/", "Packages/x.rpm", "file:///srv/a/Packages/x.rpm"),
        ("https://u:p@h/a/", "x.rpm", "https://u:p@h/a/x.rpm"),
    ],
)
def test_hrefs_lead_anywhere_on_the_same_host(base: str, href: str, url: str) -> None:
    assert resolve_href(base, href) == url


@pytest.mark.parametrize(
    "href",
    [
        "",
        "//evil/x",
        "http://evil/x",
        "javascript:x",
        "a b",
        "a\nb",
        "a?b",
        "a#b",
        "\\\\x",
        "x" * 3000,
    ],
)
def test_hrefs_that_leave_are_refused(href: str) -> None:
    with pytest.raises(VerificationError):
        resolve_href("https://h/a/", href)


def test_a_base_of_a_package_may_not_leave_the_host_either() -> None:
    assert resolve_href("https://h/a/", "x.rpm", location_base="https://h/b") == "https://h/b/x.rpm"
    both = ("https://h/a/", "https://other/c/")
    found = resolve_href("https://h/a/", "x.rpm", location_base="https://other/b", trusted=both)
    assert found == "https://other/b/x.rpm"
    for trusted in ((), ("http://other/", "https://other:8443/")):
        with pytest.raises(VerificationError) as caught:
            resolve_href("https://h/a/", "x.rpm", location_base="https://other/b", trusted=trusted)
        assert "add a URL of https://other to the repository's `sources`" in str(caught.value.hint)
    with pytest.raises(VerificationError) as caught:
        resolve_href("https://u:secret@h/a/?key=secret", "x.rpm", location_base="http://h/b")
    assert (
        str(caught.value)
        == "https://h/a/: the metadata points to http://h (expected files on h only)"
    )
