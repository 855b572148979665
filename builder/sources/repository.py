"""Yum repositories: their metadata fetched, checked and unpacked, ready for the closure.

Metadata files are kept in the user's cache under their checksum, so that a second lock reads them
from disk. Nothing is believed before its checksum, and repomd.xml not before its signature where
upstream makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from builder import disk
from builder.errors import (
    AirseedError,
    Fault,
    StorageError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from builder.http import StatusError
from builder.model.digest import Digest
from builder.rpm.compression import unpack
from builder.rpm.keys import RpmKey, UncheckableError, verify_detached
from builder.rpm.repodata import REPOMD_LIMIT, MetadataFiles, parse_repomd, resolve_href

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.http import Client
    from builder.rpm.repodata import Repomd, RepomdRecord

_SIGNATURE_LIMIT = 1 << 16
_LARGEST = 256 << 20
"""Bytes of the largest compressed metadata file; those of EPEL have some 15 MiB."""
_ABSENT = {403, 404, 410}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryMetadata:
    """Hold what one repository offers, as files that are unpacked and checked."""

    name: str
    base: str
    """The URL that gave it; it ends in a slash."""
    digest: Digest
    size: int
    signed: bool
    files: dict[str, Path]
    """By type: primary, filelists, other, and group where the repository has groups."""
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the URLs before, and with the signature of this one."""

    @property
    def unpacked(self) -> MetadataFiles:
        return MetadataFiles(
            name=self.name,
            primary=self.files["primary"],
            filelists=self.files.get("filelists"),
            other=self.files.get("other"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRepository:
    name: str
    urls: tuple[str, ...]
    keys: tuple[RpmKey, ...]
    """That may have signed repomd.xml."""
    signed: Literal["signed", "unsigned", "sometimes"]
    """Whether repomd.xml must be signed, is not, or is checked where there is a signature.

    ``sometimes`` takes one that proves nothing (a stranger's) for none, as whoever could put it
    there could have left it out; a wrong one of a known key is refused in any case.
    """


def fetch(
    repository: WantedRepository, types: Sequence[str], client: Client, cache: Path
) -> RepositoryMetadata:
    """Fetch metadata from the first URL that gives it right.

    ``types`` are those wanted; ``primary`` must be there, others may be absent. Raise
    UnavailableError with a fault for every URL.
    """
    faults: list[Fault] = []
    for url in repository.urls:
        base = f"{url.rstrip('/')}/"
        try:
            return _fetch_from(repository, base, types, client, cache, faults)
        except (StorageError, UsageError):
            raise  # a full disk or a proxy that cannot be used is no source's fault
        except AirseedError as error:
            faults.extend(error.faults or (error.fault,))
    raise UnavailableError(
        "no source has this repository",
        where=repository.name,
        hint="check the network and proxy, or add a mirror with --catalog",
        faults=faults,
    )


def _fetch_from(
    repository: WantedRepository,
    base: str,
    types: Sequence[str],
    client: Client,
    cache: Path,
    faults: Sequence[Fault],
) -> RepositoryMetadata:
    url = f"{base}repodata/repomd.xml"
    content = client.get(url, limit=REPOMD_LIMIT).content
    signed = False
    doubts: tuple[Fault, ...] = ()
    if repository.signed != "unsigned":
        try:
            signed = _is_signed(content, url, repository, client)
        except UncheckableError as error:
            if repository.signed == "signed":
                raise
            doubts = (error.fault,)
    repomd = parse_repomd(content, where=url)
    files = {}
    for kind in types:
        record = repomd.need(kind, where=url) if kind == "primary" else _find(repomd, kind)
        if record is not None:
            files[kind] = _unpacked(record, base, client, cache)
    return RepositoryMetadata(
        name=repository.name,
        base=base,
        digest=Digest.of(content),
        size=len(content),
        signed=signed,
        files=files,
        passed_over=(*faults, *doubts),
    )


def _find(repomd: Repomd, kind: str) -> RepomdRecord | None:
    return repomd.find("group", "group_gz") if kind == "group" else repomd.find(kind)


def _is_signed(content: bytes, url: str, repository: WantedRepository, client: Client) -> bool:
    """Check repomd.xml.asc; raise VerificationError when it is no good, or absent and needed."""
    try:
        signature = client.get(f"{url}.asc", limit=_SIGNATURE_LIMIT).content
    except StatusError as error:
        if error.status not in _ABSENT:
            raise
        if repository.signed == "sometimes":
            return False
        raise VerificationError(
            "the metadata is not signed here, but the catalog says that upstream signs it",
            where=f"{url}.asc",
            hint="for a mirror that leaves signatures out, set `metadata: sometimes` in a catalog "
            "of your own; the packages' own signatures are checked in any case",
        ) from error
    verify_detached(content, signature, repository.keys, where=url)
    return True


def _unpacked(record: RepomdRecord, base: str, client: Client, cache: Path) -> Path:
    """Return a metadata file from the cache, or fetch it and unpack it there."""
    url = resolve_href(base, record.href)
    if record.size is not None and record.size > _LARGEST:
        raise VerificationError(
            f"repomd.xml says that it has {record.size:,} bytes",
            where=url,
            expected=f"at most {_LARGEST:,}",
        )
    try:
        cached = _cached(record, cache)
        if cached is not None:
            return cached
        content = client.get(url, limit=record.size or _LARGEST).content
        with disk.fresh(cache / record.checksum.hex, folder=True) as folder:
            packed, plain = folder / "packed", folder / "plain"
            packed.write_bytes(content)
            unpack(packed, plain, record, where=url)
            target = cache / f"{record.checksum.hex}.{_hash(plain).hex}.xml"
            plain.replace(target)
    except OSError as error:
        raise disk.failure(error, cache) from error
    return target


def _cached(record: RepomdRecord, cache: Path) -> Path | None:
    """Find an unpacked file of an earlier run; drop it if it is damaged.

    Its name has the checksum that repomd.xml gives and the SHA-256 of what was unpacked.
    """
    for path in sorted(cache.glob(f"{record.checksum.hex}.*.xml")):
        if _hash(path).hex == path.name.split(".")[1]:
            return path
        path.unlink(missing_ok=True)
    return None


def _hash(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest.of_file(file)
