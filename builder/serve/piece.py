"""One member of a bundle as a body of responses: hashed once, then sent by the kernel.

What is known of it is known of the files as they were then: whoever writes to a bundle that is
served, or puts another in its place, has it hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from builder.errors import AirseedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.digest import Digest

_CHUNK = 256 << 10
Files = frozenset[tuple[int, ...]]
"""What tells files and their states apart, as far as the file system knows."""


class DamagedError(OSError):
    """A member's bytes do not have the digest that the lock gives, or can't be read."""


@dataclass(eq=False, slots=True, kw_only=True)
class Piece:
    path: str
    size: int
    digest: Digest
    media_type: str
    """Of an image's part, else empty."""
    modified: float
    """When the bundle's file was written, in seconds since 1970."""
    bundle: TarBundle | FolderBundle = field(repr=False)
    when_damaged: Callable[[Piece], None] = field(repr=False)
    judged: tuple[Files, bool] | None = field(default=None, repr=False)
    """Which files had its bytes when they were last hashed, and whether these were right."""
    _verifying: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def right(self) -> bool | None:
        """Tell whether its bytes are right; None where the files have not been read as they are."""
        judged = self.judged
        if judged is None:
            return None
        try:
            return judged[1] if judged[0] == self.files() else None
        except OSError:
            return False

    def files(self) -> Files:
        """Tell in which files it is, and in which state they are; raise DamagedError."""
        with self._readable(), closing(self.bundle.segments(self.path, 0, self.size)) as found:
            return frozenset(_state(descriptor) for descriptor, _, _ in found)

    def open(self) -> IO[bytes]:
        """Open the bytes; until they are known to be right, the last ones are withheld."""
        files = self.files()
        known = self.judged == (files, True)
        with self._readable():
            file = self.bundle.open(self.path)
        return cast("IO[bytes]", _Reader(self, file, files, None if known else hashlib.sha256()))

    def segments(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Yield where they are once they are known to be right; raise DamagedError."""
        if (offset, size) != (0, self.size):
            self.verify()
        judged = self.judged
        if judged is None or not judged[1]:
            return
        with self._readable(), closing(self.bundle.segments(self.path, offset, size)) as found:
            for number, (descriptor, start, count) in enumerate(found):
                if not number and _state(descriptor) not in judged[0]:
                    return  # to be read anew
                # the last byte waits until it is sure that nobody wrote meanwhile
                yield descriptor, start, count - 1
                if _state(descriptor) not in judged[0]:
                    raise DamagedError(errno.EIO, "was changed while it was sent", self.path)
                yield descriptor, start + count - 1, 1

    def read(self) -> bytes:
        """Read all of a small one; raise DamagedError."""
        with self.open() as file:
            return file.read()

    def verify(self) -> None:
        """Hash the bytes unless that was done; raise DamagedError."""
        with self._verifying:
            right = self.right
            if right is None:
                buffer = bytearray(_CHUNK)
                with self.open() as file:
                    while file.readinto(buffer):  # type: ignore[attr-defined]
                        pass
            elif not right:
                raise DamagedError(errno.EIO, "is damaged", self.path)

    def judge(self, digest: str, files: Files) -> None:
        """Take the digest that all bytes of files have; raise DamagedError for a wrong one."""
        if self.files() != files:
            raise DamagedError(errno.EIO, "was changed while it was read", self.path)
        right = digest == self.digest.hex
        self.judged = (files, right)
        if not right:
            self.when_damaged(self)
            raise DamagedError(errno.EIO, "has another digest than its lock says", self.path)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except AirseedError as error:  # a file of a folder that is gone, or is none any more
            raise DamagedError(errno.EIO, str(error), self.path) from error


class _Reader(io.RawIOBase):
    """Read a piece; with a hasher, from its start, and the end only once all was right."""

    def __init__(
        self, piece: Piece, file: IO[bytes], files: Files, hasher: hashlib._Hash | None
    ) -> None:
        self._piece = piece
        self._file = file
        self._files = files
        self._hasher = hasher
        self._left = piece.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        fresh = (offset, self._left) == (0, self._piece.size)
        if whence != os.SEEK_SET or not (fresh or self._hasher is None):
            raise io.UnsupportedOperation("what is not known to be right is read from its start")
        self._left = self._piece.size - offset
        return self._file.seek(offset)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # Buffer is of 3.12
        view = memoryview(buffer).cast("B")[: self._left]
        count = int(self._file.readinto(view)) if self._left else 0  # type: ignore[attr-defined]
        self._left -= count
        if self._hasher is None:
            if self._piece.files() != self._files:
                raise DamagedError(errno.EIO, "was changed while it was sent", self._piece.path)
            return count
        self._hasher.update(view[:count])
        if not self._left or not count:
            self._piece.judge("" if self._left else self._hasher.hexdigest(), self._files)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _state(descriptor: int) -> tuple[int, ...]:
    one = os.fstat(descriptor)
    return one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns
