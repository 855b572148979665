"""The figures: what is measured, what is wanted of it, and whether it was reached."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Be one figure; without a goal it is only there to be read."""

    figure: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["less", "more"] = "less"

    @property
    def met(self) -> bool | None:
        """Tell whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "less" else self.value >= self.goal


def write(figures: Sequence[Figure], path: Path) -> None:
    """Write them for programs: a list of {figure, value, goal, unit, met}."""
    rows = []
    for one in figures:
        row = {**asdict(one), "value": round(one.value, 4), "met": one.met}
        del row["better"]
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def table(figures: Sequence[Figure]) -> str:
    """Show them to people."""
    rows = [
        (
            one.figure,
            _number(one.value),
            "" if one.goal is None else f"{'≤' if one.better == 'less' else '≥'} {one.goal:g}",
            one.unit,
            {True: "met", False: "MISSED", None: ""}[one.met],
        )
        for one in figures
    ]
    rows.insert(0, ("figure", "value", "goal", "unit", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{name:{widths[0]}}  {value:>{widths[1]}}  {goal:>{widths[2]}}  {unit:{widths[3]}}  {met}"
        for name, value, goal, unit, met in rows
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 1 else f"{value:.2f}"
