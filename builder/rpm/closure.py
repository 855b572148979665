"""Which RPMs a node needs besides its base, and why: libsolv's answer as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from builder.errors import ClosureError, Fault, VerificationError
from builder.model.digest import Digest
from builder.ordered import Ordered
from builder.rpm.problems import explain, other_architectures, plain, versions
from builder.rpm.reasons import add_reasons
from builder.rpm.universe import Universe, nevra_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.model.rpm import Nevra
    from builder.rpm.base import BasePackages
    from builder.rpm.repodata import MetadataFiles

_EPOCH_FIRST = re.compile(r"([0-9]{1,10}):(.+)-([^-]+-[^-]+)")
_PATTERN = re.compile(r"[*?\[\]]")
_DOTTED_ARCH = re.compile(r"\.(i[3-6]86)(?:$|\s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest(Ordered):
    text: str
    """A name, name with version, NEVRA, ``name >= version``, a provide, or a file's path."""
    repository: str | None = None
    """The only repository that it may be taken from."""
    by: str = "extra"
    """Who asks, for people: ``kubeadm``, ``runtime``, ``extra``.

    Nobody (empty) for what only holds a version: it is no reason, and leaves no trace.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where an RPM is; metadata says so, and nobody vouches for it."""

    repository: str
    href: str
    """See :func:`builder.rpm.repodata.resolve_href`."""
    base: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    nevra: Nevra
    repository: str
    digest: Digest
    size: int
    places: tuple[Location, ...]
    """Where the same bytes are, the chosen one first."""
    requested: bool
    needed_by: tuple[str, ...]
    """Who needs it, sorted: names of packages, and ``by`` of the requests.

    The packages are chosen ones that require it. If there is none, the package keeps the base
    whole: then they are what made its predecessor give way, or packages of the base.
    """


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Replaced:
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    packages: tuple[Chosen, ...]
    upgraded: tuple[Replaced, ...] = ()
    """Base packages that are replaced, by a newer build or by what obsoletes them."""
    present: tuple[str, ...] = ()
    """Requests that the base fulfils already."""
    unmatched: tuple[str, ...] = ()
    """Base packages that no repository describes: only their names count."""
    base: tuple[str, ...] = ()
    """The base that was assumed, NEVRA by NEVRA."""
    relied_on: tuple[Chosen, ...] = ()
    """Packages of the base without which more would have been chosen, if they are what metadata
    says."""


def solve(
    requests: Sequence[PackageRequest],
    *,
    arch: str,
    metadata: Sequence[MetadataFiles],
    base: BasePackages,
) -> Closure:
    """Find the packages that fulfil all requests on the base, and nothing else.

    Versions that are named hold exactly; weak dependencies are not followed; packages of other
    architectures come only where a request names one. The same input gives the same answer. Raise
    ClosureError with a fault a problem, VerificationError for unusable metadata.
    """
    universe = _universe(requests, arch, metadata, base)
    candidates = _candidates(universe, requests)
    transaction = _run(universe, requests, candidates)
    return _answer(universe, requests, candidates, transaction)


def check_installable(
    packages: Sequence[Nevra],
    *,
    arch: str,
    metadata: Sequence[MetadataFiles],
    base: BasePackages,
    described_by: Sequence[MetadataFiles] = (),
    asked: Sequence[Nevra] = (),
) -> list[Fault]:
    """Check that a node can install exactly these packages from exactly this metadata.

    ``asked`` are those that it asks for by name, where the metadata has more than these packages;
    ``metadata`` is what the bundle carries; ``described_by`` is upstream's, used to say what the
    base provides and for nothing else. Return what would go wrong; nothing means that it works.
    """
    requests = [PackageRequest(text=str(nevra), by="lock") for nevra in asked or packages]
    try:
        universe = _universe(requests, arch, metadata, base, described_by)
        candidates = _candidates(universe, requests)
        transaction = _run(universe, requests, candidates)
    except ClosureError as error:
        return list(error.faults)
    new = {str(nevra_of(nevra)) for nevra in transaction.newsolvables()}
    return [
        Fault(where=name, what="the transaction needs it, but the lock does not name it")
        for name in sorted(new - {str(nevra) for nevra in packages})
    ]


def _universe(
    requests: Sequence[PackageRequest],
    arch: str,
    metadata: Sequence[MetadataFiles],
    base: BasePackages,
    unseen: Sequence[MetadataFiles] = (),
) -> Universe:
    return Universe(
        arch=arch,
        metadata=metadata,
        base=base,
        unseen=unseen,
        paths=[request.text for request in requests if request.text.startswith("/")],
        multilib=any(_DOTTED_ARCH.search(request.text) for request in requests),
    )


def _candidates(
    universe: Universe, requests: Iterable[PackageRequest]
) -> dict[PackageRequest, list[Any]]:
    """Find what each request may mean; raise ClosureError with all that mean nothing."""
    candidates: dict[PackageRequest, list[Any]] = {}
    faults: list[Fault] = []
    for request in requests:
        solvables = _meaning(universe, request)
        if isinstance(solvables, Fault):
            faults.append(solvables)
        else:
            candidates[request] = solvables
    if faults:
        raise _failed(faults)
    return candidates


def _meaning(universe: Universe, request: PackageRequest) -> list[Any] | Fault:
    text = request.text
    if _PATTERN.search(text):
        hint = "a bundle needs names: which packages a pattern means changes with the repository"
        return Fault(where=text, what="patterns are not read here", hint=hint)
    home = universe.repository(request.repository) if request.repository else None
    if request.repository and home is None:
        hint = f"there are: {', '.join(universe.names)}"
        return Fault(where=text, what=f"there is no repository {request.repository!r}", hint=hint)
    if swapped := _EPOCH_FIRST.fullmatch(text):
        text = f"{swapped[2]}-{swapped[1]}:{swapped[3]}"
    solvables = universe.select(text)
    if all(solvable.name == text for solvable in solvables):
        solvables += universe.obsoleting(solvables)
    if home is not None:
        inside = [solvable for solvable in solvables if solvable.repo.id == home.id]
        twins = {(solvable.nameid, solvable.evrid, solvable.archid) for solvable in inside}
        solvables = inside + [
            solvable
            for solvable in solvables
            if solvable.isinstalled()
            and (solvable.nameid, solvable.evrid, solvable.archid) in twins
        ]
    return solvables or _absent(universe, request, home)


def _absent(universe: Universe, request: PackageRequest, home: Any) -> Fault:
    searched = [request.repository] if request.repository else universe.names
    what = f"no package matches in {', '.join(searched) or 'any repository'}"
    head = re.split(r"[\s<>=]", request.text, maxsplit=1)[0]
    # kubeadm-1.18.5-0 may mean the name kubeadm, or kubeadm-1.18.5 with a release of 0
    parts = head.split("-")
    for length in range(len(parts), 0, -1):
        name = "-".join(parts[:length])
        if there := versions(universe.pool, name, home):
            return Fault(where=request.text, what=what, hint=f"{name} is there as {there}")
        if elsewhere := versions(universe.pool, name):
            return Fault(where=request.text, what=what, hint=f"elsewhere: {name} {elsewhere}")
    if foreign := other_architectures(universe, head):
        return Fault(where=request.text, what=what, hint=foreign)
    names = {solvable.name for solvable in universe.pool.solvables}
    close = ", ".join(map(plain, get_close_matches(head, names, n=3)))
    hint = "check the spelling, or add its repository (repositories/ of --catalog)"
    if close:
        hint += f"; similar names: {close}"
    return Fault(where=request.text, what=what, hint=hint)


def _run(
    universe: Universe,
    requests: Sequence[PackageRequest],
    candidates: Mapping[PackageRequest, list[Any]],
) -> Any:
    jobs = [universe.install(candidates[request]) for request in requests]
    wanted = [
        solvable
        for request in requests
        for solvable in candidates[request]
        if solvable.isinstalled()
    ]
    # upgraded only when something needs it
    jobs += [universe.favor(solvable) for solvable in wanted]
    solver, problems = universe.solve(jobs)
    if problems:
        meanings = {
            request.text: [solvable.id for solvable in candidates[request]] for request in requests
        }
        raise _failed(explain(universe, problems, meanings, universe.names))
    return solver.transaction()


def _failed(faults: list[Fault]) -> ClosureError:
    what, hint = f"{len(faults)} problems", None
    if len(faults) == 1:
        what, hint = str(faults[0]), faults[0].hint
    return ClosureError(f"the packages can't be installed: {what}", hint=hint, faults=faults)


def _answer(
    universe: Universe,
    requests: Sequence[PackageRequest],
    candidates: Mapping[PackageRequest, list[Any]],
    transaction: Any,
) -> Closure:
    new = list(transaction.newsolvables())
    present: list[str] = []
    reasons: dict[int, set[str]] = {solvable.id: set() for solvable in new}
    asked: set[int] = set()
    there: list[Any] = []
    for request in requests:
        if not request.by:
            continue
        chosen = [solvable.id for solvable in candidates[request] if solvable.id in reasons]
        for number in chosen:
            reasons[number].add(request.by)
        asked.update(chosen)
        if not chosen:
            present.append(request.text)
            there += [solvable for solvable in candidates[request] if solvable.isinstalled()]
    add_reasons(universe, transaction, reasons)
    faults: list[Fault] = []
    packages: list[Chosen] = []
    relied_on: list[Chosen] = []
    base = universe.relied_on([*there, *universe.provided_by_base(new)])
    for solvable in (*new, *base):
        into, why = (packages, reasons[solvable.id]) if solvable.id in reasons else (relied_on, ())
        try:
            into.append(_chosen(universe, solvable, solvable.id in asked, why))
        except VerificationError as error:
            faults.append(error.fault)
    if faults:
        raise VerificationError(
            f"the metadata of {len(faults)} packages is unusable: {faults[0]}", faults=faults
        )
    return Closure(
        packages=tuple(sorted(packages, key=lambda chosen: (chosen.nevra, chosen.repository))),
        upgraded=_upgraded(universe, transaction),
        present=tuple(sorted(set(present))),
        unmatched=universe.unmatched,
        base=tuple(sorted(str(solvable) for solvable in universe.pool.installed.solvables)),
        relied_on=tuple(sorted(relied_on, key=lambda chosen: (chosen.nevra, chosen.repository))),
    )


def _upgraded(universe: Universe, transaction: Any) -> tuple[Replaced, ...]:
    kinds = universe.solv.Transaction
    mode = kinds.SOLVER_TRANSACTION_SHOW_OBSOLETES | kinds.SOLVER_TRANSACTION_OBSOLETE_IS_UPGRADE
    replaced = set()
    for step in transaction.steps():
        if step.isinstalled() and transaction.steptype(step, mode):
            other = transaction.othersolvable(step)
            replaced.add(Replaced(old=str(step), new=str(other) if other else ""))
    return tuple(sorted(replaced))


def _twins(universe: Universe, solvable: Any) -> list[Any]:
    """Return the other entries that metadata has of the same RPM, in any repository."""
    kind = universe.solv.SOLVABLE_CHECKSUM
    own = solvable.lookup_checksum(kind)
    return [
        other
        for other in universe.pool.whatprovides(solvable.nameid)
        if other.id != solvable.id
        and (other.nameid, other.evrid, other.archid)
        == (solvable.nameid, solvable.evrid, solvable.archid)
        and not other.isinstalled()
        and (checksum := other.lookup_checksum(kind))
        and (checksum.typestr(), checksum.hex()) == (own.typestr(), own.hex())
    ]


def _place(universe: Universe, solvable: Any) -> Location:
    href, _ = solvable.lookup_location()
    base = solvable.lookup_str(universe.solv.SOLVABLE_MEDIABASE)
    return Location(repository=solvable.repo.name, href=href or "", base=base)


def _chosen(universe: Universe, solvable: Any, asked: bool, reasons: Iterable[str]) -> Chosen:  # noqa: FBT001 -- private
    solv = universe.solv
    nevra = nevra_of(solvable)
    where = f"{solvable.repo.name}: {nevra}"
    checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
    text = f"{checksum.typestr()}:{checksum.hex()}" if checksum else "nothing"
    try:
        digest = Digest.parse(text)
    except ValueError as error:
        raise VerificationError(
            "the metadata has no SHA-256 of the RPM", where=where, hint=f"it has {plain(text)}"
        ) from error
    if unread := universe.misread(solvable.repo.name).get(digest.hex):
        raise VerificationError(
            f"its requirement {plain(unread[0])} is not well-formed", where=where
        )
    places = [_place(universe, one) for one in (solvable, *_twins(universe, solvable))]
    size = solvable.lookup_num(solv.SOLVABLE_DOWNLOADSIZE)
    if not places[0].href or not size:
        raise VerificationError("the metadata has no location or size of the RPM", where=where)
    return Chosen(
        nevra=nevra,
        repository=solvable.repo.name,
        digest=digest,
        size=size,
        places=tuple(dict.fromkeys(place for place in places if place.href)),
        requested=asked,
        needed_by=tuple(sorted(reasons)),
    )
