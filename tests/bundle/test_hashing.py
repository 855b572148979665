from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from builder.bundle.hashing import Item, hash_all
from builder.errors import Fault, VerificationError
from builder.model.digest import Digest
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable


class Raw(io.RawIOBase):
    """Be a file of given bytes that remembers nothing and may fail."""

    def __init__(self, content: bytes, fails: OSError | None = None) -> None:
        self._content = io.BytesIO(content)
        self._fails = fails

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if self._fails:
            raise self._fails
        return self._content.readinto(buffer)


def item(path: str, content: bytes, found: bytes | None = None, **how: OSError) -> Item:
    shown = content if found is None else found
    return Item(
        path=path,
        size=len(content),
        digest=Digest.of(content),
        open=lambda: io.BufferedReader(Raw(shown, **how)),
    )


def check(
    *items: Item, inspect: Callable[[str, io.BufferedReader], None] | None = None
) -> list[Fault]:
    with Silent().progress("x", None) as progress:
        return hash_all(items, progress, workers=3, inspect=inspect)


def test_right_bytes_have_no_faults() -> None:
    assert check() == []
    assert check(item("a", b"x" * 3_000_000), item("b", b""), item("c", b"y")) == []


def test_all_that_is_wrong_is_told_in_order() -> None:
    found = check(
        item("d", b"hello", b"hell"),
        item("c", b"hello", b"HELLO"),
        item("b", b"fine"),
        item("a", b"hello", fails=OSError(5, "Input/output error")),
    )
    assert [str(fault) for fault in found] == [
        "a: cannot be read: input/output error",
        f"c: has the digest {Digest.of(b'HELLO')} (expected {Digest.of(b'hello')})",
        "d: the last 1 bytes are missing",
    ]


def test_bytes_behind_a_member_are_not_its_own() -> None:
    assert check(item("a", b"hello", b"hello, world")) == []


def test_right_members_are_inspected_from_their_start() -> None:
    seen = {}

    def inspect(path: str, file: io.BufferedReader) -> None:
        seen[path] = file.read()

    check(item("a", b"hello"), item("b", b"x", b"y"), inspect=inspect)
    assert seen == {"a": b"hello"}


def test_what_an_inspection_finds_is_a_fault_of_its_member() -> None:
    def inspect(path: str, _file: io.BufferedReader) -> None:
        several = [Fault(where=f"{path}: one", what="odd"), Fault(where=f"{path}: two", what="odd")]
        raise VerificationError("is not signed", where="tool-1.0", faults=several[: len(path) - 1])

    assert [str(fault) for fault in check(item("a", b"1"), item("bcd", b"2"), inspect=inspect)] == [
        "a: is not signed",
        "bcd: one: odd",
        "bcd: two: odd",
    ]


def test_a_bug_in_an_inspection_is_not_hidden() -> None:
    def inspect(_path: str, _file: io.BufferedReader) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check(*(item(str(n), b"x") for n in range(9)), inspect=inspect)


def test_progress_counts_every_byte() -> None:
    class Counting:
        total = 0

        def advance(self, amount: int, **_: bool) -> None:
            self.total += amount

    counting = Counting()
    hash_all([item("a", bytes(2_500_000)), item("b", b"xyz")], counting, workers=1)  # type: ignore[arg-type]
    assert counting.total == 2_500_003
