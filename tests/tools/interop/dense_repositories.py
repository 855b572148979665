"""Two yum repositories in which everything occurs that makes a closure hard to find.

Some six thousand packages: cycles, several versions, epochs, pre-releases, exact and bounded
requirements, files (also those that filelists.xml alone has), rich dependencies, alternatives,
obsoletes, conflicts, and packages of another architecture. ``os`` has what a system is installed
from, ``updates`` what came later.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from primary import P

from builder.model.rpm import Nevra

LIBRARIES = 1200
RINGS = 200
ROLES = 150
RENAMED = 120
PROGRAMS = 2600
_NEAR = 6
"""So many libraries lie between two rings."""


@dataclass(kw_only=True)
class DenseRepositories:
    """Grow the repositories from a seed."""

    seed: int
    os: list[P] = field(default_factory=list)
    updates: list[P] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._versions: dict[str, list[str]] = {}
        for number in range(LIBRARIES):
            self._library(number)
        for number in range(RINGS):
            self._ring(number)
        for number in range(ROLES):
            self._role(number)
        for number in range(RENAMED):
            self._rename(number)
        for number in range(PROGRAMS):
            self._program(number)

    @property
    def repositories(self) -> dict[str, list[P]]:
        return {"os": self.os, "updates": self.updates}

    def wishes(self, chance: random.Random) -> list[str]:
        """Return what somebody may ask for together."""
        # the lower a number, the more need it: so what is installed already is asked for, too
        library = min(chance.randrange(LIBRARIES), chance.randrange(LIBRARIES))
        ring = chance.randrange(RINGS)
        kinds = (
            f"lib{library}",
            f"lib{library}-{chance.choice(self._versions[f'lib{library}'])}",
            f"lib{library} >= 1",
            f"lib{library // 10 * 10 + 3}.i686",
            f"/usr/bin/lib{library}-config",
            f"/usr/share/lib{library}/data",
            f"so{library}.so()(64bit)",
            f"ring{ring}-0",
            f"role{chance.randrange(ROLES)}",
            f"old{chance.randrange(RENAMED)}",
            f"new{chance.randrange(RENAMED)}",
        )
        programs = chance.sample(range(PROGRAMS), chance.randint(1, 8))
        others = chance.sample(kinds, chance.randint(0, 3))
        return [f"program{number}" for number in programs] + others

    def _library(self, number: int) -> None:
        """Put a library into ``os``, and newer versions of most into ``updates``."""
        name, chance = f"lib{number}", self._chance
        versions = [f"1.{number % 9}-{number % 5 + 1}"]
        if number % 11 == 0:
            versions = ["9.0-1", "1:1.5-1"]  # newer by its epoch alone
        elif number % 13 == 0:
            versions += ["2.0~rc1-1", "2.0-1", "2.0^git1-1"]
        elif number % 5 < 2:
            versions += ["2.1-1", "2.1-2"][: chance.randint(1, 2)]
        self._versions[name] = versions
        for place, version in enumerate(versions):
            plain = number % 4 == 0 and not (number % 20 == 0 and place)
            one = P(
                nevra=f"{name}-{version}.{'noarch' if plain else 'x86_64'}",
                requires=self._needs(number, chance.randint(0, 2)),
                provides=(f"so{number}.so()(64bit)",),
                files=(f"/usr/bin/{name}-config",),
                hidden=(f"/usr/share/{name}/data",),
            )
            self._add(one, later=place > 0)
            if number % 10 == 3:
                twin = f"{name}-{version}.i686"
                self._add(
                    replace(one, nevra=twin, provides=(f"so{number}.so",), requires=()),
                    later=place > 0,
                )

    def _ring(self, number: int) -> None:
        """Add packages that need each other, and libraries some of which need the ring."""
        size = self._chance.randint(2, 5)
        exact = number % 3 == 0
        for later in (False, True)[: 1 + number % 2]:
            version = "2-1" if later else "1-1"
            for place in range(size):
                following = f"ring{number}-{(place + 1) % size}"
                self._add(
                    P(
                        nevra=f"ring{number}-{place}-{version}.noarch",
                        requires=(
                            f"{following} = {version}" if exact else f"{following} >= 1",
                            *self._needs(number * _NEAR + _NEAR - 1, 1),
                        ),
                    ),
                    later=later,
                )

    def _role(self, number: int) -> None:
        """Add several packages that can do the same; some can't live beside each other."""
        chance = self._chance
        names = [f"{one}{number}" for one in chance.sample(("alt", "other", "can", "do-it"), 4)]
        for place, name in enumerate(names[: chance.randint(2, 4)]):
            rivals = tuple(names[:place]) if number % 5 == 0 else ()
            version = f" = {chance.randint(1, 3)}" if number % 2 else ""
            self._add(
                P(
                    nevra=f"{name}-{chance.randint(1, 3)}-1.{chance.choice(('noarch', 'x86_64'))}",
                    provides=(f"role{number}{version}",),
                    requires=self._needs(LIBRARIES, chance.randint(0, 2)),
                    conflicts=rivals,
                    files=(f"/usr/bin/role{number}",),
                ),
                later=chance.random() < 0.2,
            )

    def _rename(self, number: int) -> None:
        """Add a package, and the one (or the two) that came in its place."""
        self._add(P(nevra=f"old{number}-1-1.x86_64", files=(f"/usr/bin/old{number}",)))
        heirs = [f"new{number}", f"new{number}-more"][: 1 + (number % 4 == 2)]
        for name in heirs:
            self._add(
                P(
                    nevra=f"{name}-2-1.x86_64",
                    provides=(f"old{number} = 2-1",) if number % 4 else (),
                    obsoletes=(f"old{number} < 2",),
                    requires=self._needs(LIBRARIES, 1),
                ),
                later=True,
            )

    def _program(self, number: int) -> None:
        chance = self._chance
        library = chance.randrange(LIBRARIES)
        recommends = (f"program{chance.randrange(PROGRAMS)}",) if number % 7 == 0 else ()
        conflicts = (f"lib{library} < 1.5",) if number % 30 == 0 else ()
        for later in (False, True)[: 1 + (number % 9 == 0)]:
            self._add(
                P(
                    nevra=f"program{number}-{2 if later else 1}-1.x86_64",
                    requires=self._needs(LIBRARIES, chance.randint(1, 5)),
                    recommends=recommends,
                    conflicts=conflicts,
                ),
                later=later,
            )

    def _add(self, one: P, *, later: bool = False) -> None:
        (self.updates if later else self.os).append(one)

    def _needs(self, below: int, count: int) -> tuple[str, ...]:
        """Return requirements on libraries with a smaller number, and on what is not a library."""
        if below < 2:
            return ()
        return tuple(self._need(below) for _ in range(count))

    def _need(self, below: int) -> str:
        chance = self._chance
        # halves a closure's depth: it is large, but not everything
        one, other, third = (chance.randrange(max(1, below // 2)) for _ in range(3))
        kinds: dict[str, float] = {
            f"lib{one}": 20,
            f"lib{one} >= 1": 8,
            f"lib{one} = {chance.choice(self._versions[f'lib{one}'])}": 2,
            f"lib{one} >= {self._versions[f'lib{one}'][-1]}": 8,
            f"lib{one} < 2": 1,
            f"so{one}.so()(64bit)": 16,
            f"/usr/bin/lib{one}-config": 6,
            f"/usr/share/lib{one}/data": 6,
            f"ring{min(one // _NEAR, RINGS - 1)}-0": 6,
            self._rich(one, other, third): 10,
        }
        if below == LIBRARIES:
            role = chance.randrange(ROLES)
            twin = chance.randrange(LIBRARIES // 10) * 10 + 3
            kinds |= {
                f"role{role}": 8,
                f"role{role} >= 2" if role % 2 else f"/usr/bin/role{role}": 4,
                f"old{chance.randrange(RENAMED)}": 5,
                f"new{chance.randrange(RENAMED)}": 2,
                f"/usr/bin/old{chance.randrange(RENAMED)}": 1,
                f"so{twin}.so": 0.2,
            }
        return chance.choices(list(kinds), list(kinds.values()))[0]

    def _rich(self, one: int, other: int, third: int) -> str:
        return self._chance.choice(
            (
                f"(lib{one} or lib{other})",
                f"(lib{one} >= 2 or lib{other} >= 2 or lib{third})",
                f"(lib{one} and so{other}.so()(64bit))",
                f"(lib{one} if lib{other})",
                f"(lib{one} >= 1 if lib{other} else lib{third})",
                f"(lib{one} with lib{one} < 3)",
                f"(so{one}.so()(64bit) without lib{one} > 5)",
                f"((lib{one} or lib{other}) and /usr/bin/lib{third}-config)",
            )
        )


def named(packages: list[P]) -> dict[str, P]:
    """Return packages by NEVRA, as yum prints it."""
    return {str(Nevra.parse(one.nevra)): one for one in packages}
