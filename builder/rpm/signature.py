"""The signature in an RPM's header, checked with pinned keys.

Only lead, signature header and header are read. What proves what:

- the header signature (tag RSAHEADER or DSAHEADER) covers the header: name, version,
  dependencies, scripts, and in newer RPMs the payload's digest; it is what is checked here;
- the older SIGPGP or SIGGPG covers header and payload; EL7's RPMs carry both, and no payload
  digest. :mod:`builder.rpm.payload` looks at it, when the payload has arrived;
- the SHA-256 of the whole file in the lock covers everything, but proves who made it only where it
  comes from signed metadata or from the catalog.

CentOS 7 signs with version 3 signatures and keys that certify themselves with SHA-1, and its rpm
does not read what newer ones write besides (the tag OPENPGP). So RSA (RFC 8017 8.2.2) and DSA over
an OpenPGP digest (RFC 4880 5.2.4) are checked here, and who signed is whose key fits: what a
signature says of its issuer anybody can write, and libraries believe one of several.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError
from builder.model.rpm import Nevra
from builder.openpgp import first_packet
from builder.rpm.certificates import SIGNATURE, doubt, made_by
from builder.rpm.header import BINARY, check_digests, main_header, signature_tags, value
from builder.rpm.packet_signature import CHECKED, Signature, read_signature
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.rpm.keys import RpmKey

_OVER_HEADER = (268, 267)
_OPENPGP = 278
_OVER_ALL = {1002, 1005}
_CHANGED = "the RPM was changed after it was signed, or damaged on the way"


def verify_signature(head: bytes, keys: Sequence[RpmKey], *, where: str = "RPM") -> str:
    """Check the header signature with pinned keys; return the fingerprint of the one that signed.

    ``head`` is what :func:`builder.rpm.header.read_head` gives; more bytes do no harm. Raise
    VerificationError when the RPM is damaged, unsigned, changed, or signed by another key.
    """
    tags = signature_tags(head, where=where)
    header = main_header(head, where=where)
    found = [value(head, tag, signature=True, where=where) for tag in _OVER_HEADER]
    signers = [_signer(packet, header, keys, where) for packet in found if packet]
    if not signers:
        what = "its header is not signed" if tags & _OVER_ALL else "the RPM is not signed"
        if _OPENPGP in tags:
            what = "it is signed by the tag OPENPGP alone, which rpm of EL7 does not read"
        raise VerificationError(what, where=where, expected=_expected(keys))
    check_digests(head, where=where)
    return signers[0]


def _signer(packet: tuple[int, bytes], header: bytes, keys: Sequence[RpmKey], where: str) -> str:
    signature = read_packet(packet, "the header", where)
    digest = hashlib.new(signature.hash or "", header + signature.trailer, usedforsecurity=False)
    if key := signed_by(signature, digest.digest(), keys, "", where):
        return key.fingerprint
    for key in keys:
        if key.has(signature.issuer):
            raise VerificationError(
                f"the signature of {key} is not good: the header is not what it covers",
                where=where,
                hint=_CHANGED,
            )
    raise VerificationError(
        f"the RPM is signed by the key {signature.issuer or 'of an unknown number'}",
        where=where,
        expected=_expected(keys),
    )


def signed_by(
    signature: Signature, digest: bytes, keys: Sequence[RpmKey], over: str, where: str
) -> RpmKey | None:
    """Return the key that made a signature; raise VerificationError for one that does not count."""
    for key in keys:
        if part := made_by(signature, digest, key.content):
            if why := doubt(key.content, part.fingerprint, signature.created):
                raise VerificationError(
                    f"the signature of {key}{over} does not count: {why}", where=where
                )
            return key
    return None


def read_packet(packet: tuple[int, bytes], over: str, where: str) -> Signature:
    """Read a signature of version 3 or 4 over binary data; raise VerificationError.

    ``packet`` is its tag's kind and content.
    """
    kind, content = packet
    try:
        # rpm takes a signature from a tag of bytes alone
        tag, body = first_packet(content if kind == BINARY else b"")
        signature = read_signature(body) if tag == SIGNATURE else None
        why = "it is not a signature of version 3 or 4"
    except (IndexError, ValueError) as error:
        signature, why = None, str(error)
    if signature and (signature.kind or signature.algorithm not in CHECKED or not signature.hash):
        why = f"it has type {signature.kind}, algorithm {signature.algorithm}"
    elif signature:
        return signature
    raise VerificationError(
        f"the signature over {over} can't be read: {why}",
        where=where,
        expected="RSA or DSA, as rpm of EL7 knows no other",
    )


def read_nevra(head: bytes, *, where: str = "RPM") -> Nevra:
    """Read the name, to see whether an RPM is the one that a lock names.

    Raise VerificationError for a damaged header.
    """
    metadata = read_metadata(head, where=where)
    with translated(where):
        name = metadata.nevra()
        epoch = f"{name.epoch}:" if name.epoch else ""
        return Nevra.parse(f"{name.name}-{epoch}{name.version}-{name.release}.{name.arch}")


def read_metadata(head: bytes, *, where: str) -> Any:
    """Return rpm-rs's values of a head; raise VerificationError for a damaged one."""
    signature_tags(head, where=where)
    with translated(where):
        return load_rpm_rs().PackageMetadata.from_bytes(head)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what rpm-rs raises into a VerificationError."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:  # rpm-rs raises RuntimeError for all
        said = plain(" ".join(str(error).split()))
        raise VerificationError(f"the RPM's header is damaged: {said}", where=where) from error


def _expected(keys: Sequence[RpmKey]) -> str:
    return "a signature of " + (" or ".join(str(key) for key in keys) or "a pinned key")


def load_rpm_rs() -> Any:
    import rpm_rs  # noqa: PLC0415 -- heavy, and only needed where RPMs are checked

    return rpm_rs
