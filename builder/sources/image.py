"""Images: a reference resolved to digests, and the registries that have its blobs."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from builder.bundle.source import FileStream, Source
from builder.errors import (
    AirseedError,
    FetchError,
    IncompleteError,
    UnavailableError,
    VerificationError,
)
from builder.model.artifact import Blob, Image, ImageManifest, Trust
from builder.model.digest import Digest
from builder.model.platform import EVERY, Platform
from builder.oci import manifest as oci_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.errors import Fault
    from builder.http import Stream
    from builder.model.reference import Reference
    from builder.oci.pull import Puller

_CONFIG_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Name one image to resolve and where it may be had."""

    reference: Reference
    candidates: tuple[Reference, ...]
    """Where to ask, in order."""
    platforms: tuple[Platform, ...]
    """Those that it must have."""
    more: tuple[Platform, ...] = ()
    """Those that are taken if it has them; ``platform.EVERY`` for whatever its index names."""
    roles: tuple[str, ...]
    needed_by: tuple[str, ...]
    expected: Digest | None = None
    """The digest that it must have: of the reference, the catalog or an earlier lock."""
    trust: Trust = "first-use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Hold what one image turned out to be."""

    image: Image
    blobs: tuple[Blob, ...]
    kept: tuple[bytes, ...]
    """Its index and manifests, byte for byte."""
    source: Reference
    """The candidate that gave it."""
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the candidates before it."""
    left_out: tuple[Fault, ...] = ()
    """What of ``Wanted.more`` its index names, but nobody may pass on."""


def resolve(wanted: Wanted, registry: Puller) -> Resolved:
    """Ask the candidates in order; the first one that has the right digest wins.

    Raise UnavailableError with a fault for every candidate when none does.
    """
    faults: list[Fault] = []
    for candidate in wanted.candidates:
        try:
            return _resolve_at(wanted, candidate, registry, tuple(faults))
        except AirseedError as error:
            own = replace(error.fault, where=error.fault.where or str(candidate))
            faults.extend(error.faults or (own,))
    raise UnavailableError(
        "no source has this image",
        where=str(wanted.reference),
        expected=str(wanted.expected) if wanted.expected else None,
        hint="check the reference, the network and proxy, or add a mirror with --catalog",
        faults=faults,
    )


@dataclass(slots=True)
class _Found:
    """Collects what one candidate gives."""

    repositories: tuple[str, ...]
    blobs: dict[Digest, Blob] = field(default_factory=dict)
    kept: list[bytes] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)

    def add(self, digest: Digest, size: int, media_type: str) -> None:
        self.blobs[digest] = Blob(
            digest=digest, size=size, media_type=media_type, sources=self.repositories
        )


def _resolve_at(
    wanted: Wanted, candidate: Reference, registry: Puller, faults: tuple[Fault, ...]
) -> Resolved:
    expected = wanted.expected or wanted.reference.digest
    name = str(expected) if expected else str(candidate.tag)
    raw = registry.manifest(candidate.repository, name)
    document = oci_manifest.parse(raw.content, raw.media_type, where=str(candidate))
    found = _Found(_repositories(wanted.candidates))
    found.add(raw.digest, len(raw.content), document.media_type)
    found.kept.append(raw.content)
    if isinstance(document, oci_manifest.Index):
        manifests = [
            _part(document, platform, candidate, registry, found) for platform in wanted.platforms
        ]
        _add_more(manifests, document, wanted, candidate, registry, found)
    else:
        manifests = [_lone(document, raw.digest, wanted, candidate, registry, found)]
    image = Image(
        reference=wanted.reference,
        digest=raw.digest,
        size=len(raw.content),
        media_type=document.media_type,
        sources=tuple(str(source) for source in wanted.candidates),
        manifests=tuple(manifests),
        roles=wanted.roles,
        needed_by=wanted.needed_by,
        trust="pinned" if wanted.reference.digest else wanted.trust,
    )
    return Resolved(
        image=image,
        blobs=tuple(found.blobs.values()),
        kept=tuple(found.kept),
        source=candidate,
        passed_over=faults,
        left_out=tuple(found.left_out),
    )


def _repositories(candidates: Iterable[Reference]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(candidate.repository for candidate in candidates))


def _part(
    index: oci_manifest.Index,
    platform: Platform,
    candidate: Reference,
    registry: Puller,
    found: _Found,
) -> ImageManifest:
    """Take one platform's manifest out of an index."""
    chosen = oci_manifest.choose(index, platform, where=str(candidate))
    return _entry(chosen, platform, candidate, registry, found)


def _add_more(
    manifests: list[ImageManifest],
    index: oci_manifest.Index,
    wanted: Wanted,
    candidate: Reference,
    registry: Puller,
    found: _Found,
) -> None:
    """Take what else is wanted of an index: what it lacks, or may not be passed on, is left out."""
    taken = {manifest.digest for manifest in manifests}
    for entry in _chosen(index, wanted.more):
        if entry.digest in taken:
            continue
        taken.add(entry.digest)
        platform = entry.platform or Platform("unknown", "unknown")
        try:
            manifests.append(_entry(entry, platform, candidate, registry, found))
        except VerificationError as error:
            found.left_out += error.faults or (error.fault,)


def _chosen(
    index: oci_manifest.Index, platforms: Iterable[Platform]
) -> Iterator[oci_manifest.Descriptor]:
    """Give the entries of an index for these platforms, as far as there are any."""
    for platform in platforms:
        if platform == EVERY:
            yield from index.manifests
            return
        with contextlib.suppress(IncompleteError):
            yield oci_manifest.choose(index, platform)


def _entry(
    entry: oci_manifest.Descriptor,
    platform: Platform,
    candidate: Reference,
    registry: Puller,
    found: _Found,
) -> ImageManifest:
    """Read the manifest that an entry of an index points to, and note all that it has."""
    where = f"{candidate} {entry.digest}"
    raw = registry.manifest(candidate.repository, str(entry.digest))
    if len(raw.content) != entry.size:
        raise VerificationError(
            f"the manifest has {len(raw.content)} bytes",
            where=where,
            expected=f"the {entry.size} bytes that its index announces",
        )
    document: oci_manifest.Index | oci_manifest.Manifest
    if entry.attests:
        document = oci_manifest.attachment(raw.content, where=where)
    else:
        document = oci_manifest.parse(raw.content, entry.media_type)
    if isinstance(document, oci_manifest.Index):
        raise VerificationError("an index inside an index is not supported", where=where)
    found.kept.append(raw.content)
    found.add(entry.digest, entry.size, entry.media_type)
    return _describe(document, raw.digest, platform, found)


def _lone(
    document: oci_manifest.Manifest,
    digest: Digest,
    wanted: Wanted,
    candidate: Reference,
    registry: Puller,
    found: _Found,
) -> ImageManifest:
    """Take an image that has no index; its config says which platform it is for."""
    config = document.config
    content = read_blob(registry, candidate.repository, config.digest, config.size)
    platform = oci_manifest.platform_of(content, where=str(candidate))
    if platform not in wanted.platforms or len(wanted.platforms) > 1:
        raise VerificationError(
            f"the image is for {platform} alone",
            where=str(candidate),
            expected=", ".join(map(str, wanted.platforms)),
        )
    return _describe(document, digest, platform, found)


def _describe(
    document: oci_manifest.Manifest, digest: Digest, platform: Platform, found: _Found
) -> ImageManifest:
    for descriptor in (document.config, *document.layers):
        found.add(descriptor.digest, descriptor.size, descriptor.media_type)
    return ImageManifest(
        platform=platform,
        digest=digest,
        config=document.config.digest,
        layers=tuple(layer.digest for layer in document.layers),
    )


def read_blob(registry: Puller, repository: str, digest: Digest, size: int) -> bytes:
    """Read a small blob whole, such as an image's config, and check it."""
    where = f"{repository}@{digest}"
    if size > _CONFIG_LIMIT:
        raise FetchError(f"the config has {size:,} bytes", where=where, expected="at most 4 MiB")
    content = registry.document(repository, digest, limit=size)
    if len(content) != size or Digest.of(content) != digest:
        raise VerificationError("the blob is not what its digest says", where=where)
    return content


def sources(blob: Blob, registry: Puller) -> list[Source]:
    """Return the repositories that may have a blob, in order."""
    return [_source(blob, registry, repository) for repository in blob.sources]


def _source(blob: Blob, registry: Puller, repository: str) -> Source:
    """Return one repository as a source; it serves manifests elsewhere than blobs, and whole."""
    name = f"{repository}@{blob.digest}"

    def open_manifest(_offset: int) -> FileStream:
        return FileStream(
            io.BytesIO(registry.manifest(repository, str(blob.digest)).content), 0, name
        )

    def open_blob(offset: int) -> Stream:
        return registry.blob(repository, blob.digest, blob.size, offset)

    host = repository.partition("/")[0]
    return Source(name=name, host=host, open=open_manifest if blob.kept else open_blob)
