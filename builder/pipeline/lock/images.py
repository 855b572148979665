"""Locking, images: everything that will be started, resolved to digests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import Fault, IncompleteError, UnavailableError
from builder.model.demand import EXTRA, merged
from builder.model.image_names import ImageNames
from builder.model.reference import Reference
from builder.pipeline.lock import signatures
from builder.sources import image as image_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.model.artifact import Blob, Image, Trust
    from builder.model.demand import WantedImage
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.signer import Signer
    from builder.pipeline.lock.resolving import Resolving


def resolve(
    resolving: Resolving, wanted: Iterable[WantedImage], signers: Sequence[Signer] = ()
) -> tuple[tuple[Image, ...], tuple[Blob, ...]]:
    """Return every image with its signatures, and all their content, each blob once."""
    ordered = sorted(merged(wanted), key=lambda asked: asked.reference)
    parts = resolving.each("images", ordered, lambda asked: _resolve(resolving, asked, signers))
    images = [image for image, _ in parts]
    names = ImageNames(resolving.cluster.registry)
    names.refuse_clashes(images)
    _warn_of_digests(resolving, images, names)
    blobs: dict[Digest, Blob] = {}
    for _, its_blobs in parts:
        for blob in its_blobs:
            known = blobs.setdefault(blob.digest, blob)
            sources = tuple(dict.fromkeys((*known.sources, *blob.sources)))
            blobs[blob.digest] = replace(known, sources=sources)
    _refuse_unloadable(resolving, images, blobs)
    images.sort(key=lambda image: image.name)
    return tuple(images), tuple(blobs[digest] for digest in sorted(blobs))


def _refuse_unloadable(
    resolving: Resolving, images: Iterable[Image], blobs: Mapping[Digest, Blob]
) -> None:
    """Raise IncompleteError for images whose layers the nodes' runtime cannot unpack or stack."""
    runtime = resolving.wanted.runtime
    faults = []
    for image in images:
        stacks = [
            part.layers for part in image.manifests if part.platform in resolving.cluster.platforms
        ]
        packed = {blobs[layer].compression for layers in stacks for layer in layers}
        packed -= {"", *runtime.of.unpacks}
        for compression in sorted(packed):
            able = resolving.catalog.unpacking(runtime.name, compression)
            faults.append(
                Fault(
                    where=image.name,
                    what=f"has layers compressed with {compression}, which {runtime} cannot unpack",
                    expected=f"{runtime.name} {able} or newer" if able else "gzip",
                )
            )
        deepest, most = max(map(len, stacks), default=0), runtime.of.layers
        if most and deepest > most:
            faults.append(
                Fault(
                    where=image.name,
                    what=f"has {deepest} layers, and {runtime.name} stacks {most} at most",
                    expected=f"an image built with fewer, or another runtime than {runtime.name}",
                )
            )
    if faults:
        raise IncompleteError(
            f"{runtime} cannot start all of the images",
            hint="set runtime to what can, or build such images again",
            faults=faults,
        )


def _warn_of_digests(resolving: Resolving, images: Iterable[Image], names: ImageNames) -> None:
    """Say under which name a node has what is asked for by a digest, and stands in no manifest."""
    if resolving.cluster.registry is None and resolving.wanted.runtime.name != "docker":
        return  # containerd has what it imports by the digest, too
    for image in images:
        if EXTRA in image.needed_by and image.reference.digest:
            resolving.reporter.warn(
                f"nodes will have {image.name} as {names.name(image.reference)}",
                hint="only what was pulled has a digest; pods that you start later use that name",
            )


def _resolve(
    resolving: Resolving, wanted: WantedImage, signers: Sequence[Signer]
) -> tuple[Image, tuple[Blob, ...]]:
    name = str(wanted.reference)
    candidates = resolving.catalog.image_sources(wanted.reference)
    before = None
    spelled = [asked for asked in resolving.update if _means(asked, wanted.reference)]
    if not resolving.may_move(name, wanted.reference.path, *spelled):
        before = _image(resolving.before, wanted.reference)
        kept = _kept(resolving, before, wanted, candidates, signers)
        if kept is not None:
            return kept
    asked = image_source.ImageRequest(
        reference=wanted.reference,
        candidates=candidates,
        platforms=resolving.cluster.platforms,
        more=resolving.cluster.image_platforms,
        roles=wanted.roles,
        needed_by=wanted.needed_by,
        expected=before.digest if before else None,
        trust=wanted.trust,
    )
    try:
        resolved = image_source.resolve(asked, resolving.access.registry)
    except UnavailableError as error:
        if before is None:
            raise
        raise UnavailableError(
            "no source has this image as the lock has it",
            where=error.fault.where,
            expected=error.fault.expected,
            hint=f"airseed lock --update {name} takes what upstream has now",
            faults=error.faults,
        ) from error
    for content in resolved.kept:
        resolving.kept.put(content)
    resolving.passed_over(name, str(resolved.source), resolved.passed_over)
    for fault in resolved.left_out:
        resolving.reporter.info(f"left out of {name}: {fault}")
    image, blobs = signatures.sign(
        resolving,
        replace(resolved.image, hops=wanted.hops),
        signers,
        resolved.source.repository,
    )
    return image, (*resolved.blobs, *blobs)


def _kept(
    resolving: Resolving,
    known: Image | None,
    wanted: WantedImage,
    candidates: tuple[Reference, ...],
    signers: Sequence[Signer],
) -> tuple[Image, tuple[Blob, ...]] | None:
    """Take an image from the earlier lock if it is whole there, for the same platforms."""
    before = resolving.before
    if before is None or known is None:
        return None
    cluster = resolving.cluster
    platforms = tuple(part.platform for part in known.manifests)
    if platforms[: len(cluster.platforms)] != cluster.platforms:
        return None
    if before.subject.image_platforms != cluster.image_platforms:
        return None
    stays = signatures.stays(resolving, known, signers)
    parts = known.digests | known.signed_digests if stays else known.digests
    repositories = tuple(dict.fromkeys(candidate.repository for candidate in candidates))
    blobs = [replace(b, sources=repositories) for b in before.blobs if b.digest in parts]
    if any(blob.kept and resolving.kept.find(blob.digest) is None for blob in blobs):
        return None
    image = replace(
        known,
        roles=wanted.roles,
        needed_by=wanted.needed_by,
        sources=tuple(map(str, candidates)),
        hops=wanted.hops,
    )
    if stays:
        return image, tuple(blobs)
    trust: Trust = "first-use" if known.trust == "signed" else known.trust
    image = replace(image, signatures=(), signed_by=None, trust=trust)
    image, more = signatures.sign(resolving, image, signers, repositories[0])
    return image, (*blobs, *more)


def _means(asked: str, reference: Reference) -> bool:
    """Tell whether a name is an image's however it is spelled, with or without its tag."""
    try:
        named = Reference.parse(asked)
    except ValueError:
        return False
    return (
        named == reference
        or asked == reference.repository
        or (
            named.repository == reference.repository
            and not {":", "@"} & {*asked.rpartition("/")[2]}
        )
    )


def _image(lock: Lock | None, reference: Reference) -> Image | None:
    images = lock.images if lock is not None else ()
    return next((image for image in images if image.reference == reference), None)
