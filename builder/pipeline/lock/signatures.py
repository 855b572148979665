"""Locking, signatures of images: who may sign them, and whether somebody has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault, VerificationError
from builder.formats import signers as signer_format
from builder.image_signatures.verify import verify
from builder.model.artifact import File
from builder.model.digest import Digest
from builder.model.fingerprint import fingerprint
from builder.model.reference import Reference
from builder.sources import signature as signature_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.model.artifact import Blob, Image
    from builder.model.signer import Signer
    from builder.pipeline.lock.resolving import Resolving


def documents(
    resolving: Resolving, signers: Sequence[Signer], images: Sequence[Image]
) -> list[File]:
    """Keep what is known of those who signed images: right of the gap there is no catalog."""
    used = {image.signed_by for image in images}
    files = []
    for signer in signers:
        if signer.name in used:
            content = signer_format.write(signer)
            file = File(
                kind="signer",
                path=signer_format.path_of(signer.name),
                digest=resolving.kept.put(content),
                size=len(content),
                sources=(),
                needed_by=("signatures",),
                trust="pinned",
            )
            files.append(file)
    return files


def sign(
    resolving: Resolving, image: Image, signers: Sequence[Signer], source: str
) -> tuple[Image, tuple[Blob, ...]]:
    """Find and verify an image's signatures; return the image with them, and their content.

    ``source`` is the repository that gave the image. Without a signer that requires it, an image
    without a good signature is only reported. Raise VerificationError where one is required.
    """
    own = [signer for signer in signers if signer.signs(image.reference)]
    required = [signer for signer in own if signer.required]
    repositories = tuple(
        dict.fromkeys([source, *(Reference.parse(item).repository for item in image.sources)])
    )
    faults: list[Fault] = []
    best = signature_source.FoundSignatures()
    # a mirror may have the image and not its signatures; nobody looks further for their own sake
    for repository in repositories if own else repositories[:1]:
        try:
            signatures = signature_source.find(
                image.digest, repository, resolving.access.registry, repositories=repositories
            )
            faults += signatures.passed_over
            if not best.signatures:
                best = signatures
            if not signatures.evidence or not own:
                continue
            signer, _ = verify(image.digest, image.reference, signatures.evidence, required or own)
        except AirseedError as error:
            faults += error.faults or (error.fault,)
            continue
        return _signed(resolving, image, signatures, signer)
    if required:
        raise VerificationError(
            f"{' and '.join(item.name for item in required)} should have signed this image",
            where=image.name,
            expected="a good signature",
            hint="without it the image is not what its owner published; or the signer in"
            " cluster.yaml or the catalog is not the right one",
            faults=faults or [Fault(where=image.name, what="the image is not signed")],
        )
    # once another image has failed, that nothing answers here says nothing
    for fault in () if resolving.access.client.is_cancelled else faults:
        resolving.reporter.warn(f"{fault}", hint=fault.hint)
    return _signed(resolving, image, best, None)


def stays(resolving: Resolving, known: Image, signers: Sequence[Signer]) -> bool:
    """Return whether what the earlier lock knows of an image's signatures may stay.

    It may while the same signers are asked for. One that the catalog brings anew is asked about
    when the image moves.
    """
    before = resolving.before
    own = [signer for signer in signers if signer.signs(known.reference)]
    required = {signer.name for signer in own if signer.required}
    if before is None or (required and known.signed_by not in required):
        return False
    if known.signed_by is None:
        ours = {signature.name for signature in resolving.cluster.signatures}
        same = before.subject.demand == fingerprint(resolving.wanted)
        return same or not any(signer.name in ours for signer in own)
    documents = {file.path: file.digest for file in before.files if file.kind == "signer"}
    return any(
        signer.name == known.signed_by
        and documents.get(signer_format.path_of(signer.name))
        == Digest.of(signer_format.write(signer))
        for signer in own
    )


def _signed(
    resolving: Resolving,
    image: Image,
    signatures: signature_source.FoundSignatures,
    signer: Signer | None,
) -> tuple[Image, tuple[Blob, ...]]:
    for content in signatures.kept:
        resolving.kept.put(content)
    image = replace(
        image,
        signatures=signatures.signatures,
        signed_by=signer.name if signer else None,
        trust="signed" if signer and image.trust == "first-use" else image.trust,
    )
    return image, signatures.blobs
