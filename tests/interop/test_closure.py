"""Closures beside dnf's, on the same metadata and the same installed packages.

Where airseed and dnf differ, this file says why: what has no reason here fails.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from interop.dense_repositories import PROGRAMS, DenseRepositories, named
from interop.peer import Answer, Peers, difference
from primary import P

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop
SEED = 1
SETS = 50
_FOREIGN = ".i686"


# questions with one sharp edge each ---------------------------------------------------------

THERE = (
    P(nevra="old-1-1.x86_64"),
    P(nevra="lib-1-1.x86_64", provides=("cap = 1",), files=("/usr/bin/lib",)),
    P(nevra="dep-1-1.x86_64", requires=("lib",)),
    P(nevra="two-1-1.noarch"),
)
OFFERED = (
    *THERE,
    P(nevra="new-2-1.x86_64", obsoletes=("old < 2",), provides=("old = 2",)),
    P(nevra="newer-3-1.x86_64", obsoletes=("old < 2",)),
    P(nevra="lib-0.5-1.x86_64"),
    P(nevra="lib-2-1.x86_64", provides=("cap = 2",), files=("/usr/bin/lib",)),
    P(nevra="two-1-1.x86_64"),
    P(nevra="two-2-1.x86_64"),
    P(nevra="both-1-1.x86_64"),
    P(nevra="split-2-1.x86_64", obsoletes=("both < 2",)),
    P(nevra="split-more-2-1.x86_64", obsoletes=("both < 2",)),
    P(nevra="needs-newer-1-1.x86_64", requires=("lib > 1",)),
    P(nevra="needs-old-1-1.x86_64", requires=("old",)),
    P(nevra="needs-heir-1-1.x86_64", requires=("new",)),
    P(nevra="needs-this-old-1-1.x86_64", requires=("old = 1-1",)),
    P(nevra="wide-1-1.x86_64", provides=("so()(64bit)",)),
    P(nevra="wide-1-1.i686", provides=("so()",)),
    P(nevra="needs-narrow-1-1.x86_64", requires=("so()",)),
    P(nevra="needs-wide-1-1.x86_64", requires=("wide",)),
)
ASKED = (
    ("old",), ("lib",), ("cap",), ("/usr/bin/lib",), ("lib >= 2",), ("two",), ("old-1-1",),
    ("old.x86_64",), ("lib-2-1",), ("lib-0.5-1",), ("both",), ("split",), ("new", "newer"),
    ("needs-newer",), ("needs-old",), ("needs-heir",), ("needs-this-old",), ("old", "needs-heir"),
    ("needs-this-old", "needs-heir"), ("needs-old", "newer"), ("wide",), ("wide.i686",),
    ("wide", "wide.i686"), ("wide.x86_64", "wide.i686"), ("needs-narrow",),
    ("needs-narrow", "wide.i686"), ("needs-wide", "wide.i686"), ("nothing-like-that",),
)  # fmt: skip
DIFFERENT = {
    ("bare", ("needs-narrow",)): "other architectures come only where a request names one",
    ("installed", ("needs-narrow",)): "other architectures come only where a request names one",
    ("installed", ("lib-0.5-1",)): "packages of the base are never downgraded",
}
"""By what is installed and asked for: what dnf does and airseed refuses, and the rule for it."""


@pytest.mark.parametrize("state", ["bare", "installed"])
def test_small_questions_are_answered_as_dnf_answers_them(scratch: Path, state: str) -> None:
    peers = Peers(scratch / f"small-{state}", {"os": OFFERED})
    if state == "installed":
        peers.install(THERE)
    unexplained = []
    for names, theirs in zip(ASKED, peers.dnf(ASKED), strict=True):
        ours = peers.airseed(names)
        if (state, names) in DIFFERENT:
            assert ours.refused, names
            assert not theirs.refused, names
        elif ours != theirs:
            unexplained.append(difference(names, ours, theirs))
    assert not unexplained, "\n".join(unexplained)


# thousands of packages ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense() -> DenseRepositories:
    print(f"\nseed {SEED}")
    return DenseRepositories(seed=SEED)


def native(repositories: dict[str, list[P]]) -> dict[str, list[P]]:
    """Return repositories without anything of another architecture."""
    return {
        name: [one for one in packages if not one.nevra.endswith(_FOREIGN)]
        for name, packages in repositories.items()
    }


def compare(
    peers: Peers, narrow: Peers, sets: list[list[str]]
) -> tuple[Counter[str], list[Answer]]:
    """Ask both for all sets; fail on what has no explanation; count the rest.

    One rule makes answers differ: airseed looks at other architectures only where a request names
    one, dnf always. So where a request names none, ours must be what dnf answers when the
    repositories (``narrow``) have none.
    """
    counts: Counter[str] = Counter()
    unexplained, answers = [], []
    questions = zip(sets, peers.dnf(sets), narrow.dnf(sets), strict=True)
    for names, theirs, theirs_narrowly in questions:
        ours = peers.airseed(names)
        answers.append(ours)
        if ours == theirs:
            counts["both refuse" if ours.refused else "same"] += 1
        elif ours == theirs_narrowly and not any(name.endswith(_FOREIGN) for name in names):
            counts["same without other architectures"] += 1
            print(difference(names, ours, theirs))
        else:
            unexplained.append(difference(names, ours, theirs))
    assert not unexplained, f"seed {SEED}:\n" + "\n".join(unexplained)
    packages = sum(len(one.comes) for one in answers)
    gone = sum(len(one.goes) for one in answers)
    print(f"{len(sets)} sets: {dict(counts)}; {packages} packages come, {gone} give way")
    return counts, answers


def test_closures_for_a_bare_machine_are_dnfs(scratch: Path, dense: DenseRepositories) -> None:
    count = sum(map(len, dense.repositories.values()))
    assert count > 6000
    print(f"{count} packages")
    chance = random.Random(SEED)
    sets = [dense.wishes(chance) for _ in range(SETS)]
    peers = Peers(scratch / "bare", dense.repositories)
    narrow = Peers(scratch / "bare-narrow", native(dense.repositories))
    counts, answers = compare(peers, narrow, sets)
    assert counts["same"] >= 0.8 * SETS
    assert max(len(one.comes) for one in answers) > 80


def test_closures_over_an_older_system_are_dnfs(scratch: Path, dense: DenseRepositories) -> None:
    """The system was installed from ``os``; what a set needs newer replaces what is there."""
    first = Peers(scratch / "first", {"os": dense.os})
    chance = random.Random(SEED + 1)
    system: list[str] = []
    there = Answer()
    while len(there.comes) < 150:
        more = [*system, chance.choice((f"program{chance.randrange(PROGRAMS)}", "old7", "old8"))]
        found = first.airseed(more)
        if not found.refused:
            system, there = more, found
    peers = Peers(scratch / "older", dense.repositories)
    narrow = Peers(scratch / "older-narrow", native(dense.repositories))
    packages = named(dense.os)
    for one in (peers, narrow):
        one.install([packages[name] for name in sorted(there.comes)])
    sets = [dense.wishes(chance) for _ in range(SETS)]
    counts, answers = compare(peers, narrow, sets)
    assert counts["same"] >= 0.7 * SETS
    assert sum(1 for one in answers if one.goes) >= 5, "too few sets replace anything"
