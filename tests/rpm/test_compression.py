from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import sys
from typing import TYPE_CHECKING

import pytest

from builder.errors import StorageError, VerificationError
from builder.rpm.compression import unpack
from builder.rpm.repodata import Checksum, RepomdRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = b"<metadata>" + b"0123456789" * 100_000


def record(packed: bytes, plain: bytes | None = PLAIN, *, size: bool = True) -> RepomdRecord:
    return RepomdRecord(
        type="primary",
        href="repodata/primary.xml.gz",
        checksum=Checksum("sha256", hashlib.sha256(packed).hexdigest()),
        size=len(packed) if size else None,
        open_checksum=Checksum("sha512", hashlib.sha512(plain).hexdigest()) if plain else None,
        open_size=len(plain) if plain is not None else None,
    )


def run(tmp_path: Path, packed: bytes, what: RepomdRecord) -> bytes:
    (tmp_path / "in").write_bytes(packed)
    unpack(tmp_path / "in", tmp_path / "out", what)
    return (tmp_path / "out").read_bytes()


PACKERS = [gzip.compress, bz2.compress, lzma.compress, zstd.compress, bytes]


@pytest.mark.parametrize("pack", PACKERS)
def test_every_compression_is_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN)
    assert run(tmp_path, packed, record(packed)) == PLAIN


@pytest.mark.parametrize("pack", PACKERS[:4])
def test_several_members_are_one_file(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN[:999]) + pack(PLAIN[999:])
    assert run(tmp_path, packed, record(packed)) == PLAIN


@pytest.mark.parametrize("pack", PACKERS)
def test_a_bomb_stops_at_its_declared_size(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN)
    with pytest.raises(VerificationError) as caught:
        run(tmp_path, packed, record(packed, PLAIN[:10]))
    assert str(caught.value) == (
        "repodata/primary.xml.gz: the content grows beyond its size when decompressed"
        " (expected 10 bytes)"
    )
    assert (tmp_path / "out").stat().st_size <= 10


@pytest.mark.parametrize("pack", PACKERS[:4])
def test_damage_is_named_by_the_checksum(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN)
    bad = bytearray(packed)
    bad[len(bad) // 2] ^= 0xFF
    with pytest.raises(VerificationError) as caught:
        run(tmp_path, bytes(bad), record(packed))
    found = hashlib.sha256(bad).hexdigest()
    assert str(caught.value) == (
        f"repodata/primary.xml.gz: the content is sha256:{found}"
        f" (expected {record(packed).checksum})"
    )


@pytest.mark.parametrize("pack", PACKERS[:4])
def test_damage_that_the_checksum_covers_is_named(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    for packed in (pack(PLAIN)[:-9], pack(PLAIN) + b"junk at the end"):
        with pytest.raises(VerificationError) as caught:
            run(tmp_path, packed, record(packed, None))
        assert "the compressed content is damaged: " in str(caught.value)


def test_xz_streams_may_be_padded(tmp_path: Path) -> None:
    packed = lzma.compress(PLAIN[:999]) + b"\0" * 600_000 + lzma.compress(PLAIN[999:]) + b"\0" * 8
    assert run(tmp_path, packed, record(packed)) == PLAIN


def test_sizes_and_the_open_checksum_are_checked(tmp_path: Path) -> None:
    packed = gzip.compress(PLAIN, mtime=0)
    good = record(packed)
    for changed, message in [
        (record(packed, PLAIN + b"x"), "1,000,010 bytes when decompressed (expected 1,000,011)"),
        (record(packed, PLAIN[:-1] + b"x"), "when decompressed (expected sha512:"),
        (record(packed + b"x"), f"{len(packed):,} bytes (expected {len(packed) + 1:,} bytes)"),
        (record(packed + b"x", size=False), f"the content is {good.checksum} (expected sha256:"),
    ]:
        with pytest.raises(VerificationError) as caught:
            run(tmp_path, packed, changed)
        assert message in str(caught.value)


def test_a_disk_that_fails_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x")
    with pytest.raises(StorageError):
        unpack(tmp_path / "in", tmp_path / "no" / "out", record(b"x", b"x"))
