"""RPMs: the check that the right key signed the right package, and that metadata speaks truth."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import VerificationError
from builder.http import redact
from builder.rpm.header import header_length, read_head
from builder.rpm.keys import RpmKey, load_keys
from builder.rpm.payload import verify_compression, verify_features, verify_payload
from builder.rpm.signature import read_nevra, verify_signature

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from builder.errors import Fault
    from builder.http import Client
    from builder.model.artifact import Package
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.rpm import Nevra
    from builder.rpm.claims import Claims
    from builder.rpm.recheck import Recheck
    from builder.rpm.subset import Rpm

_FIRST = 1 << 16
"""Bytes of an RPM that are asked for at first; most of the headers are shorter."""


class Signatures:
    """Check RPMs with the keys that their lock names.

    ``read`` gives the content of one of the lock's key files, which is asked for once.
    """

    def __init__(self, lock: Lock, read: Callable[[str], bytes]) -> None:
        self._paths = {file.fingerprint: file.path for file in lock.files if file.kind == "key"}
        self._signed = {repository.name for repository in lock.repositories if repository.signed}
        self._read = read
        self._keys: dict[str, RpmKey] = {}

    def check(self, package: Package, content: io.BufferedReader) -> bytes:
        """Return its head; raise VerificationError unless it is what the lock names.

        A pinned key must have signed it. Its files count, too: where the signature does not reach
        them, a pinned digest or signed repository metadata must.
        """
        where = package.name
        head = read_head(content, where=where)
        keys = [self._key(fingerprint) for fingerprint in package.keys]
        check_head(head, package.nevra, keys, where=where)
        verify_features(head, where=where)
        verify_compression(head, content, where=where)
        covered = verify_payload(head, content, keys, where=where)
        if not (covered or package.trust == "pinned" or package.repository in self._signed):
            raise VerificationError(
                "only its header is signed; no signature covers its files",
                where=where,
                expected="a payload digest in the header, or a signature over header and payload",
                hint="pin its SHA-256 in the catalog (kubernetes/MINOR.yaml) if you know it to be"
                " right",
            )
        return head

    def _key(self, fingerprint: str) -> RpmKey:
        if fingerprint not in self._keys:
            path = self._paths[fingerprint]
            keys = load_keys(self._read(path), where=path, all_of=True)
            key = next((key for key in keys if key.fingerprint == fingerprint), None)
            if key is None:
                raise VerificationError("this file does not contain the key", where=path)
            if len(keys) > 1:
                raise VerificationError(
                    f"this file contains other keys than {fingerprint}, which yum would believe",
                    where=path,
                    expected="that key alone",
                    hint="lock again: the mirror that gave it added them",
                )
            self._keys[fingerprint] = key
        return self._keys[fingerprint]


def check_head(head: bytes, nevra: Nevra, keys: Sequence[RpmKey], *, where: str) -> None:
    """Raise VerificationError unless one of the keys signed it as this package."""
    verify_signature(head, keys, where=where)
    said = read_nevra(head, where=where)
    if said != nevra:
        raise VerificationError(f"the RPM says that it is {said}", where=where, expected=str(nevra))


def fetch_head(url: str, client: Client) -> bytes:
    """Fetch the beginning of an RPM, up to its payload."""
    head, needed = b"", _FIRST
    while len(head) < needed:
        before, head = len(head), client.beginning(url, needed)
        if len(head) <= before:
            raise VerificationError("the RPM ends inside its header", where=redact(url))
        needed = header_length(head, where=redact(url))
    return head[:needed]


def check_metadata(
    lock: Lock,
    read: Callable[[str], bytes],
    heads: Mapping[Digest, bytes],
    damaged: Collection[str] = (),
) -> list[Fault]:
    """Hold the bundle's metadata against its RPMs, and prove again that no package is missing.

    ``read`` gives the content of a file of the lock; ``heads`` are those of RPMs whose signature
    was good. A repository of which ``damaged`` names a file is left alone.
    """
    from builder.rpm import claims  # noqa: PLC0415 -- rpm-rs and others come with them
    from builder.rpm.recheck import hidden  # noqa: PLC0415
    from builder.rpm.subset import Rpm  # noqa: PLC0415

    faults: list[Fault] = []
    packages: list[Claims] = []
    unlisted: dict[str, frozenset[str]] = {}
    complete = True
    rpms: dict[str, list[Rpm]] = {}
    for package in lock.packages:
        rpm = Rpm(nevra=package.nevra, digest=package.digest, size=package.size)
        rpms.setdefault(package.repository, []).append(rpm)
    paths: dict[str, list[str]] = {}
    for path in (*(file.path for file in lock.files), *damaged):
        paths.setdefault(str(PurePosixPath(path).parent), []).append(path)
    for repository in lock.repositories:
        folder = f"yum/{repository.name}/repodata"
        if any(path in damaged for path in paths.get(folder, ())):
            complete = False
            continue
        own = {PurePosixPath(path).name: path for path in paths.get(folder, ())}
        found = _recheck(own, rpms.get(repository.name, ()), folder, read, heads)
        faults += found.faults
        packages += found.packages
        unlisted |= found.unlisted
    asked = claims.required_paths(packages)
    for where, files in unlisted.items():
        if lost := {path for path in files & asked if not claims.matters(path)}:
            faults.append(hidden(where, claims.lost(lost)))
    if complete and not faults:
        for way in lock.ways:
            left = {one.name: one.from_base for one in way.packages}
            faults += claims.unprovided([one for one in packages if one.name in left], left)
    return list(dict.fromkeys(faults))


def _recheck(
    documents: Mapping[str, str],
    rpms: Iterable[Rpm],
    folder: str,
    read: Callable[[str], bytes],
    heads: Mapping[Digest, bytes],
) -> Recheck:
    """Check one repository's metadata: names in its folder, and the paths of what is read."""
    from builder.rpm.recheck import verify_repodata  # noqa: PLC0415 -- as above

    with tempfile.TemporaryDirectory(prefix="airseed-verify-") as scratch:
        inside = Path(scratch) / "repodata"
        try:
            inside.mkdir()
            for name, path in documents.items():
                (inside / name).write_bytes(read(path))
        except OSError as error:
            raise disk.failure(error, inside) from error
        return verify_repodata(inside, rpms, where=folder, heads=heads)
