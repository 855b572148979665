"""Closures of made-up repositories, held against the rules by code that knows no solver."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from primary import P

from builder.errors import ClosureError
from builder.model.rpm import Nevra
from builder.rpm import base
from builder.rpm.closure import PackageRequest, check_installable, solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.rpm.closure import Closure
    from builder.rpm.repodata import MetadataFiles

    Feed = Callable[..., MetadataFiles]

NAMES = [f"p{number}" for number in range(12)]


def universe(chance: random.Random) -> list[P]:
    """Make packages in one to three versions, with cycles, conflicts and missing ends."""
    found = []
    for name in NAMES:
        for version in range(1, chance.randint(1, 3) + 1):
            others = [one for one in (*NAMES, "nowhere") if one != name]
            weights = [*[1.0] * (len(others) - 1), 0.1]
            requires = tuple(
                other if chance.random() < 0.5 else f"{other} >= {chance.randint(1, 3)}"
                for other in dict.fromkeys(chance.choices(others, weights, k=chance.randint(0, 2)))
            )
            conflicts = (f"{chance.choice(NAMES)} < 2",) if chance.random() < 0.1 else ()
            # a package may not conflict with itself
            conflicts = tuple(one for one in conflicts if not one.startswith(f"{name} "))
            found.append(
                P(nevra=f"{name}-{version}-1.noarch", requires=requires, conflicts=conflicts)
            )
    return found


def version_of(package: P) -> int:
    return int(Nevra.parse(package.nevra).version)


def fits(package: P, text: str) -> bool:
    name, _, rest = text.partition(" ")
    if Nevra.parse(package.nevra).name != name:
        return False
    comparison, _, version = rest.partition(" ")
    if not comparison:
        return True
    mine = version_of(package)
    return mine >= int(version) if comparison == ">=" else mine < int(version)


def is_whole(installed: Iterable[P]) -> bool:
    """Tell whether rpm would take all of these together."""
    all_of_them = list(installed)
    names = [Nevra.parse(one.nevra).name for one in all_of_them]
    return (
        len(names) == len(set(names))
        and all(
            any(fits(other, text) for other in all_of_them)
            for one in all_of_them
            for text in one.requires
        )
        and not any(
            fits(other, text)
            for one in all_of_them
            for text in one.conflicts
            for other in all_of_them
        )
    )


def after(closure: Closure, packages: dict[str, P]) -> dict[str, P]:
    """Return what is installed when the transaction is over."""
    gone = {one.old for one in closure.upgraded}
    kept = {name: packages[name] for name in closure.base if name not in gone}
    return kept | {str(one.nevra): packages[str(one.nevra)] for one in closure.packages}


def attempt(
    names: Iterable[str], metadata: MetadataFiles, declared: base.BasePackages
) -> Closure | None:
    requests = [PackageRequest(text=name) for name in names]
    try:
        return solve(requests, arch="x86_64", metadata=[metadata], base=declared)
    except ClosureError:
        return None


def some_base(chance: random.Random, metadata: MetadataFiles) -> base.BasePackages:
    """Return nothing, or an old package with all it needs."""
    found = attempt([f"{chance.choice(NAMES)}-1"], metadata, base.empty())
    if found is None or chance.random() < 0.5:
        return base.empty()
    return base.packages(tuple(one.nevra for one in found.packages))


def test_every_closure_is_whole_explained_and_proved(feed: Feed) -> None:
    solved = refused = missed = 0
    for seed in range(12):
        chance = random.Random(seed)
        made = universe(chance)
        metadata = feed("os", *made)
        for _ in range(8):
            wanted = chance.sample(NAMES, 2)
            declared = some_base(chance, metadata)
            closure = attempt(wanted, metadata, declared)
            if closure is None:
                refused += 1
                assert not is_whole_somehow(wanted, made, declared), seed
                continue
            solved += 1
            installed = after(closure, {one.nevra: one for one in made})
            assert is_whole(installed.values()), seed
            assert set(wanted) <= {Nevra.parse(one).name for one in installed}, seed
            assert all(one.needed_by for one in closure.packages), "each says why it is in"
            missed += count_missed(feed, metadata, closure, installed, declared)
    assert min(solved, refused, missed) > 10, (solved, refused, missed)


def count_missed(
    feed: Feed,
    metadata: MetadataFiles,
    closure: Closure,
    installed: dict[str, P],
    declared: base.BasePackages,
) -> int:
    """Hold the proof against a bundle that is whole, and against those that lack one package."""
    count = 0
    chosen = [one.nevra for one in closure.packages]
    for left_out in (None, *chosen):
        rest = [one for one in chosen if one != left_out]
        ours = feed("ours", *(installed[str(one)] for one in rest))
        problems = check_installable(
            rest, arch="x86_64", metadata=[ours], base=declared, described_by=[metadata]
        )
        fewer = [one for name, one in installed.items() if name != str(left_out)]
        replaced = [P(nevra=one.old) for one in closure.upgraded]
        whole = is_whole(fewer) or is_whole([*fewer, *replaced])
        if left_out is None:
            assert problems == []
        elif not whole and not replaced:
            assert problems, f"{left_out} is missing, and nobody complains"
            count += 1
    return count


def is_whole_somehow(wanted: list[str], made: list[P], declared: base.BasePackages) -> bool:
    """Search by hand: grow from the base and the wanted names, trying every version."""
    floor = {one.name: int(one.version) for one in declared.installed}
    by_name: dict[str, list[P]] = {}
    for one in made:
        name = Nevra.parse(one.nevra).name
        if version_of(one) >= floor.get(name, 0):
            by_name.setdefault(name, []).append(one)

    def grow(chosen: dict[str, P], todo: list[str]) -> bool:
        if not todo:
            return is_whole(chosen.values())
        name, *rest = todo
        if name in chosen:
            return grow(chosen, rest)
        for one in by_name.get(name, ()):
            needs = [text.partition(" ")[0] for text in one.requires]
            if grow({**chosen, name: one}, [*rest, *needs]):
                return True
        return False

    return grow({}, [*floor, *wanted])
