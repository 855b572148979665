"""What a lock says of its images, held against the bytes of their indexes and manifests.

docker loads an image by the configuration and layers that the lock names, containerd by its index;
a signature is over the index alone. So that all speak of the same image, each document is read
once, where its bytes pass by anyhow (while they are fetched or hashed), and must say what the lock
says: platforms, manifests, configuration and layers in their order, sizes and media types.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.errors import Fault, IncompleteError, VerificationError
from builder.model.platform import Platform
from builder.oci import containerd
from builder.oci import manifest as oci_manifest
from builder.oci.manifest import MANIFEST_LIMIT, Descriptor, OciIndex, OciManifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from builder.model.artifact import Blob, Image, ImageManifest
    from builder.model.digest import Digest

LIMIT = MANIFEST_LIMIT
"""Bytes of an index, a manifest or a configuration."""
_UNKNOWN = Platform("unknown", "unknown")
_CONFIG = ("os", "architecture", "rootfs")


class ImageGraphs:
    """Check documents in any order and from several threads; all faults name the image.

    ``platforms`` are those of the nodes.
    """

    def __init__(
        self, images: Iterable[Image], blobs: Iterable[Blob], platforms: Iterable[Platform] = ()
    ) -> None:
        self._platforms = frozenset(platforms)
        self._blobs = {blob.digest: blob for blob in blobs}
        self._tops: dict[Digest, list[Image]] = {}
        self._parts: dict[Digest, list[tuple[Image, ImageManifest]]] = {}
        self._configs: dict[Digest, list[tuple[Image, ImageManifest]]] = {}
        self._signatures: dict[Digest, tuple[Image, frozenset[Digest]]] = {}
        self._named: dict[Digest, str] = {}
        self._said: set[tuple[Digest, str, int]] = set()
        self._faulty: set[str] = set()
        for image in images:
            self._tops.setdefault(image.digest, []).append(image)
            for part in image.manifests:
                self._parts.setdefault(part.digest, []).append((image, part))
                self._configs.setdefault(part.config, []).append((image, part))
            for signature in image.signatures:
                self._signatures[signature.digest] = image, frozenset(signature.blobs)
            for digest in image.digests | image.signed_digests:
                self._named.setdefault(digest, image.name)

    def __contains__(self, digest: object) -> bool:
        """Tell whether something is a document whose bytes are to be checked."""
        return (
            digest in self._tops
            or digest in self._parts
            or digest in self._configs
            or digest in self._signatures
        )

    def check(self, digest: Digest, content: bytes) -> list[Fault]:
        """Compare a document, whose digest is right, with what the lock says of it."""
        try:
            faults = list(dict.fromkeys(self._faults(digest, content)))
        except VerificationError as error:
            faults = [Fault(where=self._named[digest], what=str(error))]
        self._faulty.update(fault.where for fault in faults)
        return faults

    def _faults(self, digest: Digest, content: bytes) -> Iterator[Fault]:
        if len(content) > LIMIT:
            raise VerificationError(f"{digest} has more than {LIMIT:,} bytes")
        if digest in self._tops or digest in self._parts:
            yield from self._image(digest, content)
        if digest in self._signatures:
            yield from self._signature(digest, content)
        for image, part in self._configs.get(digest, ()):
            yield from _config(image, part, content, of_node=part.platform in self._platforms)

    def unproven(self) -> Iterator[Fault]:
        """Return blobs of which no document said what the lock says, once all were checked.

        Of images of which something is known to be wrong nothing more is said.
        """
        for digest, name in self._named.items():
            blob = self._blobs.get(digest)
            said = blob is None or (digest, blob.media_type, blob.size) in self._said
            if blob is not None and not said and name not in self._faulty:
                yield Fault(
                    where=name,
                    what=f"the lock has {blob.size:,} bytes and {blob.media_type} for {digest}",
                    expected="what the image's manifest says of it",
                )

    def _image(self, digest: Digest, content: bytes) -> Iterator[Fault]:
        """Check an index or manifest, for each image that has it."""
        tops, parts = self._tops.get(digest, []), self._parts.get(digest, [])
        blob = self._blobs.get(digest)
        declared = tops[0].media_type if tops else blob.media_type if blob else ""
        if parts and all(part.platform == _UNKNOWN for _, part in parts) and not tops:
            document: OciIndex | OciManifest = oci_manifest.attachment(content, where=str(digest))
        else:
            document = oci_manifest.parse(content, declared)
        if tops:
            self._said.add((digest, document.media_type, len(content)))
        for image in tops:
            if image.media_type != document.media_type or image.size != len(content):
                what = f"the lock has {image.size:,} bytes and {image.media_type} for {digest}"
                yield Fault(
                    where=image.name,
                    what=what,
                    expected=f"{len(content):,} and {document.media_type}, as it is",
                )
        if isinstance(document, OciManifest):
            self._note(document.config, *document.layers)
            yield from _lone(tops, digest)
            for image, part in parts:
                yield from _part(image, part, document)
            return
        self._note(*document.manifests)
        for image, _ in parts:
            yield Fault(where=image.name, what=f"its manifest {digest} is an index")
        for image in tops:
            yield from _platforms(image, document, self._platforms)

    def _signature(self, digest: Digest, content: bytes) -> Iterator[Fault]:
        image, blobs = self._signatures[digest]
        document = oci_manifest.attachment(content, where=str(digest))
        self._said.add((digest, document.media_type, len(content)))
        self._note(document.config, *document.layers)
        parts = {document.config.digest, *(layer.digest for layer in document.layers)}
        if parts != blobs:
            what = f"its signature {digest} has other parts in the lock"
            yield Fault(where=image.name, what=what, expected=_listed(parts))

    def _note(self, *descriptors: Descriptor) -> None:
        self._said.update((one.digest, one.media_type, one.size) for one in descriptors)


def _lone(tops: Iterable[Image], digest: Digest) -> Iterator[Fault]:
    """Check images without an index: they are their only manifest."""
    for image in tops:
        if [part.digest for part in image.manifests] != [digest]:
            yield Fault(
                where=image.name,
                what=f"the lock has the manifests {_listed(p.digest for p in image.manifests)}",
                expected=f"{digest} alone, since the image has no index",
            )


def _platforms(image: Image, index: OciIndex, of_nodes: Collection[Platform]) -> Iterator[Fault]:
    """Check that an index names each manifest for the platform for which the lock has it."""
    entries: dict[Digest, list[Descriptor]] = {}
    for entry in index.manifests:
        entries.setdefault(entry.digest, []).append(entry)
    wrong = False
    for part in image.manifests:
        own = entries.get(part.digest, [])
        if own and _is_for(replace(index, manifests=tuple(own)), part.platform):
            continue
        wrong = True
        if not own:
            what = f"its index {image.digest} does not name the manifest {part.digest}"
            yield Fault(where=image.name, what=what)
            continue
        named = sorted({str(entry.platform or _UNKNOWN) for entry in own})
        yield Fault(
            where=image.name,
            what=f"the lock has the manifest {part.digest} for {part.platform}",
            expected=f"{' or '.join(named)}, as its index says",
        )
    if not wrong:
        yield from _others(image, index, of_nodes)


def _others(image: Image, index: OciIndex, of_nodes: Collection[Platform]) -> Iterator[Fault]:
    """Check that containerd, which looks into the index, takes the manifest that docker gets."""
    firsts: dict[Platform, Digest] = {}
    for part in image.manifests:
        if part.platform in of_nodes:
            firsts.setdefault(part.platform, part.digest)
    for platform, digest in firsts.items():
        try:
            chosen = oci_manifest.choose(index, platform).digest
        except IncompleteError as error:
            yield replace(error.fault, where=image.name)
            continue
        other = chosen if chosen != digest else containerd.taken(index, platform)
        if other != digest:
            yield Fault(
                where=image.name,
                what=f"the lock has the manifest {digest} first for {platform}",
                expected=f"{other}, which containerd takes of its index",
            )


def _is_for(own: OciIndex, platform: Platform) -> bool:
    """Tell whether one of a manifest's entries is for a platform, or for what runs there."""
    if any((entry.platform or _UNKNOWN) == platform for entry in own.manifests):
        return True
    try:
        oci_manifest.choose(own, platform)
    except IncompleteError:
        return False
    return True


def _part(image: Image, part: ImageManifest, manifest: OciManifest) -> Iterator[Fault]:
    """Check that configuration and layers are the manifest's."""
    if part.config != manifest.config.digest:
        yield Fault(
            where=image.name,
            what=f"the lock has the configuration {part.config} for its manifest {part.digest}",
            expected=f"{manifest.config.digest}, as the manifest says",
        )
    layers = tuple(layer.digest for layer in manifest.layers)
    if part.layers != layers:
        yield Fault(
            where=image.name,
            what=f"the lock has the layers {_listed(part.layers)} for its manifest {part.digest}",
            expected=f"{_listed(layers)}, as the manifest says",
        )


def _config(image: Image, part: ImageManifest, content: bytes, *, of_node: bool) -> Iterator[Fault]:
    """Check what a configuration says of the layers and of the platform."""
    if part.platform == _UNKNOWN:
        return  # a statement about an image: its configuration may be anything
    where, own = image.name, f"its configuration {part.config}"
    try:
        document = strict_json.load(content)
    except ValueError as error:
        yield Fault(where=where, what=f"{own}: {error}")
        return
    document = document if isinstance(document, dict) else {}
    rootfs = document.get("rootfs")
    rootfs = rootfs if isinstance(rootfs, dict) else {}
    for item, known in ((document, _CONFIG), (rootfs, ("diff_ids",))):
        if key := oci_manifest.misread(item, known):
            yield Fault(where=where, what=f"{own} has the key {key[:40]!r}, which is misread")
    ids: Any = rootfs.get("diff_ids")
    ids = ids if isinstance(ids, list) else []
    if len(ids) != len(part.layers):
        yield Fault(
            where=where,
            what=f"{own} names {len(ids)} layers",
            expected=f"{len(part.layers)}, as its manifest {part.digest} does",
        )
    elif len(set(zip(part.layers, map(str, ids), strict=True))) != len(set(part.layers)):
        yield Fault(where=where, what=f"{own} gives one layer two contents")
    if part.digest == image.digest or of_node:
        yield from _platform(image, part, document, content)


def _platform(
    image: Image, part: ImageManifest, document: dict[str, Any], content: bytes
) -> Iterator[Fault]:
    """Compare platforms; where an index has said it, a configuration may leave it out."""
    if part.digest == image.digest:
        try:
            said = str(oci_manifest.platform_of(content))
        except VerificationError as error:
            yield Fault(where=image.name, what=str(error))
            return
        right = said == str(part.platform)
    else:
        both = (
            (document.get("os"), part.platform.os),
            (document.get("architecture"), part.platform.architecture),
        )
        said = "/".join(str(one or wanted)[:20] for one, wanted in both)
        right = all(one in {None, "", wanted} for one, wanted in both)
    if not right:
        yield Fault(
            where=image.name,
            what=f"the lock has the manifest {part.digest} for {part.platform}",
            expected=f"{said}, as its configuration says",
        )


def _listed(digests: Iterable[Digest]) -> str:
    return ", ".join(digest.short for digest in digests) or "none"
