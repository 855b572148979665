"""Provenance: which source gave which artifact, in a file beside the bundle.

The bundle is the same whichever mirror answered, so what is different each time can't be part of
it. The file is the builder's own account: it proves nothing, the digests in the lock do.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import split
from builder.bundle.layout import LOCK_PATH, SUMS_PATH
from builder.bundle.reader import open_bundle
from builder.errors import DocumentError, StorageError, VerificationError, reason
from builder.formats import provenance as provenance_format
from builder.formats.provenance import Origin, Provenance
from builder.formats.text import decode
from builder.model.artifact import Blob, Package
from builder.model.digest import Digest
from builder.model.source import is_url
from builder.pipeline import paths
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.bundle.download import Outcome
    from builder.errors import Fault
    from builder.model.artifact import Content
    from builder.model.lock import Lock

SUFFIX = ".provenance.json"
_LIMIT = 256 << 20
_KEPT = re.compile(r"[\w.-]{1,100}\.d/([0-9a-f]{64})", re.ASCII)
"""A document beside a lock, whatever that lock is called."""


def beside(bundle: Path) -> Path:
    """Return its usual place: bundle.tar.provenance.json beside bundle.tar, or beside its parts."""
    return split.beside(bundle, SUFFIX)


def now() -> str:
    """Return the time in RFC 3339 form."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def record(
    bundle: Path,
    outcomes: Iterable[Outcome],
    *,
    digests: Mapping[str, Digest],
    sums: bytes,
    lock: Path,
    started: str,
) -> Path:
    """Write down where the members of a new bundle came from; give the file's place.

    ``digests`` has every member of the lock by path. Raise StorageError.
    """
    path = beside(bundle)
    kept = paths.documents(lock)
    origins = tuple(
        Origin(
            path=outcome.path,
            digest=digests[outcome.path],
            source=_shown(outcome.origin, kept, lock.parent),
            passed_over=tuple(_without_folders(fault) for fault in outcome.passed_over),
        )
        for outcome in sorted(outcomes, key=lambda outcome: outcome.path)
    )
    account = Provenance(
        bundle=bundle.name,
        sums=Digest.of(sums),
        lock=digests[LOCK_PATH],
        started=started,
        finished=now(),
        origins=origins,
    )
    disk.put(path, provenance_format.write(account))
    return path


def load(bundle: Path) -> Provenance:
    """Read the account of a bundle, and check that it is of this one.

    Raises:
        StorageError: there is none, or it cannot be read.
        DocumentError: it is something else.
        VerificationError: it is of another bundle.
    """
    path = beside(bundle)
    try:
        with disk.opened(path) as file:
            content = file.read(_LIMIT)
    except OSError as error:
        raise StorageError(
            reason(error),
            where=str(path),
            hint="airseed bundle writes it while it makes a bundle; copy it along",
        ) from error
    account = provenance_format.parse(decode(content, str(path)), str(path))
    with open_bundle(bundle) as opened:
        sums = Digest.of(opened.read(SUMS_PATH, _LIMIT))
    if sums != account.sums:
        raise VerificationError(
            "this belongs to another bundle",
            where=str(path),
            expected=f"one whose SHA256SUMS is {sums}",
        )
    return account


def origins(bundle: Path, lock: Lock) -> dict[Digest, str]:
    """Return the sources that an earlier bundle's account names; nothing, if it has no good one.

    What is taken from that bundle came from there: its own name would tell nobody anything. Nothing
    vouches for that account, so only what the lock, too, has as a source is passed on.
    """
    try:
        account = load(bundle)
    except (StorageError, DocumentError, VerificationError):
        return {}
    known: dict[Digest, set[str]] = {}
    for content in lock.contents:
        known.setdefault(content.digest, set()).update(_names(content))
    return {
        origin.digest: origin.source
        for origin in account.origins
        if origin.source in known.get(origin.digest, ()) or _is_kept(origin)
    }


def _names(content: Content) -> Iterable[str]:
    """Return what the sources of an artifact are called in an account."""
    if isinstance(content, Blob):
        return [f"{source}@{content.digest}" for source in content.sources]
    if isinstance(content, Package) and content.built is not None:
        from builder.sources import built  # noqa: PLC0415 -- slow to load, and few need it

        return built.names(content)
    return [
        redact(source) if is_url(source) else source.removeprefix("file:")
        for source in content.sources
    ]


def _is_kept(origin: Origin) -> bool:
    match = _KEPT.fullmatch(origin.source)
    return match is not None and match[1] == origin.digest.hex


def _without_folders(fault: Fault) -> str:
    """Hold what was wrong with a source without the folders of this machine."""
    if fault.where.startswith("/"):
        path, colon, member = fault.where.partition(": ")
        fault = replace(fault, where=f"{Path(path).name}{colon}{member}")
    return str(fault)


def _shown(origin: str, kept: Path, folder: Path) -> str:
    """Show a source without the folders of this machine."""
    if origin.startswith(f"{kept}/"):
        return f"{kept.name}/{Path(origin).name}"
    return origin.removeprefix(f"{folder}/")
