"""One signature with all that comes with it, as cosign lays it beside an image.

A signature is a layer of an OCI manifest; the blob is the payload, annotations have the rest:
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. What the payload says is
checked here: that it is a signature of an image, and of this one.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder import strict_json
from builder.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.model.digest import Digest

PAYLOAD_LIMIT = 1 << 16
_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_CHAIN = "dev.sigstore.cosign/chain"
_ENTRY = "dev.sigstore.cosign/bundle"
_KIND = "cosign container image signature"
_LONGEST = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignSignature:
    """Hold one signature; nothing of it is trusted yet."""

    payload: bytes = field(repr=False)
    text: str
    """The signature as it stands in the annotation: base64."""
    where: str
    certificate: str | None = None
    """PEM; of an identity's short-lived key."""
    chain: str | None = None
    """PEM; the certificates above it."""
    entry: str | None = None
    """JSON; the log's inclusion promise that it has the signature, and when it got it."""

    @property
    def signature(self) -> bytes:
        """Decode it, which may have lines, as openssl writes them; raise VerificationError."""
        try:
            signature = base64.b64decode(re.sub(r"[\r\n]", "", self.text), validate=True)
        except (binascii.Error, ValueError) as error:
            raise VerificationError("the signature is not base64", where=self.where) from error
        if not 0 < len(signature) <= _LONGEST:
            raise VerificationError("its annotations hold no signature", where=self.where)
        return signature


def read_signature(
    payload: bytes, annotations: Mapping[str, str], *, where: str
) -> CosignSignature:
    """Read a signature from its layer, whatever it is: others beside it may be good."""
    return CosignSignature(
        payload=payload,
        text=annotations.get(_SIGNATURE, ""),
        where=where,
        certificate=annotations.get(_CERTIFICATE) or None,
        chain=annotations.get(_CHAIN) or None,
        entry=annotations.get(_ENTRY) or None,
    )


def named_in(payload: bytes, image: Digest) -> str:
    """Return the name that a payload gives to an image; raise VerificationError for another's."""
    try:
        document = strict_json.load(payload)
    except ValueError as error:
        raise VerificationError(f"the signed payload: {error}") from error
    critical = document.get("critical") if isinstance(document, dict) else None
    about = critical.get("image") if isinstance(critical, dict) else None
    digest = about.get("docker-manifest-digest") if isinstance(about, dict) else None
    if not isinstance(critical, dict) or critical.get("type") != _KIND:
        raise VerificationError("the signed payload is not about an image", expected=_KIND)
    if digest != str(image):
        raise VerificationError(
            f"it is the signature of another image, {str(digest)[:80]}", expected=str(image)
        )
    identity = critical.get("identity")
    name = identity.get("docker-reference") if isinstance(identity, dict) else None
    if not isinstance(name, str):
        raise VerificationError("the signed payload does not name the image")
    return name
