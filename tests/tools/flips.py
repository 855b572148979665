"""Flip one bit of a bundle at a time, and see whether ``verify`` finds it and names its place."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from builder.bundle import delta
from builder.bundle.layout import DELTA_PATH, LOCK_PATH, SUMS_PATH
from builder.bundle.reader import open_bundle
from builder.bundle.source import Supply
from builder.bundle.writer import write
from builder.errors import AirseedError
from builder.pipeline.lock_document import LockDocument
from builder.pipeline.verify import verify
from builder.report import Silent
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from builder.bundle.layout import Layout

TAIL = "end of the file"
_LIMIT = 64 << 20
Span = tuple[str, str, int, int]
"""What kind of place, what a fault has to name, first byte, end."""


def spans(layout: Layout) -> list[Span]:
    """Return every header, padding and content of a bundle, and the end blocks."""
    found: list[Span] = []
    for extent in layout.extents:
        kind = {LOCK_PATH: "lock", SUMS_PATH: "sums", DELTA_PATH: "delta"}.get(
            extent.path, "content"
        )
        data = extent.offset + extent.size
        found += [
            ("header", extent.path, extent.header, extent.offset),
            (kind, extent.path, extent.offset, data),
            ("padding", extent.path, data, extent.end),
        ]
    found.append(("end", TAIL, layout.extents[-1].end, layout.size))
    return [span for span in found if span[2] < span[3]]


def draw(layout: Layout, dice: random.Random) -> tuple[str, str, int]:
    """Choose a byte: half of them anywhere in the file, half by kind and member, then in that."""
    places = spans(layout)
    if dice.random() < 0.5:
        place = dice.randrange(layout.size)
        [(kind, name, _, _)] = [span for span in places if span[2] <= place < span[3]]
        return kind, name, place
    wanted = dice.choice(sorted({span[0] for span in places}))
    kind, name, start, end = dice.choice([span for span in places if span[0] == wanted])
    return kind, name, dice.randrange(start, end)


def make_delta(whole: Path, target: Path) -> Path:
    """Write a bundle without every second layer and package."""
    with open_bundle(whole) as opened:
        document = LockDocument.inside(opened)
        left = {one.digest for one in document.lock.contents[::2]}
        layout = delta.without(document.layout, left)
        near = contents(opened)
        write(layout, target, lambda _: Supply(sources=()), Silent(), near=near)
    return target


def campaign(bundle: Path, scratch: Path, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Flip ``count`` bits of a copy, one after the other.

    Give how many of which kind were found and named, and what went wrong with the others.
    """
    copy = scratch / f"{seed}.tar"
    shutil.copy(bundle, copy)
    with open_bundle(bundle) as opened:
        layout = LockDocument.inside(opened).layout
        there = DELTA_PATH in opened.members()
        text = opened.read(DELTA_PATH, _LIMIT) if there else None
    if text is not None:
        layout = delta.without(layout, delta.recover(layout, text))
    dice = random.Random(seed)
    found: Counter[str] = Counter()
    missed = []
    with copy.open("r+b", buffering=0) as file:
        for _ in range(count):
            kind, name, place = draw(layout, dice)
            bit = dice.randrange(8)
            _flip(file, place, bit)
            named = _named(copy)
            _flip(file, place, bit)
            if named == {name}:
                found[kind] += 1
            else:
                missed.append(f"byte {place} bit {bit}, {kind} of {name}: {sorted(named)}")
    copy.unlink()
    return found, missed


def _named(bundle: Path) -> set[str]:
    """Return what the faults of a bundle name."""
    try:
        return {fault.where for fault in verify(bundle, reporter=Silent(), workers=1).faults}
    except AirseedError as error:
        return {fault.where for fault in error.faults or (error.fault,)}


def _flip(file: FileIO, place: int, bit: int) -> None:
    file.seek(place)
    [byte] = file.read(1)
    file.seek(place)
    file.write(bytes([byte ^ 1 << bit]))
