"""The verdict over an image's signatures: who of those that were pinned made one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from builder.errors import Fault, VerificationError
from builder.signatures.certificates import (
    check_chain,
    identity_of,
    is_for,
    read_certificates,
    signing_key,
)
from builder.signatures.evidence import check_payload
from builder.signatures.keys import is_signed, read_key, short
from builder.signatures.log import logged_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from builder.model.digest import Digest
    from builder.model.signer import Authority, Signer
    from builder.signatures.evidence import Evidence


def check_signer(signer: Signer, *, where: str) -> None:
    """Check that all keys and certificates of a signer can be read; raise VerificationError."""
    faults = []
    for text in signer.keys:
        faults += _faults(partial(read_key, text, where=where))
    if signer.authority is not None:
        faults += check_authority(signer.authority, where=where)
    if faults:
        raise VerificationError(
            "signatures cannot be checked with this", where=where, faults=faults
        )


def check_authority(authority: Authority, *, where: str) -> list[Fault]:
    """Give what cannot be read of an authority's certificates and logs."""
    faults = []
    for text in authority.logs:
        faults += _faults(partial(read_key, text, where=where))
    for text in authority.certificates:
        faults += _faults(partial(read_certificates, text, where=where))
    return faults


def judge(
    image: Digest, signatures: Sequence[Evidence], signers: Iterable[Signer], *, where: str
) -> tuple[Signer, str]:
    """Give the first signer of whom one of the signatures is, and in words who that is.

    Raise VerificationError that says of every signature why it counts for nothing.
    """
    faults = []
    for signer in signers:
        for number, one in enumerate(signatures, 1):
            try:
                return signer, _who(image, one, signer)
            except VerificationError as error:
                name = f"{where}: signature {number}" if len(signatures) > 1 else where
                faults.append(replace(error.fault, where=f"{name}, as {signer.name}'s"))
    if not signatures:
        faults.append(Fault(where=where, what="the image is not signed"))
    raise VerificationError(
        "the image is not signed" if not signatures else "no signature of it counts",
        where=where,
        faults=faults,
    )


def _who(image: Digest, one: Evidence, signer: Signer) -> str:
    """Check one signature against one signer; give who made it."""
    check_payload(one.payload, image)
    words = _by_key(one, signer)
    if words is None and one.certificate is not None and signer.identities:
        words = _by_identity(one, signer)
    if words is None:
        who = (
            "another key" if one.certificate is None else "a certificate, and only keys are pinned"
        )
        raise VerificationError(f"it is made with {who}, or it was changed")
    return words


def _by_key(one: Evidence, signer: Signer) -> str | None:
    for text in signer.keys:
        key = read_key(text, where=signer.name)
        if is_signed(one.payload, one.signature, key):
            return f"{signer.name}, key {short(key)}"
    return None


def _by_identity(one: Evidence, signer: Signer) -> str:
    leaf, *more = read_certificates(one.certificate or "")
    if not is_signed(one.payload, one.signature, signing_key(leaf)):
        raise VerificationError("it is not made with its certificate's key, or it was changed")
    if signer.authority is None:
        raise VerificationError("no authority is pinned to check its certificate with")
    found = identity_of(leaf)
    if not any(is_for(found, wanted) for wanted in signer.identities):
        raise VerificationError(
            f"it is of {found}", expected=" or ".join(map(str, signer.identities))
        )
    at = logged_at(one, signer.authority.logs)
    above = read_certificates(one.chain) if one.chain else []
    check_chain(leaf, [*more, *above], signer.authority, at)
    return f"{signer.name}, {found.subject}"


def _faults(read: Callable[[], object]) -> list[Fault]:
    try:
        read()
    except VerificationError as error:
        return [error.fault]
    return []
