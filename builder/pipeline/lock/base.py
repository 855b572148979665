"""Locking, the base: what a node is taken to have, and the proof that it has it.

Metadata says what the base's packages provide. What is not bundled because of that is believed
where a signed header says the same.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import AirseedError, Fault, VerificationError
from builder.rpm import base as rpm_base
from builder.rpm.claims import additions, of_header
from builder.rpm.installed import COMPS_LIMIT, LIST_LIMIT, parse_comps, parse_installed
from builder.rpm.subset import Rpm, read_claims, write_subset
from builder.sources.file import first, read_local
from builder.sources.package import check_head, fetch_head

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from builder.pipeline.lock.files import Keyring
    from builder.pipeline.lock.resolving import Resolving
    from builder.rpm.closure import Chosen
    from builder.rpm.keys import RpmKey
    from builder.sources.repository import RepositoryMetadata

_LARGEST = 64 << 20
"""Bytes of a header that is kept."""


def declared(resolving: Resolving, upstream: Sequence[RepositoryMetadata]) -> rpm_base.BasePackages:
    declared = resolving.cluster.os.base
    if declared.kind == "empty":
        return rpm_base.empty()
    if declared.file is not None:
        content = read_local(resolving.folder / declared.file, LIST_LIMIT)
        installed = parse_installed(
            content,
            document=declared.file,
            architecture=resolving.cluster.platforms[0].rpm,
            system=resolving.wanted.os.family,
        )
        return rpm_base.packages(installed)
    system = resolving.wanted.os
    home = next(repository for repository in upstream if repository.name == system.repositories[0])
    if "group" not in home.files:
        raise VerificationError(
            "the repository has no groups, so its minimal installation is not known",
            where=home.base,
            hint="declare another base in cluster.yaml: os.base: empty, or {packages: FILE}",
        )
    comps = read_local(home.files["group"], COMPS_LIMIT)
    names: dict[str, None] = {}
    for group, known in system.groups.items():
        said = parse_comps(comps, group, where=home.name)
        names |= dict.fromkeys(name for name in said if home.signed or name in known)
        if strange := [name for name in said if name not in names]:
            resolving.reporter.info(
                f"{home.name} puts {', '.join(strange)} into the group {group}, which the catalog"
                " does not: bundled where something needs it"
            )
    return rpm_base.core(home.name, tuple(names), system.installed)


def prove(
    resolving: Resolving,
    keyring: Keyring,
    upstream: Sequence[RepositoryMetadata],
    relied_on: Collection[Chosen],
    sources: Callable[[Chosen], Sequence[str]],
) -> None:
    """Hold what metadata says of packages of the base against their signed headers.

    Signed metadata is believed. Raise VerificationError where other metadata says more than a
    header, UnavailableError where a header is not to be had.
    """
    faults: list[Fault] = []
    for repository in upstream:
        rpms = {
            Rpm(nevra=one.nevra, digest=one.digest, size=one.size): one
            for one in relied_on
            if one.repository == repository.name
        }
        if rpms and not repository.signed:
            keys = _keys(resolving, keyring, repository.name)
            headers = resolving.each(
                f"headers of {repository.name}",
                sorted(rpms),
                lambda rpm, keys=keys, rpms=rpms: _header(resolving, rpm, sources(rpms[rpm]), keys),  # type: ignore[misc]
            )
            faults += _additions(repository, dict(zip(sorted(rpms), headers, strict=True)))
    if faults:
        raise VerificationError(
            f"metadata says of the base what is not so: {faults[0].what}", faults=faults
        )


def _additions(repository: RepositoryMetadata, headers: Mapping[Rpm, bytes]) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory(prefix="airseed-base-") as scratch:
        metadata = replace(repository.unpacked, other=None)  # changelogs provide nothing
        write_subset(metadata, headers, Path(scratch))
        said = {one.name: one for one in read_claims(Path(scratch), repository.name)}
    for rpm, header in headers.items():
        where = f"{repository.base}: {rpm.nevra}"
        signed = of_header(header, where=where)
        for what in additions(signed, said[signed.name]):
            yield Fault(
                where=where,
                what=what,
                expected="what the signed header of the RPM says",
                hint="this mirror changed its metadata: put another before it with --catalog",
            )


def _keys(resolving: Resolving, keyring: Keyring, repository: str) -> list[RpmKey]:
    names = resolving.catalog.repository(repository).keys
    fingerprints = [resolving.catalog.key(name).fingerprint for name in names]
    return [key for one in fingerprints for key in keyring.by_fingerprint.get(one, ())]


def _header(
    resolving: Resolving, rpm: Rpm, sources: Sequence[str], keys: Sequence[RpmKey]
) -> bytes:
    """Return the beginning of an RPM, from the cache or its sources; its signature is good."""

    def check(head: bytes) -> None:
        check_head(head, rpm.nevra, keys, where=str(rpm.nevra))

    cached = resolving.cache / "headers" / rpm.digest.hex
    try:
        head = disk.read(cached, _LARGEST)
        check(head)
    except (OSError, AirseedError):
        client = resolving.access.client
        what = f"the header of {rpm.nevra}, which the base has"
        found = first(what, sources, lambda url: fetch_head(url, client), check=check)
        head = found.content
        disk.put(cached, head, sync=False)
    return head
