from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from builder.bundle import tar

if TYPE_CHECKING:
    from pathlib import Path

CASES = [
    ("README.txt", 0),
    ("a" * 100, 1),
    ("a" * 101, 512),
    ("ü" * 200, 513),
    ("deep/" * 200 + "x", 8**11 - 1),
    ("big", 8**11),
    ("huge", 2**80),
]


@pytest.mark.parametrize(("path", "size"), CASES)
def test_what_is_written_is_read(path: str, size: int) -> None:
    header = tar.header(path, size)
    assert len(header) % tar.BLOCK == 0
    assert tar.read_header(header + b"data") == (path, size, len(header))


@pytest.mark.parametrize(("path", "size"), CASES)
def test_python_reads_it_too(path: str, size: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar.header(path, size) + bytes(1024))) as opened:
        member = opened.next()
    assert member is not None
    assert (member.name, member.size, member.isreg()) == (path, size, True)
    assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 315532800)
    assert (member.uname, member.gname) == ("", "")


def test_tar_reads_it_too(tmp_path: Path) -> None:
    content = b"".join(
        tar.header(path, 5) + b"hello" + bytes(tar.padding(5)) for path, _ in CASES[:4]
    )
    (tmp_path / "x.tar").write_bytes(content + bytes(1024))
    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tf", tmp_path / "x.tar"],
        capture_output=True,
        check=True,
    )
    assert listed.stdout.decode().splitlines() == [path for path, _ in CASES[:4]]
    assert listed.stderr == b""


def test_every_changed_bit_is_refused() -> None:
    header = tar.header("README.txt", 77)
    for place in range(len(header)):
        changed = bytearray(header)
        changed[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match=r"^(is|has) "):
            tar.read_header(bytes(changed))


def test_a_changed_bit_in_a_long_path_is_another_path() -> None:
    path = "a" * 150
    header = tar.header(path, 77)
    for place in range(len(header)):
        changed = bytearray(header)
        changed[place] ^= 1 << place % 8
        try:
            found = tar.read_header(bytes(changed))
        except ValueError:
            continue
        assert place in range(tar.BLOCK, tar.BLOCK + len(path))  # no checksum covers these
        assert found == (path[: place - 512] + chr(changed[place]) + path[place - 511 :], 77, 1536)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 1023, 1535])
def test_a_long_header_that_is_cut_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"is cut off within its header"):
        tar.read_header(tar.header("a" * 150, 1)[:length])


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^has a path of 1501 bytes$"):
        tar.read_header(tar.header("a" * 1500, 1))


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_padding(size: int, zeros: int) -> None:
    assert tar.padding(size) == zeros
