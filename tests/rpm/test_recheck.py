"""Repodata against RPMs: every way in which they can disagree is named."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from primary import P, write_filelists, write_primary

from builder.errors import Fault
from builder.model.digest import Digest
from builder.model.rpm import Nevra
from builder.rpm.recheck import verify_repodata
from builder.rpm.repodata import MetadataFiles
from builder.rpm.subset import Rpm, metadata_file, write_subset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = P(nevra="one-1:1.0-1.el7.x86_64", files=("/usr/bin/one",))
TWO = P(nevra="two-2.0-1.noarch")


def rpm(package: P) -> Rpm:
    return Rpm(nevra=Nevra.parse(package.nevra), digest=Digest(package.pkgid), size=1000)


RPMS = [rpm(ONE), rpm(TWO)]
THIRD = Rpm(nevra=Nevra("three", 0, "3", "1", "noarch"), digest=Digest("3" * 64), size=3)


@pytest.fixture
def repodata(tmp_path: Path) -> Path:
    """Write the metadata of two RPMs, as locking does."""
    folder = tmp_path / "repodata"
    folder.mkdir()
    primary, filelists = tmp_path / "primary.xml", tmp_path / "filelists.xml"
    primary.write_text(write_primary((ONE, TWO)), "utf-8")
    filelists.write_text(write_filelists((ONE, TWO)), "utf-8")
    write_subset(MetadataFiles(name="os", primary=primary, filelists=filelists), RPMS, folder)
    return folder


def check(folder: Path, rpms: list[Rpm] = RPMS) -> list[Fault]:
    return verify_repodata(folder, rpms, where="yum/os/repodata").faults


def rewrite(folder: Path, kind: str, change: Callable[[str], str]) -> None:
    """Change a document and everything in repomd.xml that covers it."""
    path = metadata_file(folder, kind)
    before = path.read_bytes()
    plain = gzip.decompress(before)
    changed = change(plain.decode()).encode()
    assert changed != plain
    after = gzip.compress(changed, mtime=0)
    path.unlink()
    (folder / f"{hashlib.sha256(after).hexdigest()}-{kind}.xml.gz").write_bytes(after)
    repomd = folder / "repomd.xml"
    text = repomd.read_text("utf-8")
    for old, new in ((before, after), (plain, changed)):
        digests = (hashlib.sha256(one).hexdigest() for one in (old, new))
        text = text.replace(*digests)
        text = re.sub(rf"(size>){len(old)}(</)", rf"\g<1>{len(new)}\2", text)
    repomd.write_text(text, "utf-8")


def test_what_locking_wrote_is_right(repodata: Path) -> None:
    assert check(repodata) == []


def test_a_missing_and_a_superfluous_rpm_are_named(repodata: Path) -> None:
    assert check(repodata, [RPMS[0], THIRD]) == [
        Fault(where="yum/os/repodata: three-3-1.noarch", what="primary does not list this RPM"),
        Fault(
            where="yum/os/repodata: two-0:2.0-1.noarch",
            what="primary lists it, but the RPM is not here",
        ),
        Fault(
            where="yum/os/repodata/filelists", what="filelists lists other packages than primary"
        ),
        Fault(where="yum/os/repodata/other", what="other lists other packages than primary"),
    ]


def test_another_digest_and_size_are_named(repodata: Path) -> None:
    other = Rpm(nevra=RPMS[1].nevra, digest=Digest("2" * 64), size=999)
    found = check(repodata, [RPMS[0], other])
    assert found[:2] == [
        Fault(
            where="yum/os/repodata: two-2.0-1.noarch",
            what=f"its digest is {RPMS[1].digest.hex}",
            expected="2" * 64,
        ),
        Fault(where="yum/os/repodata: two-2.0-1.noarch", what="its size is 1000", expected="999"),
    ]


@pytest.mark.parametrize(
    ("change", "what", "expected"),
    [
        (
            lambda text: text.replace("Packages/one-", "../one-"),
            "its location is ../one-1.0-1.el7.x86_64.rpm",
            "Packages/one-1.0-1.el7.x86_64.rpm",
        ),
        (
            lambda text: text.replace(
                '<location href="Packages/one', '<location xml:base="http://x" href="Packages/one'
            ),
            "its base of locations is http://x",
            "None",
        ),
        (
            lambda text: text.replace('type="sha256"', 'type="sha"', 1),
            "its checksum type is sha",
            "sha256",
        ),
    ],
)
def test_every_difference_in_primary_is_named(
    repodata: Path, change: Callable[[str], str], what: str, expected: str
) -> None:
    rewrite(repodata, "primary", change)
    where = "yum/os/repodata: one-1:1.0-1.el7.x86_64"
    assert check(repodata) == [Fault(where=where, what=what, expected=expected)]


def test_a_package_that_is_listed_twice_is_named(repodata: Path) -> None:
    def twice(text: str) -> str:
        package = text[text.index("<package ") : text.index("</package>") + len("</package>")]
        return text.replace("</metadata>", f"{package}</metadata>")

    rewrite(repodata, "primary", twice)
    assert check(repodata) == [
        Fault(where="yum/os/repodata: one-1:1.0-1.el7.x86_64", what="primary lists it twice")
    ]


def test_filelists_of_other_packages_are_named(repodata: Path) -> None:
    rewrite(repodata, "filelists", lambda text: text.replace(TWO.pkgid, "4" * 64))
    assert check(repodata) == [
        Fault(where="yum/os/repodata/filelists", what="filelists lists other packages than primary")
    ]


def test_all_damage_is_reported_at_once(repodata: Path) -> None:
    paths = []
    for kind in ("filelists", "other"):
        path = metadata_file(repodata, kind)
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
        paths.append(f"yum/os/repodata/{path.name}")
    found = check(repodata)
    assert [fault.where for fault in found] == paths
    assert all(fault.what.startswith("the content is sha256:") for fault in found)


def test_every_flipped_bit_of_every_file_is_found(repodata: Path) -> None:
    for path in sorted(repodata.iterdir()):
        content = path.read_bytes()
        for place in range(0, len(content), 41):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            # a change of repomd.xml that means nothing to anybody is the digest's business
            assert check(repodata) or path.name == "repomd.xml", f"{path.name} {place}"
        path.write_bytes(content)
    assert check(repodata) == []


def test_files_that_are_missing_or_unknown_are_named(repodata: Path) -> None:
    other = metadata_file(repodata, "other")
    other.rename(repodata / "stray.xml.gz")
    found = check(repodata)
    assert found[:2] == [
        Fault(
            where="yum/os/repodata/repomd.xml",
            what=f"it names repodata/{other.name}, which is not here",
        ),
        Fault(where="yum/os/repodata/stray.xml.gz", what="repomd.xml does not name it"),
    ]
    assert len(found) == 3, "and that it can't be read"


def test_a_database_which_yum_would_take_before_all_else_is_refused(repodata: Path) -> None:
    path = repodata / "repomd.xml"
    text = path.read_text("utf-8")
    database = '<data type="primary_db"><location href="../../files/x.sqlite.bz2"/></data></repomd>'
    path.write_text(text.replace("</repomd>", database), "utf-8")
    assert check(repodata) == [
        Fault(
            where="yum/os/repodata/repomd.xml",
            what="it names a primary_db, which yum would believe",
        )
    ]


def test_more_packages_than_anybody_has_are_not_all_read(repodata: Path) -> None:
    def many(text: str) -> str:
        package = f"{text[text.index('<package ') : text.index('<summary>')]}</package>"
        return text.replace("</metadata>", f"{package * 110}</metadata>")

    rewrite(repodata, "primary", many)
    (fault, *_) = check(repodata)
    assert "it lists more than 102 packages" in fault.what


def test_a_repomd_that_leads_outside_is_refused(repodata: Path) -> None:
    primary = metadata_file(repodata, "primary")
    primary.rename(repodata.parent / primary.name)
    path = repodata / "repomd.xml"
    text = path.read_text("utf-8")
    path.write_text(text.replace(f"repodata/{primary.name}", f"../{primary.name}"), "utf-8")
    assert check(repodata)[0] == Fault(
        where="yum/os/repodata/repomd.xml", what=f"it names ../{primary.name}, which is not here"
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "no such file or directory"),
        (b"", "not well-formed XML: no element found: line 1, column 0"),
        (b"x" * ((1 << 20) + 9), "the file is larger than 1,048,576 bytes"),
        (b"<repomd/>", "the repository has no primary metadata that is XML"),
    ],
)
def test_without_repomd_nothing_is_right(repodata: Path, content: bytes | None, what: str) -> None:
    path = repodata / "repomd.xml"
    path.unlink() if content is None else path.write_bytes(content)
    faults = check(repodata)
    assert ("yum/os/repodata/repomd.xml", what) in [(fault.where, fault.what) for fault in faults]
