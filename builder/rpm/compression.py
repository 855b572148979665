"""Metadata files, decompressed from file to file, checked on both sides and bounded.

libsolv opens plain and gzip only, and neither it nor createrepo_c bounds what a small file may
grow to; so files are unpacked here, with the checksums of repomd.xml.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import sys
import zlib
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from builder import disk
from builder.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.rpm.repodata import Checksum, RepomdRecord

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OPEN_LIMIT = 2 << 30
"""Bytes that a file may have after decompression when repomd.xml does not say; EPEL's largest
filelists have a tenth of that."""
_CHUNK = 1 << 18
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 27
_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, ValueError, MemoryError)
"""What the five libraries raise for damaged input; gzip's and bz2's own are OSErrors."""


def unpack(
    source: Path,
    target: Path,
    record: RepomdRecord,
    *,
    where: str = "",
    largest: int = OPEN_LIMIT,
) -> None:
    """Decompress a metadata file and check it against its record, in one pass.

    The kind of compression is read from the content, not from the name; plain files are copied.
    Raise VerificationError when a checksum or size differs, when the content is damaged, or when
    it grows beyond what the record allows, or beyond ``largest`` bytes.
    """
    where = where or record.href
    if (record.open_size or 0) > largest:
        raise VerificationError(
            f"repomd.xml says that it has {record.open_size:,} bytes when decompressed",
            where=where,
            expected=f"at most {largest:,}, as much as its packages justify",
        )
    try:
        with source.open("rb") as file, target.open("wb") as output:
            incoming = _Counted(file, record.checksum.algorithm)
            _copy(incoming, output, record, where, largest)
            incoming.drain()
    except OSError as error:
        raise disk.failure(error, target) from error
    _check(record, incoming, where)


def _copy(
    incoming: _Counted, output: BinaryIO, record: RepomdRecord, where: str, largest: int
) -> None:
    limit = largest if record.open_size is None else record.open_size
    expected = record.open_checksum
    digest = hashlib.new(expected.algorithm) if expected else None
    read = _reader(incoming)
    count = 0
    while True:
        try:
            chunk = read(_CHUNK)
        except _ERRORS as error:
            _check(record, incoming.drain(), where)  # damage on the way is the likelier reason
            raise VerificationError(
                f"the compressed content is damaged: {str(error) or type(error).__name__}",
                where=where,
            ) from error
        if not chunk:
            break
        count += len(chunk)
        if count > limit:
            raise VerificationError(
                "the content grows beyond its size when decompressed",
                where=where,
                expected=f"{limit:,} bytes",
            )
        if digest:
            digest.update(chunk)
        output.write(chunk)
    if record.open_size is not None and count != record.open_size:
        _check(record, incoming.drain(), where)
        raise VerificationError(
            f"{count:,} bytes when decompressed", where=where, expected=f"{record.open_size:,}"
        )
    if expected and digest:
        _compare(digest.hexdigest(), expected, where, " when decompressed")


def _check(record: RepomdRecord, incoming: _Counted, where: str) -> None:
    if record.size is not None and incoming.count != record.size:
        raise VerificationError(
            f"{incoming.count:,} bytes", where=where, expected=f"{record.size:,} bytes"
        )
    _compare(incoming.digest.hexdigest(), record.checksum, where, "")


def _compare(digest: str, expected: Checksum, where: str, when: str) -> None:
    if digest != expected.hex:
        raise VerificationError(
            f"the content is {expected.algorithm}:{digest}{when}",
            where=where,
            expected=str(expected),
            hint="the mirror may be in the middle of an update, or a proxy changed the file",
        )


class _Counted(io.RawIOBase):
    def __init__(self, file: BinaryIO, algorithm: str) -> None:
        self._file = file
        self.digest = hashlib.new(algorithm)
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        count = cast("io.FileIO", self._file).readinto(view)
        self.digest.update(view[:count])
        self.count += count
        return count

    def peek(self) -> bytes:
        head = self._file.read(6)
        self._file.seek(0)
        return head

    def drain(self) -> _Counted:
        """Read what the decompressor left, so that the checksum covers the whole file."""
        while self.read(_CHUNK):
            pass
        return self


def _reader(incoming: _Counted) -> Callable[[int], bytes]:
    head = incoming.peek()
    buffered = cast("BinaryIO", incoming)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered, mode="rb").read
    if head.startswith(b"BZh"):
        return _streams(buffered, bz2.BZ2Decompressor, b"")
    if head.startswith(b"\xfd7zXZ\x00"):
        # LZMAFile has no option that bounds the memory
        begin = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        return _streams(buffered, begin, b"\0")
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW}
        return zstd.ZstdFile(buffered, options=options).read
    return buffered.read


def _streams(
    file: BinaryIO,
    begin: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
    padding: bytes,
) -> Callable[[int], bytes]:
    """Read streams one after the other; only padding may follow them (BZ2File ignores anything)."""
    state = begin()

    def read(size: int) -> bytes:
        nonlocal state
        while True:
            if state.eof:
                rest = (state.unused_data or file.read(_CHUNK)).lstrip(padding)
                while not rest and (more := file.read(_CHUNK)):
                    rest = more.lstrip(padding)
                if not rest:
                    return b""
                state = begin()
            elif state.needs_input:
                rest = file.read(_CHUNK)
                if not rest:
                    raise EOFError("it ends too early")
            else:
                rest = b""
            content = state.decompress(rest, size)
            if content:
                return content

    return read
