"""Whether something signed covers an RPM's payload, and whether the payload is what was signed.

A good signature over the header says nothing about the files, unless

- the header holds the payload's digest (tag PAYLOADDIGEST, from rpm 4.14 on), or
- there is the older signature over header and payload (SIGPGP), as in the RPMs of EL7.

It is judged as the one over the header is (:mod:`builder.rpm.signature`).
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import TYPE_CHECKING, Any

from builder.errors import VerificationError, few
from builder.redact import quoted
from builder.rpm.header import main_header, value
from builder.rpm.packet_signature import HASHES
from builder.rpm.signature import read_metadata, read_packet, signed_by, translated

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence
    from typing import BinaryIO

    from builder.rpm.keys import RpmKey

_OVER_ALL = (1002, 1005)  # SIGPGP, and SIGGPG for DSA
_COMPRESSOR = 1125
_COMPRESSIONS = {
    "gzip": (b"\x1f\x8b", b"0707"),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "lzma": (b"]\0\0",),
}
"""What rpm 4.11, of EL7, unpacks, by the names that headers have for it, and how it begins; zlib
takes what is not packed at all, too."""
_FEATURES = {
    "BuiltinLuaScripts",
    "CompressedFileNames",
    "ConcurrentAccess",
    "ExplicitPackageProvide",
    "FileCaps",
    "FileDigests",
    "HeaderLoadSortsTags",
    "PartialHardlinkSets",
    "PayloadFilesHavePrefix",
    "PayloadIsBzip2",
    "PayloadIsLzma",
    "PayloadIsXz",
    "ScriptletExpansion",
    "ScriptletInterpreterArgs",
    "TildeInVersions",
    "VersionedDependencies",
}
"""What rpm 4.11 provides as rpmlib(...): its lib/rpmds.c."""
_FEATURE = re.compile(r"rpmlib\((.*)\)", re.DOTALL)
_PAYLOAD_DIGEST, _PAYLOAD_ALGORITHM = 5092, 5093
_MOST_SHOWN = 5
_STRING_KINDS = {6, 8}
_INT32 = 4
_PIECE = 1 << 20


def verify_payload(
    head: bytes, payload: BinaryIO, keys: Sequence[RpmKey], *, where: str = "RPM"
) -> bool:
    """Compare the payload with what was signed; tell whether anything signed covers it.

    ``head`` must have passed :func:`builder.rpm.signature.verify_signature` with the same keys;
    ``payload`` stands behind it and is read to its end. Raise VerificationError when the payload
    is not the one that was signed.
    """
    header = main_header(head, where=where)
    if (digest := _payload_digest(head, where)) is not None:
        algorithm, expected = digest
        actual = _hashed(hashlib.new(algorithm, usedforsecurity=False), payload).hexdigest()
        if actual != expected:
            raise _changed(where, f"{algorithm}:{expected}, as the signed header says")
        return True
    found = (value(head, tag, signature=True, where=where) for tag in _OVER_ALL)
    packet = next(filter(None, found), None)
    if packet is None:
        return False
    signature = read_packet(packet, "header and payload", where)
    hasher = _hashed(hashlib.new(signature.hash or "", header, usedforsecurity=False), payload)
    hasher.update(signature.trailer)
    if not signed_by(signature, hasher.digest(), keys, " over header and payload", where):
        raise _changed(where, "what its signature over header and payload covers")
    return True


def verify_features(head: bytes, *, where: str = "RPM") -> None:
    """Raise VerificationError for an RPM that requires more of rpm than that of EL7 has."""
    metadata = read_metadata(head, where=where)
    with translated(where):
        names = [_FEATURE.fullmatch(str(one.name)) for one in metadata.requires()]
    if unknown := {name[1] for name in names if name} - _FEATURES:
        named = few([quoted(name, 40) for name in sorted(unknown)], _MOST_SHOWN)
        raise VerificationError(
            f"it requires of rpm {named}, which that of EL7 does not have",
            where=where,
            hint="take a build for EL7: no other can be installed there",
        )


def verify_compression(head: bytes, payload: io.BufferedReader, *, where: str = "RPM") -> None:
    """Raise VerificationError for a payload that rpm of EL7 cannot unpack; stay where it begins."""
    entry = value(head, _COMPRESSOR, where=where)
    said = entry[1].partition(b"\0")[0].decode("ascii", "replace") if entry else "gzip"
    what = f"its payload is compressed with {quoted(said, 20)}"
    if magic := _COMPRESSIONS.get(said):
        place = payload.tell()
        right = payload.read(6).startswith(magic)
        payload.seek(place)
        if right:
            return
        what = f"its payload is not what its header says, {said}"
    raise VerificationError(
        what,
        where=where,
        expected=f"one of {', '.join(_COMPRESSIONS)}, as rpm of EL7 knows no other",
        hint="take a build for EL7, or build it with %define _binary_payload w9.gzdio",
    )


def _changed(where: str, expected: str) -> VerificationError:
    return VerificationError(
        "the payload is not the one that was signed",
        where=where,
        expected=expected,
        hint="the RPM was changed after it was signed, or damaged on the way",
    )


def _hashed(hasher: Any, file: BinaryIO) -> Any:
    while piece := file.read(_PIECE):
        hasher.update(piece)
    return hasher


def _payload_digest(head: bytes, where: str) -> tuple[str, str] | None:
    entry = value(head, _PAYLOAD_DIGEST, where=where)
    if entry is None:
        return None
    kind, content = entry
    algorithm = value(head, _PAYLOAD_ALGORITHM, where=where)
    number = 8  # SHA-256, rpm's own default
    if algorithm and algorithm[0] == _INT32 and len(algorithm[1]) >= struct.calcsize(">I"):
        (number,) = struct.unpack_from(">I", algorithm[1])
    if kind not in _STRING_KINDS or number not in HASHES:
        raise VerificationError(
            "the payload's digest in the header is of an unknown kind", where=where
        )
    return HASHES[number], content.partition(b"\0")[0].decode("ascii", "replace")
