"""What the destinations of ``export`` are asked: take this stream, now make it count."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import VerificationError
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from builder.report import Progress

BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file on its way to a destination, known by digest and size before its bytes are read."""

    path: str
    """At the destination."""
    name: str
    """What messages call it."""
    size: int
    digest: Digest
    open: Callable[[], BinaryIO]

    @classmethod
    def of(cls, path: str, content: bytes) -> Entry:
        return cls(
            path=path,
            name=path,
            size=len(content),
            digest=Digest.of(content),
            open=lambda: io.BytesIO(content),
        )


class VerifiedStream(io.RawIOBase):
    """The bytes of an entry, hashed in the reader's buffer.

    Whoever reads to the end has the right bytes: if they are not, the last read raises
    VerificationError.
    """

    def __init__(self, entry: Entry, file: BinaryIO, progress: Progress) -> None:
        self._entry = entry
        self._file = file
        self._progress = progress
        self._hasher = hashlib.sha256()
        self._left = entry.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")[: self._left]
        count = self._file.readinto(view) if self._left else 0  # type: ignore[attr-defined] # every binary file has it
        self._hasher.update(view[:count])
        self._left -= count
        self._progress.advance(count)
        if not count or not self._left:
            self._verify()
        return int(count)

    def _verify(self) -> None:
        if self._left or self._hasher.hexdigest() != self._entry.digest.hex:
            raise VerificationError(
                f"has the digest sha256:{self._hasher.hexdigest()}",
                where=self._entry.name,
                expected=str(self._entry.digest),
                hint="airseed verify finds all that is damaged",
            )


class Destination:
    """A place that entries go to one after the other, and where they count all at once."""

    def put(self, entry: Entry, stream: VerifiedStream) -> None:
        """Take the bytes of an entry, to the end of the stream."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make what was put visible; nobody sees a part of it before."""
        raise NotImplementedError


def deliver(entries: Iterable[Entry], destination: Destination, progress: Progress) -> None:
    """Bring all entries to a destination; raise VerificationError for bytes that are not right."""
    for entry in entries:
        with entry.open() as file:
            destination.put(entry, VerifiedStream(entry, file, progress))
    destination.commit()


def copy(stream: VerifiedStream, to: BinaryIO) -> None:
    view = memoryview(bytearray(BUFFER))
    while count := stream.readinto(view):
        to.write(view[:count])
