"""How layers are compressed, by their first bytes, held against what their media types say.

Runtimes look at the bytes, mostly: docker always, containerd unless an OCI type says that there is
nothing to unpack. Locking has seen no layer, so it judged what the nodes' runtime can unpack by
media types; once the bytes are here, nothing else may come out.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from builder.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.artifact import Blob
    from builder.model.digest import Digest
    from builder.model.lock import Lock

BEGINNING = tarfile.BLOCKSIZE
"""Bytes by which a compression, or the first header of a tar, is known."""
UNKNOWN = "unknown"
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    # a frame to be skipped, with which pzstd begins: RFC 8878 3.1.2
    *((bytes([first]) + b"\x2a\x4d\x18", "zstd") for first in range(0x50, 0x60)),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"\x1f\x9d", "compress"),
    (b"\x5d\x00", "lzma"),
)
_HINT = (
    "use an image whose media types are true, or compress it again:"
    " skopeo copy --dest-compress-format gzip"
)


def compression(beginning: bytes) -> str:
    """Name what compressed some bytes; empty for a tar, which may also be one of nothing."""
    block = beginning[:BEGINNING]
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        if not any(block):
            return ""
    else:
        return ""
    return next((name for magic, name in _MAGIC if block.startswith(magic)), UNKNOWN)


class LayerCompression:
    """The compression of the layers that nodes unpack."""

    def __init__(self, lock: Lock) -> None:
        self._runtime = lock.subject.runtime
        blobs = {blob.digest: blob for blob in lock.blobs}
        self._layers: dict[Digest, tuple[Blob, str]] = {
            layer: (blobs[layer], image.name)
            for image in lock.images
            for part in image.manifests
            if part.platform in lock.subject.platforms
            for layer in part.layers
            if layer in blobs
        }

    def __contains__(self, digest: object) -> bool:
        return digest in self._layers

    def faults(self, digest: Digest, beginning: bytes) -> Iterator[Fault]:
        """Return what is wrong with a layer whose digest is right."""
        blob, image = self._layers[digest]
        found = compression(beginning)
        if found in {"", blob.compression}:
            return
        if found == "gzip":
            # every runtime unpacks it, but for one that was told that there is nothing to unpack
            plain = not blob.compression and ".oci." in blob.media_type
            if not plain or self._runtime.startswith("docker "):
                return
        said = blob.compression or "not compressed"
        how = f"compressed with {found}"
        if found == UNKNOWN:
            how = "neither a tar nor compressed in a way that is known"
        yield Fault(
            where=image,
            what=f"its layer {digest} is {how}, but its media type says {said}",
            expected=f"what {self._runtime} was asked about when this was locked",
            hint=_HINT,
        )
