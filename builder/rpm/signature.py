"""The signature in an RPM's header, checked with pinned keys by rpm-rs.

Only lead, signature header and header are read. What proves what:

- the header signature (tag RSAHEADER or DSAHEADER) covers the header: name, version,
  dependencies, scripts, and in newer RPMs the payload's digest; it is what is checked here;
- the older SIGPGP or SIGGPG covers header and payload; EL7's RPMs carry both, and no payload
  digest. :mod:`builder.rpm.payload` looks at it, when the payload has arrived;
- the SHA-256 of the whole file in the lock covers everything, but proves who made it only where it
  comes from signed metadata or from the catalog.

CentOS 7 signs with version 3 signatures and keys that certify themselves with SHA-1; rpm-rs
accepts both, as yum of EL7 does.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError
from builder.model.rpm import Nevra
from builder.rpm.certificates import doubt
from builder.rpm.header import signature_tags
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.rpm.keys import RpmKey

_DSA_HEADER, _RSA_HEADER, _OPENPGP = 267, 268, 278
_OVER_HEADER = {_DSA_HEADER, _RSA_HEADER, _OPENPGP}
_OVER_ALL = {1002, 1005}


def verify_signature(head: bytes, keys: Sequence[RpmKey], *, where: str = "RPM") -> str:
    """Check the header signature with pinned keys; return the fingerprint of the one that signed.

    ``head`` is what :func:`builder.rpm.header.read_head` gives; more bytes do no harm. Raise
    VerificationError when the RPM is damaged, unsigned, changed, or signed by another key.
    """
    tags = signature_tags(head, where=where)
    if not tags & _OVER_HEADER:
        what = "its header is not signed" if tags & _OVER_ALL else "the RPM is not signed"
        raise VerificationError(what, where=where, expected=_expected(keys))
    metadata = _metadata(head, where)
    issuers = _issuers(metadata, where)
    matching = [key for key in keys if any(key.has(issuer) for issuer in issuers)]
    if not matching:
        signers = " and ".join(issuers) or "of an unknown number"
        raise VerificationError(
            f"the RPM is signed by the key {signers}", where=where, expected=_expected(keys)
        )
    fault = ""
    for key in matching:
        fault = _fault(metadata, key)
        if fault:
            continue
        for issuer, made in issuers.items():
            if key.has(issuer) and (why := doubt(key.content, issuer, made)):
                raise VerificationError(
                    f"the signature of {key} does not count: {why}", where=where
                )
        return key.fingerprint
    raise VerificationError(
        f"the signature of {matching[-1]} is not good: {fault}",
        where=where,
        hint="the RPM was changed after it was signed, or damaged on the way",
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
    return _metadata(head, where)


def _metadata(head: bytes, where: str) -> Any:
    with translated(where):
        return load_rpm_rs().PackageMetadata.from_bytes(head)


def _issuers(metadata: Any, where: str) -> dict[str, int]:
    """Return fingerprints or key IDs of the header's signatures, upper-case hex, with their times.

    A time is in seconds since 1970.
    """
    issuers: dict[str, int] = {}
    with translated(where):
        # a version 3 signature has a key ID only; its `.version` raises, so nobody asks for it
        for signature in metadata.signatures():
            issuers[str(signature.fingerprint or signature.key_id or "").upper()] = int(
                signature.created or 0
            )
    return {issuer: made for issuer, made in issuers.items() if issuer}


def _fault(metadata: Any, key: RpmKey) -> str:
    """Check with one key; return what is wrong, nothing if the signature is good."""
    rpm_rs = load_rpm_rs()
    try:
        verifier = rpm_rs.Verifier()
        verifier.load_from_asc_bytes(key.armoured)
        metadata.verify_signature(verifier)
    except (RuntimeError, ValueError, OSError) as error:
        return _text(error) or "no reason is given"
    return ""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what rpm-rs raises into a VerificationError."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:  # rpm-rs raises RuntimeError for all
        raise VerificationError(
            f"the RPM's header is damaged: {_text(error)}", where=where
        ) from error


def _text(error: Exception) -> str:
    return plain(" ".join(str(error).split()))


def _expected(keys: Sequence[RpmKey]) -> str:
    return "a signature of " + (" or ".join(str(key) for key in keys) or "a pinned key")


def load_rpm_rs() -> Any:
    import rpm_rs  # noqa: PLC0415 -- heavy, and only needed where RPMs are checked

    return rpm_rs
