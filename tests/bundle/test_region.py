from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from builder.bundle.region import Files, Region, open_region
from builder.bundle.source import from_file
from builder.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_a_part_reads_like_a_file_of_its_own(descriptor: int) -> None:
    with open_region(Files([descriptor]), 2, 5) as file:
        assert file.read() == b"23456"
        assert file.read() == b""
        assert file.seek(-2, os.SEEK_END) == 3
        assert (file.read(1), file.tell()) == (b"5", 4)
        file.seek(1)
        file.seek(1, os.SEEK_CUR)
        assert file.read(9) == b"456"
        file.seek(99)
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="before the beginning"):
            file.raw.seek(-1)
    os.fstat(descriptor)  # still open


def test_two_parts_do_not_disturb_each_other(descriptor: int) -> None:
    with (
        open_region(Files([descriptor]), 0, 4) as one,
        open_region(Files([descriptor]), 4, 4) as other,
    ):
        assert (one.read(2), other.read(2), one.read(), other.read()) == (
            b"01",
            b"45",
            b"23",
            b"67",
        )
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0


def test_a_part_beyond_the_end_is_short(descriptor: int) -> None:
    with open_region(Files([descriptor]), 8, 5) as file:
        assert file.read() == b"89"


def test_a_source_streams_from_any_offset(descriptor: int) -> None:
    source = from_file("old", partial(Region, Files([descriptor]), 3, 4))
    assert source.host == ""
    stream = source.open(1)
    view = memoryview(bytearray(10))
    assert (stream.offset, stream.readinto(view), bytes(view[:3])) == (1, 3, b"456")
    assert stream.readinto(view) == 0
    stream.close()


def test_a_source_that_cannot_be_read_is_a_fetch_error(tmp_path: Path) -> None:
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    source = from_file("old", partial(Region, Files([closed]), 0, 4))
    with pytest.raises(FetchError) as caught:
        source.open(0).readinto(memoryview(bytearray(4)))
    assert str(caught.value) == "old: bad file descriptor"
    assert not caught.value.temporary


def test_several_files_read_as_one(tmp_path: Path) -> None:
    content = bytes(range(100))
    sizes = [7, 0, 40, 53]
    opened = []
    for number, size in enumerate(sizes):
        path = tmp_path / str(number)
        start = sum(sizes[:number])
        path.write_bytes(content[start : start + size] + b"beyond")
        opened.append(os.open(path, os.O_RDONLY))
    files = Files(opened, sizes)
    for start in range(101):
        for size in (0, 1, 8, 41, 101):
            assert files.read(start, size) == content[start : start + size]
    with open_region(files, 5, 60) as file:
        assert file.read() == content[5:65]
    for one in opened:
        os.close(one)
