from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from builder.bundle import journal
from builder.bundle.journal import Claim, Journal, Past
from builder.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    import bundles

NOTHING = Past(claims={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.tar.journal"


def begin(path: Path, origin: bundles.Origin) -> Journal:
    return Journal(path, journal.read(path), origin.layout)


def test_no_journal_says_nothing(path: Path) -> None:
    assert journal.read(path) == NOTHING


def test_only_what_a_sync_covers_is_sure(path: Path, origin: bundles.Origin) -> None:
    first, second, third = origin.layout.fetched[:3]
    written = begin(path, origin)
    written.done(first)
    count = written.count
    written.done(second)
    written.synced(count)
    written.part(third.path, 17)
    written.close()
    past = journal.read(path)
    assert past.layout == origin.layout.digest.hex
    assert (past.lines, past.length) == (5, path.stat().st_size)
    assert past.claims == {
        first.path: Claim(
            size=first.size, sure=True, done=True, offset=first.offset, sha256=first.digest.hex
        ),
        second.path: Claim(
            size=second.size, done=True, offset=second.offset, sha256=second.digest.hex
        ),
        third.path: Claim(size=17),
    }


def test_the_last_word_counts(path: Path, origin: bundles.Origin) -> None:
    extent = origin.layout.fetched[0]
    written = begin(path, origin)
    written.done(extent)
    written.part(extent.path, 5)
    written.synced(written.count)
    written.close()
    assert journal.read(path).claims == {extent.path: Claim(size=5)}


def test_an_earlier_sync_is_not_written_again(path: Path, origin: bundles.Origin) -> None:
    written = begin(path, origin)
    written.synced(1)
    written.synced(1)
    written.synced(0)
    written.close()
    assert path.read_bytes().count(b"synced") == 1


@pytest.mark.parametrize("tail", [b'{"done": "x"', b"{}x\n", b"[1]\n", b"\xff\n", b"[" * 9999])
def test_a_torn_line_ends_it_and_is_written_over(
    path: Path, origin: bundles.Origin, tail: bytes
) -> None:
    written = begin(path, origin)
    written.part("a", 1)
    written.close()
    whole = path.read_bytes()
    path.write_bytes(whole + tail + b'\n{"part": "b", "bytes": 2}\n')
    assert journal.read(path).claims == {"a": Claim(size=1)}
    written = begin(path, origin)
    written.part("c", 3)
    written.close()
    assert path.read_bytes() == whole + b'{"part": "c", "bytes": 3}\n'
    assert journal.read(path).claims == {"a": Claim(size=1), "c": Claim(size=3)}


@pytest.mark.parametrize("count", ["true", "-1", "1.5", '"1"', "null"])
def test_a_count_that_is_none_counts_for_nothing(
    path: Path, origin: bundles.Origin, count: str
) -> None:
    begin(path, origin).close()
    extent = origin.layout.fetched[0]
    with path.open("a") as file:
        file.write(f'{{"part": "{extent.path}", "bytes": {count}}}\n{{"synced": {count}}}\n')
    assert journal.read(path).claims == {}


@pytest.mark.parametrize("head", [b"", b"{}\n", b'{"airseed": "journal", "format": 2}\n', b"x\n"])
def test_what_is_no_journal_of_ours_says_nothing(path: Path, head: bytes) -> None:
    path.write_bytes(head + b'{"part": "a", "bytes": 1}\n')
    assert journal.read(path) == NOTHING


def test_a_journal_of_another_lock_begins_anew(path: Path, origin: bundles.Origin) -> None:
    path.write_text(
        '{"airseed": "journal", "format": 1, "layout": "ab"}\n{"part": "a", "bytes": 1}\n'
    )
    begin(path, origin).close()
    past = journal.read(path)
    assert (past.layout, past.claims, past.lines) == (origin.layout.digest.hex, {}, 1)


def test_a_line_that_finds_no_space_leaves_nothing_behind(
    path: Path, origin: bundles.Origin
) -> None:
    written = begin(path, origin)
    written.part("a", 1)
    whole = path.read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 9, usual[1]))
    try:
        with pytest.raises(StorageError) as caught:
            written.part("b", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert str(caught.value) == f"{path}: file too large"
    assert path.read_bytes() == whole
    written.part("c", 3)
    written.close()
    assert journal.read(path).claims == {"a": Claim(size=1), "c": Claim(size=3)}


def test_a_link_is_not_followed(path: Path, origin: bundles.Origin) -> None:
    theirs = path.with_name("theirs")
    theirs.write_text("precious")
    path.symlink_to(theirs)
    with pytest.raises(StorageError) as caught:
        begin(path, origin)
    assert str(caught.value) == f"{path}: too many levels of symbolic links"
    assert caught.value.hint == "this is a symbolic link, which is not followed here: remove it"
    assert theirs.read_text() == "precious"
