"""``inspect --sbom``: a bill of materials, from a lock or a bundle.

Licences are in the repodata and in the annotations of images, which a bundle has and a lock has
beside it; both give the same bytes. A lock without its folder still gives a bill, without licences.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from builder import disk, strict_json
from builder.errors import UsageError, VerificationError
from builder.formats.sbom import MakerClaims, bill, cyclonedx, spdx
from builder.model.digest import Digest
from builder.pipeline.lock_document import open_lock
from builder.rpm.compression import unpack
from builder.rpm.recheck import justified
from builder.rpm.repodata import Checksum, RepomdRecord
from builder.rpm.subset import Rpm, read_package_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.model.artifact import Content
    from builder.model.lock import Lock
    from builder.pipeline.lock_document import LockDocument

Form = Literal["spdx", "cyclonedx"]
_LIMIT = 64 << 20
_LICENCES = "org.opencontainers.image.licenses"
_VENDOR = "org.opencontainers.image.vendor"


def render(source: Path, form: Form) -> str:
    """Write the bill of a lock or bundle.

    The time in it is SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/)
    or none. Raise what :func:`builder.pipeline.lock_document.open_lock` raises, UsageError for a
    SOURCE_DATE_EPOCH that is not a time, VerificationError when a document of the lock is damaged.
    """
    created = _created()
    with open_lock(source) as document:
        lock, read = document.lock, _reader(document)
        details = {**_packages(lock, read), **_images(lock, read)}
    writer = spdx.render if form == "spdx" else cyclonedx.render
    return writer(bill(lock, details), created)


def _created() -> str | None:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    try:
        time = dt.datetime.fromtimestamp(int(text), dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            "is not a time", where="SOURCE_DATE_EPOCH", expected="seconds since 1970"
        ) from error
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _reader(document: LockDocument) -> Callable[[Content], bytes | None]:
    """Return what reads a document that the lock names; it gives None where it is not at hand."""
    bundle = document.bundle
    if bundle is None:
        kept = document.store
        return lambda content: kept.read(content.digest) if kept.has(content.digest) else None

    def read(content: Content) -> bytes:
        text = bundle.read(content.path, _LIMIT)
        if Digest.of(text) != content.digest:
            raise VerificationError(
                "is damaged",
                where=content.path,
                hint=f"airseed verify {bundle.path} lists all faults",
            )
        return text

    return read


def _packages(lock: Lock, read: Callable[[Content], bytes | None]) -> dict[Digest, MakerClaims]:
    details: dict[Digest, MakerClaims] = {}
    for file in lock.files:
        if file.kind != "repodata" or not file.path.endswith("primary.xml.gz"):
            continue
        content = read(file)
        if content is None:
            continue
        with tempfile.TemporaryDirectory(prefix="airseed-sbom-") as scratch:
            packed, path = Path(scratch) / "packed", Path(scratch) / "primary.xml"
            try:
                packed.write_bytes(content)
            except OSError as error:
                raise disk.failure(error, packed) from error
            record = RepomdRecord(
                type="primary", href=file.path, checksum=Checksum("sha256", file.digest.hex)
            )
            rpms = (Rpm(nevra=p.nevra, digest=p.digest, size=p.size) for p in lock.packages)
            unpack(packed, path, record, largest=justified(rpms))
            for digest, info in read_package_info(
                path, where=file.path, most=len(lock.packages)
            ).items():
                details[Digest(digest)] = MakerClaims(
                    licence=info.licence or None, vendor=info.vendor or None
                )
    return details


def _images(lock: Lock, read: Callable[[Content], bytes | None]) -> dict[Digest, MakerClaims]:
    """Read what the annotations of indexes and manifests say; most say nothing."""
    details: dict[Digest, MakerClaims] = {}
    for blob in lock.blobs:
        content = read(blob) if blob.kept else None
        if content is None:
            continue
        try:
            notes = strict_json.load(content).get("annotations") or {}
            licence, vendor = notes.get(_LICENCES), notes.get(_VENDOR)
        except (ValueError, AttributeError) as error:
            raise VerificationError("is not a manifest", where=blob.path) from error
        details[blob.digest] = MakerClaims(licence=_text(licence), vendor=_text(vendor))
    return details


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and value else None
