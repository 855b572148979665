"""The promise of a transparency log (Rekor): that it has a signature, and when it got it.

cosign keeps it beside the signature: the entry, and the log's signature over it, the signed entry
timestamp. It is the only thing offline that says when a certificate of ten minutes was used.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.errors import VerificationError
from builder.image_signatures.public_keys import der, is_signed, read_key

if TYPE_CHECKING:
    from builder.image_signatures.signature import CosignSignature

_LIMIT = 1 << 17
_KIND = "hashedrekord"


def logged_at(signature: CosignSignature, logs: tuple[str, ...]) -> dt.datetime:
    """Return the time at which a pinned log got a signature, made by the key that comes with it.

    Raise VerificationError when there is no promise, none of these logs made it, or it is about
    another signature.
    """
    if signature.entry is None:
        raise VerificationError("no transparency log says when it was made")
    promise = _object(signature.entry.encode(), "the log's inclusion promise")
    payload = promise.get("Payload")
    stamp = _decoded(promise.get("SignedEntryTimestamp"), "the log's inclusion promise")
    if not isinstance(payload, dict):
        raise VerificationError("the log's inclusion promise has no entry")
    body, time, log = payload.get("body"), payload.get("integratedTime"), payload.get("logID")
    if not isinstance(time, int) or isinstance(time, bool) or not isinstance(log, str):
        raise VerificationError("the log's inclusion promise has no time or no log")
    _check_stamp(payload, stamp, log, logs)
    _check_entry(_decoded(body, "the log's entry"), signature)
    try:
        return dt.datetime.fromtimestamp(time, dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise VerificationError("the log's inclusion promise has no valid time") from error


def _check_stamp(payload: dict[str, Any], stamp: bytes, log: str, logs: tuple[str, ...]) -> None:
    """Check the log's signature, over these four fields alone (RFC 8785, as Rekor has it)."""
    fields = {name: payload.get(name) for name in ("body", "integratedTime", "logID", "logIndex")}
    if not isinstance(fields["logIndex"], int) or not isinstance(fields["body"], str):
        raise VerificationError("the log's inclusion promise is damaged")
    signed = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    keys = [read_key(text, where="log") for text in logs]
    own = [key for key in keys if hashlib.sha256(der(key)).hexdigest() == log]
    if not own:
        raise VerificationError(f"the log {log[:64]!r} is not pinned")
    if not is_signed(signed, stamp, own[0]):
        raise VerificationError("the log's inclusion promise is not signed by the log")


def _check_entry(body: bytes, signature: CosignSignature) -> None:
    document = _object(body, "the log's entry")
    if document.get("kind") != _KIND:
        raise VerificationError("the log's entry is of another kind", expected=_KIND)
    try:
        spec = document["spec"]
        hashed, signed = spec["data"]["hash"], spec["signature"]
        actual = (hashed["algorithm"], hashed["value"], signed["content"])
        key = base64.b64decode(signed["publicKey"]["content"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError("the log's entry is damaged") from error
    expected = ("sha256", hashlib.sha256(signature.payload).hexdigest(), signature.text)
    if actual != expected:
        raise VerificationError("the log's entry is about another signature")
    if signature.certificate is not None and key.strip() != signature.certificate.encode().strip():
        raise VerificationError("the log's entry is about another certificate")


def _object(content: bytes, what: str) -> dict[str, Any]:
    if len(content) > _LIMIT:
        raise VerificationError(f"{what} is too large")
    try:
        document = strict_json.load(content)
    except ValueError as error:
        raise VerificationError(f"{what}: {error}") from error
    if not isinstance(document, dict):
        raise VerificationError(f"{what} is not an object")
    return document


def _decoded(text: Any, what: str) -> bytes:
    if not isinstance(text, str) or len(text) > _LIMIT:
        raise VerificationError(f"{what} is damaged")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerificationError(f"{what} is damaged") from error
