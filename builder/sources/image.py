"""Images: a reference resolved to digests, and the registries that have its blobs."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.bundle.source import FileStream, Source
from builder.errors import (
    AirseedError,
    FetchError,
    IncompleteError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from builder.model.artifact import Blob, Image, ImageManifest, Trust
from builder.model.digest import Digest
from builder.model.platform import EVERY, Platform
from builder.oci import containerd
from builder.oci import manifest as oci_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.errors import Fault
    from builder.http import HttpStream
    from builder.model.reference import Reference
    from builder.oci.pull import Puller, RawManifest

_CONFIG_LIMIT = 4 << 20
_MOST_PARTS = 512
"""Manifests that are taken of one image; the largest indexes have some sixty."""
_NOT_REACHED = "check the reference, the network and proxy, or add a mirror with --catalog"
_OTHER_IMAGE = "this is what upstream has by that name: use another tag or image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
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
class ResolvedImage:
    image: Image
    blobs: tuple[Blob, ...]
    kept: tuple[bytes, ...]
    """Its index and manifests, byte for byte."""
    source: Reference
    """The candidate that gave it."""
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the candidates before it."""
    left_out: tuple[Fault, ...] = ()
    """What of ``ImageRequest.more`` its index names, but nobody may pass on."""


def resolve(wanted: ImageRequest, registry: Puller) -> ResolvedImage:
    """Ask the candidates in order; the first one that has the right digest wins.

    Raise UnavailableError with a fault for every candidate when none does.
    """
    faults: list[Fault] = []
    hints: set[str | None] = set()
    for candidate in wanted.candidates:
        try:
            resolved = _Candidate(wanted, candidate, registry).resolve()
            return replace(resolved, passed_over=tuple(faults))
        except UsageError:
            raise  # a proxy that cannot be used is no source's fault
        except AirseedError as error:
            own = replace(error.fault, where=error.fault.where or str(candidate))
            if isinstance(error, IncompleteError):
                faults.append(own)
            faults.extend(error.faults or (() if own in faults else (own,)))
            answered = isinstance(error, (IncompleteError, VerificationError))
            hints.add(error.hint or _OTHER_IMAGE if answered else _NOT_REACHED)
    raise UnavailableError(
        "no source has this image",
        where=str(wanted.reference),
        expected=str(wanted.expected) if wanted.expected else None,
        hint=hints.pop() if len(hints) == 1 else _NOT_REACHED,
        faults=faults,
    )


class _Candidate:
    """One place that may have an image, and what is read there."""

    def __init__(self, wanted: ImageRequest, reference: Reference, registry: Puller) -> None:
        self._wanted = wanted
        self._reference = reference
        self._registry = registry
        self._repositories = tuple(dict.fromkeys(one.repository for one in wanted.candidates))
        self._blobs: dict[Digest, Blob] = {}
        self._kept: list[bytes] = []
        self._left_out: list[Fault] = []

    def resolve(self) -> ResolvedImage:
        wanted, where = self._wanted, str(self._reference)
        expected = wanted.expected or wanted.reference.digest
        raw = self._manifest(str(expected or self._reference.tag))
        document = oci_manifest.parse(raw.content, raw.media_type, where=where)
        self._keep(raw, document.media_type)
        if isinstance(document, oci_manifest.OciIndex):
            manifests = self._platforms(document)
        else:
            manifests = [self._lone(document, raw.digest)]
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
        return ResolvedImage(
            image=image,
            blobs=tuple(self._blobs.values()),
            kept=tuple(self._kept),
            source=self._reference,
            left_out=tuple(self._left_out),
        )

    def _platforms(self, index: oci_manifest.OciIndex) -> list[ImageManifest]:
        """Take what is wanted of an index.

        Of what is wanted only if it is there, what may not be passed on is left out.
        """
        manifests = [
            self._entry(self._choose(index, platform), platform)
            for platform in self._wanted.platforms
        ]
        if EVERY in self._wanted.more and len(index.manifests) > _MOST_PARTS:
            raise VerificationError(
                f"its index names {len(index.manifests):,} manifests",
                where=str(self._reference),
                expected=f"at most {_MOST_PARTS}, since all platforms are wanted",
            )
        taken = {manifest.digest for manifest in manifests}
        if EVERY in self._wanted.more:
            self._left_out += index.unreadable
        for entry in _chosen(index, self._wanted.more):
            if entry.digest in taken:
                continue
            taken.add(entry.digest)
            try:
                platform = entry.platform or Platform("unknown", "unknown")
                manifests.append(self._entry(entry, platform))
            except VerificationError as error:
                self._left_out += error.faults or (error.fault,)
        return manifests

    def _choose(self, index: oci_manifest.OciIndex, platform: Platform) -> oci_manifest.Descriptor:
        where = str(self._reference)
        chosen = oci_manifest.choose(index, platform, where=where)
        if (other := containerd.taken(index, platform)) != chosen.digest:
            raise VerificationError(
                f"its index has two manifests for {platform}, and containerd takes {other}",
                where=where,
                expected=str(chosen.digest),
                hint="ask for one of them by its digest: NAME@DIGEST",
            )
        return chosen

    def _entry(self, entry: oci_manifest.Descriptor, platform: Platform) -> ImageManifest:
        """Read the manifest that an entry of an index points to, and note all that it has."""
        where = f"{self._reference} {entry.digest}"
        raw = self._manifest(str(entry.digest))
        if len(raw.content) != entry.size:
            raise VerificationError(
                f"the manifest has {len(raw.content)} bytes",
                where=where,
                expected=f"the {entry.size} bytes that its index announces",
            )
        document: oci_manifest.OciIndex | oci_manifest.OciManifest
        if entry.attests:
            document = oci_manifest.attachment(raw.content, where=where)
        else:
            document = oci_manifest.parse(raw.content, entry.media_type)
        if isinstance(document, oci_manifest.OciIndex):
            raise VerificationError("an index inside an index is not supported", where=where)
        self._keep(raw, entry.media_type)
        return self._describe(document, raw.digest, platform)

    def _lone(self, document: oci_manifest.OciManifest, digest: Digest) -> ImageManifest:
        """Take an image that has no index; its config says which platform it is for."""
        config, where = document.config, str(self._reference)
        content = read_blob(self._registry, self._reference.repository, config.digest, config.size)
        platform = oci_manifest.platform_of(content, where=where)
        if self._wanted.platforms != (platform,):
            raise VerificationError(
                f"the image is for {platform} only",
                where=where,
                expected=", ".join(map(str, self._wanted.platforms)),
            )
        return self._describe(document, digest, platform)

    def _describe(
        self, document: oci_manifest.OciManifest, digest: Digest, platform: Platform
    ) -> ImageManifest:
        for part in (document.config, *document.layers):
            self._note(part.digest, part.size, part.media_type)
        return ImageManifest(
            platform=platform,
            digest=digest,
            config=document.config.digest,
            layers=tuple(layer.digest for layer in document.layers),
        )

    def _manifest(self, name: str) -> RawManifest:
        return self._registry.manifest(self._reference.repository, name)

    def _keep(self, raw: RawManifest, media_type: str) -> None:
        self._note(raw.digest, len(raw.content), media_type)
        self._kept.append(raw.content)

    def _note(self, digest: Digest, size: int, media_type: str) -> None:
        self._blobs[digest] = Blob(
            digest=digest, size=size, media_type=media_type, sources=self._repositories
        )


def _chosen(
    index: oci_manifest.OciIndex, platforms: Iterable[Platform]
) -> Iterator[oci_manifest.Descriptor]:
    """Return the entries of an index for these platforms, as far as there are any."""
    for platform in platforms:
        if platform == EVERY:
            yield from index.manifests
            return
        with contextlib.suppress(IncompleteError):
            yield oci_manifest.choose(index, platform)


def read_blob(registry: Puller, repository: str, digest: Digest, size: int) -> bytes:
    """Read a small blob whole, such as an image's config, and check it."""
    where = f"{repository}@{digest}"
    if size > _CONFIG_LIMIT:
        raise FetchError(f"the config has {size:,} bytes", where=where, expected="at most 4 MiB")
    content = registry.document(repository, digest, limit=size)
    if len(content) != size or Digest.of(content) != digest:
        raise VerificationError("the blob does not match its digest", where=where)
    return content


def sources(blob: Blob, registry: Puller) -> list[Source]:
    return [_source(blob, registry, repository) for repository in blob.sources]


def _source(blob: Blob, registry: Puller, repository: str) -> Source:
    """Return one repository as a source; it serves manifests elsewhere than blobs, and whole."""
    name = f"{repository}@{blob.digest}"

    def open_manifest(_offset: int) -> FileStream:
        return FileStream(
            io.BytesIO(registry.manifest(repository, str(blob.digest)).content), 0, name
        )

    def open_blob(offset: int) -> HttpStream:
        return registry.blob(repository, blob.digest, blob.size, offset)

    host = repository.partition("/")[0]
    return Source(name=name, host=host, open=open_manifest if blob.kept else open_blob)
