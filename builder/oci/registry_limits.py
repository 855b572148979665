"""How large the requests are that one registry, and the proxies before it, were found to take."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

WHOLE = 0
_CHUNKS = (64 << 20, 8 << 20, 1 << 20, 256 << 10)
"""Bytes of a request where one for all is refused: nginx takes 1 MiB unless told otherwise."""
_LARGE = 256 << 20
"""A blob from here on goes in chunks at once, so that what is up stays when the line breaks."""


@dataclass(slots=True)
class RegistryLimits:
    """What one registry was found to take; shared by all threads."""

    chunk: int = WHOLE
    """Bytes of one request."""
    chunked: bool = True
    """Whether it takes chunks, as far as is known."""
    least: int = 0
    """Bytes that it wants a chunk to have (OCI-Chunk-Min-Length)."""
    head: bool = True
    """Whether it answers HEAD for manifests."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def want_at_least(self, size: int) -> None:
        self.least = min(size, _CHUNKS[0])

    def request_size(self, size: int) -> int:
        """Return the bytes of one request for a blob of ``size``."""
        chunk = self.chunk
        if chunk == WHOLE and size >= _LARGE and self.chunked:
            chunk = _CHUNKS[0]
        return max(chunk, self.least) if chunk else WHOLE

    def refuse(self, used: int) -> bool:
        """Take smaller requests from now on; return whether there are any smaller ones."""
        with self.lock:
            smaller = [size for size in _CHUNKS if self.least <= size and (not used or size < used)]
            if self.chunk == WHOLE or self.chunk >= used > 0:
                if not (smaller and self.chunked):
                    return False
                self.chunk = smaller[0]
            return True

    def refuse_chunks(self) -> bool:
        """Send blobs whole from now on; return whether that was not refused before."""
        with self.lock:
            hope = self.chunked and self.chunk == WHOLE
            self.chunked = False
            return hope
