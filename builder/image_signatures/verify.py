"""Verify an image's signatures: which of the pinned signers made one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from builder.errors import Fault, VerificationError
from builder.image_signatures.certificates import (
    check_chain,
    identity_of,
    is_for,
    read_certificates,
    signing_key,
)
from builder.image_signatures.public_keys import is_signed, read_key, short
from builder.image_signatures.signature import named_in
from builder.image_signatures.transparency_log import logged_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from builder.image_signatures.signature import CosignSignature
    from builder.model.digest import Digest
    from builder.model.reference import Reference
    from builder.model.signer import Authority, Signer


def check_signer(signer: Signer, *, where: str) -> None:
    """Check that all keys and certificates of a signer can be read; raise VerificationError."""
    faults = []
    for text in signer.keys:
        faults += _faults(partial(read_key, text, where=where))
    if signer.authority is not None:
        faults += check_authority(signer.authority, where=where)
    if faults:
        raise VerificationError(
            "this signer cannot be used to verify signatures", where=where, faults=faults
        )


def check_authority(authority: Authority, *, where: str) -> list[Fault]:
    faults = []
    for text in authority.logs:
        faults += _faults(partial(read_key, text, where=where))
    for text in authority.certificates:
        faults += _faults(partial(read_certificates, text, where=where))
    return faults


def verify(
    image: Digest,
    reference: Reference,
    signatures: Sequence[CosignSignature],
    signers: Iterable[Signer],
) -> tuple[Signer, str]:
    """Return the first signer who made one of the signatures, and a name for who that is.

    Raise VerificationError with the reason why each signature is not valid.
    """
    faults, where = [], str(reference)
    for signer in signers:
        for number, signature in enumerate(signatures, 1):
            try:
                return signer, _made_by(image, reference, signature, signer)
            except VerificationError as error:
                name = f"{where}: signature {number}" if len(signatures) > 1 else where
                faults.append(replace(error.fault, where=f"{name}, expected from {signer.name}"))
    if not signatures:
        faults.append(Fault(where=where, what="the image is not signed"))
    raise VerificationError(
        "the image is not signed" if not signatures else "none of its signatures is valid",
        where=where,
        faults=faults,
    )


def _made_by(
    image: Digest, reference: Reference, signature: CosignSignature, signer: Signer
) -> str:
    named = named_in(signature.payload, image)
    name = _by_key(signature, signer)
    if name is None and signature.certificate is not None and signer.identities:
        name = _by_identity(signature, signer)
    if name is None:
        other = "another key"
        if signature.certificate is not None:
            other = "a certificate, and only keys are pinned"
        raise VerificationError(f"it was made with {other}, or was changed afterwards")
    if not signer.names(reference, named, image):
        raise VerificationError(
            f"it is the signature of an image of another name, {named[:120]!r}",
            expected=reference.repository,
            hint="a mirror or a repository that was renamed: say so with signedAs, at the signer",
        )
    return name


def _by_key(signature: CosignSignature, signer: Signer) -> str | None:
    for text in signer.keys:
        key = read_key(text, where=signer.name)
        if is_signed(signature.payload, signature.signature, key):
            return f"{signer.name}, key {short(key)}"
    return None


def _by_identity(signature: CosignSignature, signer: Signer) -> str:
    leaf, *more = read_certificates(signature.certificate or "")
    if not is_signed(signature.payload, signature.signature, signing_key(leaf)):
        raise VerificationError(
            "it was not made with its certificate's key, or was changed afterwards"
        )
    if signer.authority is None:
        raise VerificationError("no authority is pinned to verify its certificate")
    identity = identity_of(leaf)
    if not any(is_for(identity, wanted) for wanted in signer.identities):
        raise VerificationError(
            f"it was made by {identity}", expected=" or ".join(map(str, signer.identities))
        )
    at = logged_at(signature, signer.authority.logs)
    above = read_certificates(signature.chain) if signature.chain else []
    check_chain(leaf, [*more, *above], signer.authority, at)
    return f"{signer.name}, {identity.subject}"


def _faults(read: Callable[[], object]) -> list[Fault]:
    try:
        read()
    except VerificationError as error:
        return [error.fault]
    return []
