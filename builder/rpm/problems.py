"""The solver's problems in words: what is missing, for whom, where it was looked for."""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from builder.errors import Fault, few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.rpm.universe import Universe

_MOST_VERSIONS = 6


def explain(
    universe: Universe,
    problems: Iterable[Any],
    candidates: Mapping[str, Iterable[int]],
    searched: list[str],
) -> list[Fault]:
    """Return one fault for each distinct cause.

    ``candidates`` has the solvable ids that each request may mean; ``searched`` names the
    repositories that were looked into.
    """
    faults: dict[tuple[str, str], Fault] = {}
    for problem in problems:
        infos = [info for rule in problem.findallproblemrules() for info in rule.allinfos()]
        asked = _requests(infos, candidates)
        for info in _causes(universe.solv, infos):
            what = plain(info.problemstr())
            hint = _advice(universe, info, infos, searched)
            faults.setdefault((asked, what), Fault(where=asked, what=what, hint=hint))
    return list(faults.values())


def plain(text: str) -> str:
    """Make text from a repository safe to print on one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:400])


def _requests(infos: list[Any], candidates: Mapping[str, Iterable[int]]) -> str:
    involved = {solvable.id for info in infos for solvable in _pair(info)}
    return ", ".join(text for text, ids in candidates.items() if involved & set(ids))


def _causes(solv: Any, infos: list[Any]) -> list[Any]:
    """Leave out steps on the way (A requires B) where an end (nothing provides C) is known."""
    rule = solv.Solver
    ends = [
        info
        for info in infos
        if info.type
        not in {rule.SOLVER_RULE_JOB, rule.SOLVER_RULE_PKG_REQUIRES, rule.SOLVER_RULE_UPDATE}
    ]
    steps = [info for info in infos if info.type == rule.SOLVER_RULE_PKG_REQUIRES]
    return ends or steps or infos


def _advice(universe: Universe, info: Any, infos: list[Any], searched: list[str]) -> str | None:
    rule = universe.solv.Solver
    if info.type == rule.SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP:
        return _missing(universe, info, infos, searched)
    if info.type == rule.SOLVER_RULE_PKG_SAME_NAME:
        # the base's package may be met in its repository first, where it is not installed
        installed = {
            str(solvable) for each in infos for solvable in _pair(each) if solvable.isinstalled()
        }
        involved = [str(solvable) for solvable in _pair(info) if str(solvable) in installed]
        if unknown := [name for name in involved if name in universe.unmatched]:
            return (
                f"no repository describes the base's {unknown[0]}, so what it provides is unknown:"
                " add the repository that it came from"
            )
        if involved:
            return "the base has another version, and packages of the base are never downgraded"
        return "two of the requests, or what they need, want different versions of one package"
    chain = _chain(universe.pool, infos)
    return f"on the way: {chain}" if chain else None


def _pair(info: Any) -> list[Any]:
    return [solvable for solvable in (info.solvable, info.othersolvable) if solvable]


def _missing(universe: Universe, info: Any, infos: list[Any], searched: list[str]) -> str:
    name = str(info.dep).partition(" ")[0]
    there = versions(universe.pool, name)
    known = f"{name} is there as {there}" if there else None
    looked = f"searched: {', '.join(searched)}, and the base"
    chain = _chain(universe.pool, [other for other in infos if other is not info])
    way = f"on the way: {chain}" if chain else None
    foreign = other_architectures(universe, str(info.dep)) if not there else None
    return plain("; ".join(part for part in (known, foreign, looked, way) if part))


def other_architectures(universe: Universe, text: str) -> str | None:
    dep, provides = universe.pool.Dep(text), universe.solv.SOLVABLE_PROVIDES
    names = {
        f"{solvable.name}.{solvable.arch}"
        for solvable in universe.pool.solvables
        if solvable.arch not in {universe.arch, "noarch"} and solvable.matchesdep(provides, dep)
    }
    if not names:
        return None
    some = ", ".join(sorted(names)[:_MOST_VERSIONS])
    return plain(f"other architectures are taken only when a request names one: {some}")


def _chain(pool: Any, infos: list[Any]) -> str:
    """Return the requirements that lead to a problem, those that nothing else leads to first."""
    left = [
        info for info in infos if info.solvable and info.dep and "requires" in info.problemstr()
    ]
    steps: list[str] = []
    while left:
        ids = {solvable.id for info in left for solvable in pool.whatprovides(info.dep)}
        heads = [info for info in left if info.solvable.id not in ids] or left
        steps += [f"{info.solvable} requires {info.dep}" for info in heads]
        left = [info for info in left if not any(info is head for head in heads)]
    return plain("; ".join(steps[:4]))


def versions(pool: Any, name: str, repository: Any = None) -> str:
    """List the versions in which a package or provide exists, newest first; empty if none."""
    solvables = [
        solvable
        for solvable in pool.whatprovides(pool.Dep(name))
        if repository is None or solvable.repo.id == repository.id
    ]
    solvables.sort(key=cmp_to_key(_compare), reverse=True)
    texts = list(
        dict.fromkeys(
            (solvable.evr if solvable.name == name else str(solvable))
            + ("" if repository is not None else f" ({solvable.repo.name})")
            for solvable in solvables
        )
    )
    return plain(few(texts, _MOST_VERSIONS))


def _compare(one: Any, other: Any) -> int:
    return int(one.evrcmp(other))
