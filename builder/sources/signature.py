"""Signatures of images: what cosign has put beside them in their repositories.

They are manifests of their own: under the tag ``sha256-<digest>.sig``, and where the registry
knows who refers to an image (OCI 1.1), among those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder import strict_json
from builder.errors import VerificationError
from builder.http import StatusError
from builder.image_signatures.signature import PAYLOAD_LIMIT, CosignSignature, read_signature
from builder.model.artifact import PAYLOAD_TYPE, Blob
from builder.model.digest import Digest
from builder.model.signer import ImageSignature
from builder.oci import manifest as oci_manifest
from builder.oci.layout import signature_tag
from builder.sources.image import read_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.errors import Fault
    from builder.oci.manifest import OciManifest
    from builder.oci.pull import Puller

ARTIFACT_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
_CONFIG_LIMIT = 1 << 16
_MOST = 32
_LACKING = {400, 403, 404, 405, 406, 415, 501}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSignatures:
    signatures: tuple[ImageSignature, ...] = ()
    blobs: tuple[Blob, ...] = ()
    kept: tuple[bytes, ...] = ()
    """Their manifests, byte for byte."""
    evidence: tuple[CosignSignature, ...] = ()
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with those that cannot be read."""


def find(
    image: Digest, repository: str, registry: Puller, *, repositories: Sequence[str]
) -> FoundSignatures:
    """Look for the signatures of an image in a repository; nothing of them is trusted.

    ``repositories`` are those that may have their blobs. Raise FetchError, or VerificationError
    where there are too many.
    """
    found = FoundSignatures()
    for content in _manifests(image, repository, registry):
        try:
            one = _read(content, repository, registry, repositories)
        except (VerificationError, StatusError) as error:
            if isinstance(error, StatusError) and error.status not in _LACKING:
                raise
            # anybody who may write there may add one: it is no fault of the others
            found = replace(found, passed_over=(*found.passed_over, error.fault))
            continue
        blobs = {blob.digest: blob for blob in (*found.blobs, *one.blobs)}
        found = FoundSignatures(
            signatures=tuple(sorted((*found.signatures, *one.signatures), key=_digest)),
            blobs=tuple(blobs[digest] for digest in sorted(blobs)),
            kept=(*found.kept, *one.kept),
            evidence=(*found.evidence, *one.evidence),
            passed_over=found.passed_over,
        )
        if len(found.evidence) > _MOST:
            raise _too_many(len(found.evidence), repository)
    return found


def _digest(item: ImageSignature) -> Digest:
    return item.digest


def _read(
    content: bytes, repository: str, registry: Puller, repositories: Sequence[str]
) -> FoundSignatures:
    """Read one manifest, and what it names."""
    manifest = read(content, where=repository)
    parts = (manifest.config, *manifest.layers)
    own = oci_manifest.Descriptor(
        media_type=manifest.media_type, digest=manifest.digest, size=len(content)
    )
    blobs = {
        part.digest: Blob(
            digest=part.digest,
            size=part.size,
            media_type=part.media_type,
            sources=tuple(repositories),
        )
        for part in (own, *parts)
    }
    signature = ImageSignature(
        digest=manifest.digest,
        size=len(content),
        blobs=tuple(dict.fromkeys(part.digest for part in parts)),
    )
    evidence = evidence_of(
        manifest,
        lambda digest: read_blob(registry, repository, digest, blobs[digest].size),
        where=repository,
    )
    return FoundSignatures(
        signatures=(signature,),
        blobs=tuple(blobs.values()),
        kept=(content,),
        evidence=tuple(evidence),
    )


def read(content: bytes, *, where: str) -> OciManifest:
    """Read a signature's manifest; raise VerificationError for one that is too large or odd."""
    manifest = oci_manifest.attachment(content, where=where)
    for part, limit in (
        (manifest.config, _CONFIG_LIMIT),
        *((layer, PAYLOAD_LIMIT) for layer in manifest.layers),
    ):
        if part.size > limit:
            raise VerificationError(
                f"a signature's part has {part.size:,} bytes",
                where=f"{where}@{manifest.digest}",
                expected=f"at most {limit:,}",
            )
    if len(manifest.layers) > _MOST:
        raise _too_many(len(manifest.layers), where)
    return manifest


def evidence_of(
    manifest: OciManifest, content: Callable[[Digest], bytes], *, where: str
) -> list[CosignSignature]:
    """Put together what a manifest has: each layer that is a payload is one signature."""
    return [
        read_signature(content(layer.digest), layer.annotations, where=f"{where}@{manifest.digest}")
        for layer in manifest.layers
        if layer.media_type == PAYLOAD_TYPE
    ]


def _manifests(image: Digest, repository: str, registry: Puller) -> list[bytes]:
    contents: dict[Digest, bytes] = {}
    try:
        raw = registry.manifest(repository, signature_tag(image))
        contents[raw.digest] = raw.content
    except StatusError as error:
        if error.status not in _LACKING:
            raise
    index = registry.referrers(repository, image)
    for digest in _referring(index, repository) if index is not None else ():
        if digest not in contents:
            contents[digest] = registry.manifest(repository, str(digest)).content
    return list(contents.values())


def _referring(content: bytes, where: str) -> list[Digest]:
    """Return the digests of those that are signatures, out of all that refer to an image."""
    try:
        document = strict_json.load(content)
        entries = document["manifests"]
        texts = [entry["digest"] for entry in entries if entry.get("artifactType") == ARTIFACT_TYPE]
        # one of another algorithm is asked for by nobody
        found = [Digest.parse(text) for text in texts if text.startswith("sha256:")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(
            "the list of what refers to the image can't be read", where=where
        ) from error
    if len(found) > _MOST:
        raise _too_many(len(found), where)
    return found


def _too_many(count: int, where: str) -> VerificationError:
    return VerificationError(
        f"the image has {count} signatures", where=where, expected=f"at most {_MOST} in all"
    )
