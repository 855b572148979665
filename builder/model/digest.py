"""Digests of content, as ``sha256:<64 hex digits>``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """Name content by its SHA-256 (the one algorithm that every upstream here uses)."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``sha256:<hex>``; raise ValueError for anything else."""
        if not _FORM.fullmatch(text):
            raise ValueError(f"{text!r} is not a digest (sha256: and 64 lower-case hex digits)")
        return cls(text.removeprefix("sha256:"))

    @classmethod
    def of(cls, content: bytes | memoryview) -> Digest:
        return cls(hashlib.sha256(content).hexdigest())

    @classmethod
    def of_file(cls, file: io.BufferedReader) -> Digest:
        """Compute the digest of what is left to read of a file, never all of it in memory."""
        return cls(hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def short(self) -> str:
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
