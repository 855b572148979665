"""Tables and prose that fit the terminal they are printed on.

A table that is too wide has its digests shortened, its texts wrapped between words, and those of
its columns that don't fit side by side on further lines, which are indented. Into a pipe, for grep
and awk, a row is one line however long, unless COLUMNS says how wide it may be.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_GAP = 2
_INDENT = 4
_NARROWEST = 20
_READABLE = 24
"""Letters below which no column is pressed that has as many."""
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_JOINTS = re.compile(r"(?<=[-/,;&?=@:])(?=[^/])")
"""Where a word that is longer than a whole line may be parted."""


def width() -> int | None:
    """Return how many columns standard output has; None where a line may have any length."""
    if not os.environ.get("COLUMNS", "").isdecimal() and not sys.stdout.isatty():
        return None
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    room: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> list[str]:
    """Align cells under their heads in lines of at most ``room`` columns.

    A cell that is one of the words in ``colors`` gets that color.
    """
    cells = [tuple(head), *(tuple(row) for row in rows)]
    if room is not None and not _fits(_widths(cells), room):
        cells = [tuple(_DIGEST.sub(r"\1...", cell) for cell in row) for row in cells]
    widths = _widths(cells)
    groups = [list(range(len(widths)))]
    if room is not None and not _fits(widths, room):
        groups, widths = _arrange(list(zip(*cells, strict=True)), widths, room)
    return [
        line
        for row in cells
        for place, group in enumerate(groups)
        if place == 0 or any(row[column] for column in group)
        for line in _lines(
            [row[column] for column in group],
            [widths[column] for column in group],
            " " * (_INDENT if place else 0),
            colors or {},
        )
    ]


def prose(text: str, room: int | None = None) -> str:
    """Wrap each line of a text between its words."""
    if room is None:
        return text
    return "\n".join("\n".join(_wrapped(line, room)) for line in text.split("\n"))


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _fits(widths: Sequence[int], room: int) -> bool:
    return sum(widths) + _GAP * (len(widths) - 1) <= room


def _arrange(
    columns: Sequence[Sequence[str]], widths: Sequence[int], room: int
) -> tuple[list[list[int]], list[int]]:
    """Choose the columns of each line, as many as fit in a readable width, and their widths."""
    least = [
        max(min(width, _READABLE), *(len(word) for cell in column for word in cell.split(" ")))
        for column, width in zip(columns, widths, strict=True)
    ]
    groups: list[list[int]] = [[]]
    left = room
    for column, needed in enumerate(least):
        if groups[-1] and needed + _GAP > left:
            groups.append([])
            left = room - _INDENT
        left -= needed + (_GAP if groups[-1] else 0)
        groups[-1].append(column)
    given = list(widths)
    for place, group in enumerate(groups):
        inside = room - (_INDENT if place else 0) - _GAP * (len(group) - 1)
        shares = _shared([least[c] for c in group], [widths[c] for c in group], inside)
        for column, share in zip(group, shares, strict=True):
            given[column] = share
    return groups, given


def _shared(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """Give each column what it needs, and what is left to the narrowest first."""
    given = [min(needed, room) for needed in least]
    left = room - sum(given)
    order = sorted(range(len(given)), key=lambda column: most[column] - given[column])
    for place, column in enumerate(order):
        more = max(0, min(most[column] - given[column], left // (len(order) - place)))
        given[column] += more
        left -= more
    return given


def _lines(
    cells: Sequence[str], widths: Sequence[int], indent: str, colors: Mapping[str, str]
) -> Iterator[str]:
    wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for parts in zip_longest(*wrapped, fillvalue=""):
        padded = []
        for cell, part, width in zip(cells, parts, widths, strict=True):
            color = colors.get(cell)
            shown = click.style(part, fg=color) if color and part else part
            padded.append(shown + " " * (width - len(part)))
        yield f"{indent}{(' ' * _GAP).join(padded)}".rstrip()


def _wrapped(text: str, room: int) -> list[str]:
    """Break a text between words; a word that is longer than a line at its joints."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) <= room or not lines[-1]:
            lines[-1] += f" {word}" if lines[-1] else word
        else:
            lines.append(word)
        if len(lines[-1]) > room:
            lines += _parted(lines.pop(), room)
    return lines


def _parted(word: str, room: int) -> list[str]:
    parts = [""]
    for piece in _JOINTS.split(word):
        if parts[-1] and len(parts[-1]) + len(piece) > room:
            parts.append("")
        parts[-1] += piece
        while len(parts[-1]) > room:
            parts[-1:] = [parts[-1][:room], parts[-1][room:]]
    return parts
