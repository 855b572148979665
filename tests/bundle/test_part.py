from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from builder.bundle.part import Part
from builder.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    made = Part(tmp_path / "bundle.tar.part")
    yield made
    made.close()


def test_bytes_go_where_they_belong(part: Part) -> None:
    part.reserve(100)
    part.write(b"end", 97)
    part.write(memoryview(b"start"), 0)
    part.sync()
    assert part.path.read_bytes() == b"start" + bytes(92) + b"end"
    view = bytearray(10)
    assert part.readinto(memoryview(view), 95) == 5
    assert view[:5] == b"\0\0end"
    assert part.region(97, 3).read() == b"end"


def test_space_is_taken_beforehand(part: Part) -> None:
    part.reserve(1 << 20)
    assert part.size == 1 << 20
    assert part.allocated >= 1 << 20
    part.write(b"x", 0)
    part.reserve(512)
    assert (part.size, part.path.read_bytes()[:2]) == (512, b"x\0")


def test_one_at_a_time(part: Part) -> None:
    with pytest.raises(StorageError) as caught:
        Part(part.path)
    assert str(caught.value) == f"{part.path}: another airseed process is writing this bundle"
    assert caught.value.hint == "wait for it, or choose another name with -o"


def test_the_next_one_may_have_it(tmp_path: Path) -> None:
    for text in (b"a", b"b"):
        part = Part(tmp_path / "x.part")
        part.write(text, 0)
        part.close()
    assert (tmp_path / "x.part").read_bytes() == b"b"


def test_a_forgotten_file_lives_on_until_it_is_closed(part: Part) -> None:
    part.write(b"old", 0)
    part.forget()
    part.forget()
    other = Part(part.path)
    assert (other.size, part.region(0, 3).read()) == (0, b"old")
    other.close()


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link.part").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match=r"link\.part: too many levels of symbolic links"):
        Part(tmp_path / "link.part")
    assert (tmp_path / "target").read_text() == "precious"


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Part(tmp_path / "no" / "x.part")
    assert str(caught.value) == f"{tmp_path}/no/x.part: no such file or directory"
    assert caught.value.hint == "create the folder first"


def test_what_does_not_fit_is_explained(part: Part) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        with pytest.raises(StorageError) as reserved:
            part.reserve(1 << 20)
        with pytest.raises(StorageError) as written:
            part.write(bytes(8192), 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert str(reserved.value) == str(written.value) == f"{part.path}: file too large"
    assert reserved.value.hint == (
        "the file system or `ulimit -f` does not allow files of this size"
    )


def test_a_closed_file_is_no_traceback(tmp_path: Path) -> None:
    part = Part(tmp_path / "x.part")
    part.close()
    for act in (part.sync, lambda: part.write(b"x", 0), lambda: part.reserve(9)):
        with pytest.raises(StorageError, match="bad file descriptor"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == ["x.part"]
