"""``verify``, signatures of images: what was signed when it was locked is signed in the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault
from builder.formats import signers as signer_format
from builder.formats.text import decode
from builder.image_signatures.verify import verify
from builder.model.artifact import blob_path
from builder.sources import signature as signature_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.image_signatures.signature import CosignSignature
    from builder.model.artifact import Image
    from builder.model.digest import Digest
    from builder.model.lock import Lock


def check(
    lock: Lock, read: Callable[[str], bytes], present: Callable[[str], bool]
) -> Iterator[Fault]:
    """Return images whose signature is not good, or not of the signer that the lock names.

    ``read`` gives a member by its path, ``present`` tells whether the bundle has it: a delta may
    lack what the other side has.
    """
    for image in lock.images:
        if image.signed_by is None:
            continue
        if not all(present(blob_path(digest)) for digest in image.signed_digests):
            continue
        try:
            path = signer_format.path_of(image.signed_by)
            signer = signer_format.parse(decode(read(path), path), path)
            if not signer.signs(image.reference):
                what = (
                    f"the lock says {signer.name} signed it, who signs {', '.join(signer.images)}"
                )
                yield Fault(where=image.name, what=what)
                continue
            verify(image.digest, image.reference, signatures_of(image, read), [signer])
        except AirseedError as error:
            yield from error.faults or (error.fault,)


def signatures_of(image: Image, read: Callable[[str], bytes]) -> list[CosignSignature]:
    """Put together the signatures of an image; raise VerificationError for what is none."""

    def content(digest: Digest) -> bytes:
        return read(blob_path(digest))

    signatures: list[CosignSignature] = []
    for signature in image.signatures:
        manifest = signature_source.read(content(signature.digest), where=image.name)
        signatures += signature_source.evidence_of(manifest, content, where=image.name)
    return signatures
