"""Locking, packages: repodata of exactly the RPMs that are locked, and proof that it suffices."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.model.artifact import File
from builder.rpm.claims import Claims, unmet
from builder.rpm.closure import check_installable
from builder.rpm.repodata import MetadataFiles
from builder.rpm.subset import (
    RepodataFile,
    Rpm,
    metadata_file,
    read_claims,
    write_subset,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.errors import Fault
    from builder.model.artifact import Package
    from builder.pipeline.lock.resolving import Resolving
    from builder.rpm.base import BasePackages
    from builder.sources.repository import RepositoryMetadata
    from builder.sources.store import Store


def write(
    resolving: Resolving,
    upstream: Sequence[RepositoryMetadata],
    packages: Sequence[Package],
    metadata: Sequence[MetadataFiles],
    base: BasePackages,
) -> tuple[tuple[File, ...], tuple[Fault, ...], Mapping[str, tuple[str, ...]]]:
    """Write the bundle's own metadata, and check that a node can install from it alone.

    Return by package what is left to the base, too.
    """
    files: list[File] = []
    claims: list[Claims] = []
    with tempfile.TemporaryDirectory(prefix="airseed-repodata-") as scratch:
        ours = []
        for source in upstream:
            folder = Path(scratch) / source.name
            folder.mkdir()
            written = write_subset(
                source.unpacked,
                [
                    Rpm(nevra=package.nevra, digest=package.digest, size=package.size)
                    for package in packages
                    if package.repository == source.name
                ],
                folder,
            )
            files.extend(_keep(resolving.kept, source, file) for file in written)
            claims += read_claims(folder, source.name)
            ours.append(
                MetadataFiles(
                    name=source.name,
                    primary=metadata_file(folder, "primary"),
                    filelists=metadata_file(folder, "filelists"),
                )
            )
        problems: list[Fault] = []
        lacking: dict[str, dict[str, None]] = {package.name: {} for package in packages}
        for hop in resolving.wanted.hops or ("",):
            those = [one for one in packages if not one.hops or hop in one.hops]
            named = [package.nevra for package in those if package.requested and hop]
            for asked in ((), named) if named else ((),):
                problems += check_installable(
                    [package.nevra for package in those],
                    arch=resolving.cluster.platforms[0].rpm,
                    metadata=ours,
                    base=base,
                    described_by=metadata,
                    asked=asked,
                )
            names = {package.name for package in those}
            for name, needs in unmet(one for one in claims if one.name in names).items():
                lacking[name].update(dict.fromkeys(needs))
    return tuple(files), tuple(problems), {name: tuple(needs) for name, needs in lacking.items()}


def _keep(kept: Store, repository: RepositoryMetadata, file: RepodataFile) -> File:
    kept.put(file.path.read_bytes())
    return File(
        kind="repodata",
        path=f"yum/{repository.name}/repodata/{file.name}",
        digest=file.digest,
        size=file.size,
        sources=(),
        needed_by=(repository.name,),
        trust="signed" if repository.signed else "first-use",
    )
