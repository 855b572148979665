"""dnf's and airseed's answers to the same questions, in one form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import ClosureError
from builder.rpm import base
from builder.rpm.closure import PackageRequest, solve
from builder.rpm.installed import parse_installed
from builder.rpm.repodata import MetadataFiles
from interop import asking
from interop.metadata import write_repository
from interop.programs import environment, run
from interop.rooted import install, installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from primary import P


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Hold what comes and what goes; nothing of either where the question is refused."""

    comes: frozenset[str] = frozenset()
    goes: frozenset[str] = frozenset()
    refused: bool = False
    why: str = field(default="", compare=False)


class Peers:
    """Ask both over the same repositories, with the same packages installed."""

    def __init__(self, folder: Path, repositories: Mapping[str, Sequence[P]]) -> None:
        folder.mkdir()
        self._folder = folder
        self._env = environment(folder)
        self._root = folder / "root"
        self._base = base.empty()
        self._places = {name: folder / name for name in repositories}
        for name, packages in repositories.items():
            write_repository(folder / name, packages)
        self._metadata = [
            MetadataFiles(
                name=name,
                primary=place / "scratch" / "primary.xml",
                filelists=place / "scratch" / "filelists.xml",
            )
            for name, place in self._places.items()
        ]

    def install(self, packages: Sequence[P]) -> None:
        """Have these installed from now on, for dnf in rpm's database, for airseed as a base."""
        install(packages, self._root, self._env)
        listed = installed(self._root, self._env)
        self._base = base.packages(parse_installed(listed, document="rpm -qa"))
        assert len(self._base.installed) == len(packages)

    def dnf(self, sets: Sequence[Sequence[str]]) -> list[Answer]:
        """Return dnf's answers."""
        question = {
            "repositories": {name: str(place) for name, place in self._places.items()},
            "root": str(self._root),
            "cache": str(self._folder / "cache"),
            "sets": sets,
        }
        asked, answers = self._folder / "question.json", self._folder / "answers.json"
        asked.write_text(json.dumps(question), "utf-8")
        run("/usr/bin/python3", asking.__file__, asked, answers, env=self._env)
        return [
            Answer(
                comes=frozenset(one.get("comes", ())),
                goes=frozenset(one.get("goes", ())),
                refused="refused" in one,
                why=one.get("refused", ""),
            )
            for one in json.loads(answers.read_text("utf-8"))
        ]

    def airseed(self, names: Sequence[str]) -> Answer:
        """Return our answer."""
        requests = [PackageRequest(text=name) for name in names]
        try:
            found = solve(requests, arch="x86_64", metadata=self._metadata, base=self._base)
        except ClosureError as error:
            return Answer(refused=True, why="; ".join(map(str, error.faults)))
        return Answer(
            comes=frozenset(str(one.nevra) for one in found.packages),
            goes=frozenset(one.old for one in found.upgraded),
        )


def difference(names: Sequence[str], ours: Answer, theirs: Answer) -> str:
    """Say in what two answers differ."""
    lines = [f"asked for {', '.join(names)}"]
    for who, one, other in (("airseed", ours, theirs), ("dnf", theirs, ours)):
        if one.refused:
            lines.append(f"  {who} refuses: {one.why}")
        elif not other.refused:
            lines.append(f"  only {who} adds {sorted(one.comes - other.comes)}")
            lines.append(f"  only {who} takes away {sorted(one.goes - other.goes)}")
    return "\n".join(lines)
