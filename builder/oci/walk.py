"""The check that an images folder holds all that its index.json and manifest.json name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.errors import Fault, VerificationError
from builder.model.digest import Digest
from builder.oci.layout import path_of
from builder.oci.manifest import MANIFEST_LIMIT, Descriptor, OciIndex, OciManifest, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[Digest], bytes | None]
    Size = Callable[[Digest], int | None]

_BLOB = "blobs/sha256/"
_LONGEST_NAME = 512


def walk(index: bytes, read: Read, size: Size, *, where: str = "index.json") -> list[Fault]:
    """Check that every image of an OCI layout's index.json is whole; return what is missing.

    ``read`` gives the content of a blob (asked for indexes, manifests and configurations only),
    ``size`` its number of bytes; both give None for one that is not there. An index inside may
    lack platforms, but one of each image must be complete.
    """
    try:
        top = parse(index, "application/vnd.oci.image.index.v1+json", where=where)
    except VerificationError as error:
        return list(error.faults) or [error.fault]
    if not isinstance(top, OciIndex):
        return [Fault(where=where, what="this is not an index")]
    faults: dict[Fault, None] = {}
    for number, entry in enumerate(top.manifests):
        name = entry.annotations.get("org.opencontainers.image.ref.name", "")
        if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
            name = f"{where} manifests[{number}]"
        for fault in _Walk(read, size, name).image(entry):
            faults[fault] = None
    return list(faults)


def check_archive(content: bytes, size: Size, *, where: str = "manifest.json") -> list[Fault]:
    """Check that all blobs of a docker archive's manifest.json are there; return what is wrong."""
    try:
        document = strict_json.load(content)
    except ValueError as error:
        return [Fault(where=where, what=str(error))]
    if not isinstance(document, list):
        return [Fault(where=where, what="the document is not a list")]
    return [
        fault
        for number, entry in enumerate(document)
        for fault in _entry(entry, size, f"{where} [{number}]")
    ]


def check_blobs(content: bytes, size: Size, *, where: str) -> list[Fault]:
    """Check that all lines of a subset's list of blobs are blobs that are there."""
    lines = content.decode("utf-8", errors="replace").splitlines()
    return [fault for line in lines for fault in _path(line, size, where)]


class _Walk:
    def __init__(self, read: Read, size: Size, name: str) -> None:
        self._read = read
        self._size = size
        self._name = name

    def image(self, entry: Descriptor) -> list[Fault]:
        """Check an image; an index is whole when one platform is, and no platform is in part."""
        document = self._document(entry)
        if isinstance(document, Fault):
            return [document]
        if isinstance(document, OciManifest):
            return self._manifest(document)
        there = [
            child
            for child in document.manifests
            if not child.attests and self._size(child.digest) is not None
        ]
        if not there:
            return [self._fault(f"none of the platforms of its index {entry.digest} is there")]
        return [fault for child in there for fault in self._child(child)]

    def _child(self, entry: Descriptor) -> list[Fault]:
        document = self._document(entry)
        if isinstance(document, Fault):
            return [document]
        if isinstance(document, OciIndex):
            return [self._fault(f"its index holds the index {entry.digest}")]
        return self._manifest(document)

    def _manifest(self, manifest: OciManifest) -> list[Fault]:
        """Check that configuration and layers are there, of the right size and number."""
        wanted = {part.digest: part for part in (*manifest.layers, manifest.config)}
        faults = [fault for part in wanted.values() if (fault := self._there(part)) is not None]
        if not faults:
            faults += self._config(manifest)
        return faults

    def _config(self, manifest: OciManifest) -> list[Fault]:
        """Check that a configuration speaks of as many layers as the manifest."""
        digest = manifest.config.digest
        if manifest.config.size > MANIFEST_LIMIT:
            return [
                self._fault(f"its configuration {digest} has more than {MANIFEST_LIMIT:,} bytes")
            ]
        try:
            document = strict_json.load(self._read(digest) or b"")
        except ValueError as error:
            return [self._fault(f"its configuration {digest}: {error}")]
        rootfs = document.get("rootfs") if isinstance(document, dict) else None
        ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(ids, list) or len(ids) != len(manifest.layers):
            count = len(ids) if isinstance(ids, list) else 0
            return [
                self._fault(
                    f"its configuration {digest} names {count} layers,"
                    f" its manifest {len(manifest.layers)}"
                )
            ]
        return []

    def _document(self, entry: Descriptor) -> OciIndex | OciManifest | Fault:
        fault = self._there(entry)
        if fault is not None:
            return fault
        if entry.size > MANIFEST_LIMIT:
            return self._fault(
                f"its manifest {entry.digest} has more than {MANIFEST_LIMIT:,} bytes"
            )
        content = self._read(entry.digest)
        if content is None:
            return self._fault(f"its manifest {entry.digest} is missing")
        try:
            return parse(content, entry.media_type)
        except VerificationError as error:
            return self._fault(str(error))

    def _there(self, entry: Descriptor) -> Fault | None:
        size = self._size(entry.digest)
        if size is None:
            return self._fault(f"its part {entry.digest} is missing")
        if size != entry.size:
            return self._fault(f"its part {entry.digest} has {size:,} bytes", f"{entry.size:,}")
        return None

    def _fault(self, what: str, expected: str | None = None) -> Fault:
        return Fault(where=self._name, what=what, expected=expected)


def _entry(entry: Any, size: Size, where: str) -> list[Fault]:
    if not isinstance(entry, dict):
        return [Fault(where=where, what="is not an object")]
    config, layers, tags = entry.get("Config"), entry.get("Layers"), entry.get("RepoTags")
    lists = [item for item in (layers, tags) if isinstance(item, list)]
    paths = [config, *lists[0]] if lists else []
    strings = all(isinstance(text, str) for part in (paths, *lists) for text in part)
    if len(lists) != 2 or not strings:  # noqa: PLR2004 -- layers and tags
        return [Fault(where=where, what="needs Config, Layers and RepoTags", expected="strings")]
    return [fault for path in paths for fault in _path(path, size, where)]


def _path(path: str, size: Size, where: str) -> list[Fault]:
    """Check that a path is a blob's, and that the blob is there."""
    try:
        digest = Digest.parse(f"sha256:{path.removeprefix(_BLOB)}")
    except ValueError:
        digest = None
    if digest is None or path != path_of(digest):
        return [Fault(where=where, what=f"{path[:120]!r} is not the path of a blob")]
    return [] if size(digest) is not None else [Fault(where=where, what=f"{path} is missing")]
