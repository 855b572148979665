"""Content by digest in one folder: what lies beside a lock, and what earlier runs fetched.

A file's name is the SHA-256 of its bytes, so it never changes and needs no fsync of its own:
whatever a power cut left half written fails the check when it is read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import StorageError, VerificationError, reason
from builder.model.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path


_LARGEST = 64 << 20
"""Bytes of the largest document that is read whole."""


class Store:
    """Keep immutable content in a folder that is made at the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: Digest) -> Path:
        """Return the place of some content, there or not."""
        return self.folder / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Return whether the content is there, by name and, if known, size."""
        try:
            actual = self.path(digest).stat().st_size
        except OSError:
            return False
        return size is None or actual == size

    def read(self, digest: Digest) -> bytes:
        """Read content whole and check it; raise VerificationError when it is damaged."""
        path = self.path(digest)
        try:
            content = disk.read(path, _LARGEST)
        except OSError as error:
            raise StorageError(
                reason(error),
                where=str(path),
                hint=f"{self.folder} belongs to the lock: copy it along with the lock, or run "
                "`airseed lock` to make it again",
            ) from error
        if Digest.of(content) != digest:
            raise VerificationError(
                "the content does not match the digest in the file's name",
                where=str(path),
                expected=str(digest),
                hint="delete this file and run `airseed lock` again",
            )
        return content

    def find(self, digest: Digest) -> bytes | None:
        """Read content if it is there and whole; drop what is damaged."""
        if not self.has(digest):
            return None
        try:
            return self.read(digest)
        except VerificationError:
            self.path(digest).unlink(missing_ok=True)
            return None

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        if self.has(digest, len(content)):
            return digest
        disk.folder(self.folder, mode=0o755)
        disk.put(self.path(digest), content, sync=False)  # whoever reads it checks it
        return digest

    def digests(self) -> set[Digest]:
        """List what is here by name, unread."""
        try:
            names = [entry.name for entry in os.scandir(self.folder)]
        except OSError:
            return set()
        digests = set()
        for name in names:
            try:
                digests.add(Digest.parse(f"sha256:{name}"))
            except ValueError:
                continue  # a temporary file of another run
        return digests

    def drop(self, digest: Digest) -> None:
        self.path(digest).unlink(missing_ok=True)
