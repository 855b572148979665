"""Locking, packages: the closure over the declared base, and repodata of exactly those RPMs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.errors import ClosureError, Fault, UnavailableError, VerificationError
from builder.model.artifact import File, Package, Repository
from builder.pipeline.lock import repodata as repodata_of
from builder.pipeline.lock.base import declared, prove
from builder.pipeline.lock.proof import asked_as
from builder.rpm import build as rpm_build
from builder.rpm.closure import Chosen, Closure, PackageRequest, solve
from builder.rpm.repodata import MetadataFiles, resolve_href
from builder.rpm.subset import KINDS
from builder.sources import repository as repository_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.model.artifact import Build, Trust
    from builder.model.catalog.repositories import CatalogRepository
    from builder.model.demand import WantedPackage
    from builder.model.digest import Digest
    from builder.model.rpm import Nevra
    from builder.pipeline.lock.built import BuiltPackages
    from builder.pipeline.lock.files import Keyring
    from builder.pipeline.lock.resolving import Resolving
    from builder.rpm.base import BasePackages

_NOBODY = ""
"""Who asks for a package only because an earlier lock had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPackages:
    packages: tuple[Package, ...]
    repositories: tuple[Repository, ...]
    repodata: tuple[File, ...]
    present: tuple[str, ...]
    """Requests that the base fulfils already."""
    problems: tuple[Fault, ...]
    """Of installing exactly these on the base."""


def resolve(
    resolving: Resolving, keyring: Keyring, made: BuiltPackages | None = None
) -> ResolvedPackages:
    """Find the closure for each platform's processor, and describe it.

    ``made`` are packages that were built here, and count like a repository's.
    """
    wanted = resolving.wanted
    upstream = resolving.each(
        "repositories", wanted.repositories, lambda described: _fetch(resolving, keyring, described)
    )
    if made is not None:
        upstream = [*upstream, made.metadata]
    (platform,) = resolving.cluster.platforms[:1]
    base = declared(resolving, upstream)
    metadata = [repository.unpacked for repository in upstream]
    closures, pinned = _closures(resolving, platform.rpm, metadata, base)
    *_, closure = closures.values()
    for replaced in dict.fromkeys(one for each in closures.values() for one in each.upgraded):
        resolving.reporter.info(f"the base's {replaced.old} will be replaced by {replaced.new}")
    if closure.unmatched:
        resolving.reporter.warn(
            f"no repository describes {len(closure.unmatched)} packages of the base, such as "
            f"{closure.unmatched[0]}; what they provide is unknown"
        )
    prove(
        resolving,
        keyring,
        [one for one in upstream if made is None or one.name != made.metadata.name],
        {chosen for closure in closures.values() for chosen in closure.relied_on},
        lambda chosen: _sources(resolving, upstream, chosen),
    )
    packages = [
        _built(made, chosen, hops)
        if made is not None and chosen.repository == made.metadata.name
        else _published(resolving, keyring, upstream, chosen, hops, pinned)
        for chosen, hops in _union(closures)
    ]
    used = {package.repository for package in packages}
    upstream = [repository for repository in upstream if repository.name in used]
    repodata, problems, unmet = repodata_of.write(resolving, upstream, packages, metadata, base)
    packages = [replace(package, from_base=unmet[package.name]) for package in packages]
    return ResolvedPackages(
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        repositories=tuple(
            _built_here(made)
            if made is not None and repository.name == made.metadata.name
            else _repository(resolving, keyring, repository, packages)
            for repository in sorted(upstream, key=lambda repository: repository.name)
        ),
        repodata=repodata,
        present=tuple(sorted({text for one in closures.values() for text in one.present})),
        problems=problems,
    )


def _closures(
    resolving: Resolving, arch: str, metadata: Sequence[MetadataFiles], base: BasePackages
) -> tuple[dict[str, Closure], set[Nevra]]:
    """Solve for each release on the way; return what the catalog pins by digest, too."""
    closures: dict[str, Closure] = {}
    pinned: set[Nevra] = set()
    for demand in (*resolving.wanted.before, resolving.wanted):
        hop = str(demand.kubernetes.version)
        requests = [
            PackageRequest(text=asked.request, repository=asked.repository, by=asked.needed_by[0])
            for asked in demand.packages
        ]
        closures[hop] = _solve(resolving, hop, requests, arch, metadata, base)
        pinned |= _check_pins(demand.packages, closures[hop].packages)
    return closures, pinned


def _union(closures: Mapping[str, Closure]) -> list[tuple[Chosen, tuple[str, ...]]]:
    """Return each package once, with the releases that need it; none where all of them do."""
    found: dict[Nevra, tuple[Chosen, tuple[str, ...]]] = {}
    for hop, closure in closures.items():
        for chosen in closure.packages:
            known, hops = found.get(chosen.nevra, (chosen, ()))
            both = replace(
                known,
                requested=known.requested or chosen.requested,
                needed_by=tuple(sorted({*known.needed_by, *chosen.needed_by})),
            )
            found[chosen.nevra] = both, (*hops, hop)
    return [(chosen, () if len(hops) == len(closures) else hops) for chosen, hops in found.values()]


def _fetch(
    resolving: Resolving, keyring: Keyring, described: CatalogRepository
) -> repository_source.RepositoryMetadata:
    fingerprints = [
        resolving.catalog.key(name).fingerprint
        for name in described.metadata_keys or described.keys
    ]
    keys = tuple(
        key for fingerprint in fingerprints for key in keyring.by_fingerprint.get(fingerprint, ())
    )
    asked = repository_source.WantedRepository(
        name=described.name,
        urls=described.urls(resolving.cluster.platforms[0]),
        keys=keys,
        signed="unsigned" if described.metadata == "sometimes" and not keys else described.metadata,
    )
    try:
        metadata = repository_source.fetch(
            asked, [*KINDS, "group"], resolving.access.client, resolving.cache / "repodata"
        )
    except UnavailableError as error:
        raise resolving.advised(error, [described.name]) from error
    resolving.passed_over(metadata.name, metadata.base, metadata.passed_over)
    return metadata


def _solve(
    resolving: Resolving,
    hop: str,
    requests: Sequence[PackageRequest],
    arch: str,
    metadata: Sequence[MetadataFiles],
    base: BasePackages,
) -> Closure:
    """Solve for one release; with an earlier lock, hold what it had and what is still asked for."""
    fresh = solve(requests, arch=arch, metadata=metadata, base=base)
    if resolving.before is None:
        return fresh
    texts = {request.text for request in requests}
    asked = {one.nevra.name: asked_as(one.nevra) & texts for one in fresh.packages}
    pins = [
        PackageRequest(text=package.name, repository=package.repository, by=_NOBODY)
        for package in resolving.before.of(hop).packages
        if package.nevra.name in asked
        and asked[package.nevra.name] <= asked_as(package.nevra)  # else another release is wanted
        and not resolving.may_move(package.nevra.name, package.name)
    ]
    try:
        held = solve([*requests, *pins], arch=arch, metadata=metadata, base=base)
    except ClosureError as error:
        for fault in error.faults or (error.fault,):
            resolving.reporter.warn(f"the earlier lock's packages no longer fit: {fault}")
        return fresh
    _check_unchanged(resolving, held)
    return held


def _check_unchanged(resolving: Resolving, closure: Closure) -> None:
    before = {p.nevra: p for p in resolving.before.packages} if resolving.before else {}
    faults = [
        Fault(
            where=str(package.nevra),
            what=f"{_whence(before[package.nevra])} other bytes under this name ({package.digest})",
            expected=str(before[package.nevra].digest),
            hint=f"if that is expected: airseed lock --update {package.nevra.name}",
        )
        for package in closure.packages
        if package.nevra in before
        and before[package.nevra].digest != package.digest
        and not resolving.may_move(package.nevra.name, str(package.nevra))
    ]
    if faults:
        raise VerificationError("upstream changed packages that are locked", faults=faults)


def _whence(before: Package) -> str:
    if before.built is None:
        return "upstream has"
    if before.built.by != rpm_build.builder():
        return f"{before.built.by} built it then, and {rpm_build.builder()} gives"
    return "its program, its recipe or your signing key changed, which gives"


def _check_pins(wanted: Iterable[WantedPackage], chosen: Iterable[Chosen]) -> set[Nevra]:
    """Compare packages with the digests that the catalog has; return those that it has."""
    by_request = {f"{package.nevra.name}-{package.nevra.evr}": package for package in chosen}
    faults = []
    known = set()
    for request in wanted:
        package = by_request.get(request.request)
        pinned = request.digests.get(package.nevra.arch) if package else None
        if package is None or pinned is None:
            continue
        known.add(package.nevra)
        if package.digest != pinned:
            what, expected = (
                f"the repository has {package.digest}",
                f"{pinned}, as the catalog says",
            )
            faults.append(Fault(where=str(package.nevra), what=what, expected=expected))
    if faults:
        raise VerificationError("packages are not the ones that the catalog pins", faults=faults)
    return known


def _built(made: BuiltPackages, chosen: Chosen, hops: tuple[str, ...]) -> Package:
    return _package(
        chosen,
        hops,
        sources=(),
        keys=made.keys,
        trust=made.trust(chosen.nevra),
        built=made.builds[chosen.nevra],
    )


def _published(
    resolving: Resolving,
    keyring: Keyring,
    upstream: Sequence[repository_source.RepositoryMetadata],
    chosen: Chosen,
    hops: tuple[str, ...],
    pinned: set[Nevra],
) -> Package:
    return _package(
        chosen,
        hops,
        sources=_sources(resolving, upstream, chosen),
        keys=_fingerprints(resolving, keyring, resolving.catalog.repository(chosen.repository)),
        trust="pinned" if chosen.nevra in pinned else "signed",
    )


def _package(
    chosen: Chosen,
    hops: tuple[str, ...],
    *,
    sources: tuple[str, ...],
    keys: tuple[str, ...],
    trust: Trust,
    built: Build | None = None,
) -> Package:
    return Package(
        nevra=chosen.nevra,
        repository=chosen.repository,
        digest=chosen.digest,
        size=chosen.size,
        sources=sources,
        keys=keys,
        requested=chosen.requested,
        needed_by=chosen.needed_by,
        trust=trust,
        built=built,
        hops=hops,
    )


def _sources(
    resolving: Resolving,
    upstream: Sequence[repository_source.RepositoryMetadata],
    chosen: Chosen,
) -> tuple[str, ...]:
    """Return every URL of an RPM: each place that metadata has, below each of its sources.

    Raise VerificationError where none may be used.
    """
    urls: dict[str, None] = {}
    refused: VerificationError | None = None
    read = {repository.name: repository.base for repository in upstream}
    for place in chosen.places:
        if place.repository not in read:
            continue
        described = resolving.catalog.repository(place.repository)
        bases = dict.fromkeys(
            (*described.urls(resolving.cluster.platforms[0]), read[place.repository])
        )
        for base in bases:
            try:
                url = resolve_href(base, place.href, location_base=place.base, trusted=bases)
            except VerificationError as error:
                refused = refused or error
            else:
                urls[url] = None
    if refused is not None and not urls:
        raise refused
    return tuple(urls)


def _built_here(made: BuiltPackages) -> Repository:
    """Describe what was built as a repository without a source."""
    return Repository(
        name=made.metadata.name,
        sources=(),
        digest=made.metadata.digest,
        size=made.metadata.size,
        keys=made.keys,
        signed=False,
    )


def _fingerprints(
    resolving: Resolving, keyring: Keyring, described: CatalogRepository
) -> tuple[str, ...]:
    pinned = (resolving.catalog.key(name).fingerprint for name in described.keys)
    return tuple(fingerprint for fingerprint in pinned if fingerprint in keyring.by_fingerprint)


def _repository(
    resolving: Resolving,
    keyring: Keyring,
    metadata: repository_source.RepositoryMetadata,
    packages: Iterable[Package],
) -> Repository:
    """Describe a repository as it was when its packages were locked, which may be earlier."""
    described = resolving.catalog.repository(metadata.name)
    fresh = Repository(
        name=metadata.name,
        sources=described.urls(resolving.cluster.platforms[0]),
        digest=metadata.digest,
        size=metadata.size,
        keys=_fingerprints(resolving, keyring, described),
        signed=metadata.signed,
    )
    before = resolving.before
    if before is None or resolving.may_move(metadata.name):
        return fresh
    if _builds(before.packages, metadata.name) != _builds(packages, metadata.name):
        return fresh
    for known in before.repositories:
        if known.name == metadata.name:
            return replace(fresh, digest=known.digest, size=known.size, signed=known.signed)
    return fresh


def _builds(packages: Iterable[Package], repository: str) -> set[tuple[Nevra, Digest]]:
    return {
        (package.nevra, package.digest) for package in packages if package.repository == repository
    }
