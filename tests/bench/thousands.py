"""A yum repository of ten thousand packages, which exist in its metadata alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from interop.metadata import write_repository
from primary import P

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 10_000
_LIBRARIES = 2_000
"""Of them: what others need."""
ROOTS = tuple(f"app{number}" for number in range(0, 200, 10))
"""What is asked for: twenty programs, which need some hundred packages."""


def build(folder: Path) -> None:
    """Write the repository; the same at any time."""
    chance = random.Random(6)
    write_repository(folder, [_package(number, chance) for number in range(COUNT)])


def _package(number: int, chance: random.Random) -> P:
    """Make one: programs need libraries, by name, version, what they provide and their files."""
    if number >= _LIBRARIES:
        name = f"app{number - _LIBRARIES}"
        needs = [f"so{chance.randrange(_LIBRARIES)}.so()(64bit)" for _ in range(6)]
        path = f"/usr/bin/{name}"
    else:
        name = f"lib{number}"
        # towards smaller numbers, so that a closure is large, but not everything
        below = max(1, number // 2)
        needs = [f"lib{chance.randrange(below)} >= 1.0" for _ in range(2)] if number > 1 else []
        if number % 7 == 0 and number:
            needs.append(f"/usr/lib64/lib{number // 7}.so")
        path = f"/usr/lib64/{name}.so"
    return P(
        nevra=f"{name}-1.{number % 9}-{number % 5 + 1}.el7.x86_64",
        requires=tuple(needs),
        provides=(f"so{number}.so()(64bit)",) if number < _LIBRARIES else (),
        files=(path,) if path.startswith("/usr/bin/") else (),
        hidden=(path, *(f"/usr/share/{name}/{file}" for file in range(20))),
    )
