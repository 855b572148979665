"""Whether a bundle is there already, and what lies beside one: little to load, so quick to ask."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle.layout import SUMS_PATH
from builder.bundle.part import Part
from builder.bundle.split import cut, strays, sums_beside
from builder.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.bundle.download import Outcome
    from builder.bundle.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    target: Path
    size: int
    outcomes: tuple[Outcome, ...]
    """One for each artifact of the lock, by path; empty when the bundle was there already."""
    whole: bool = False
    """Whether the bundle was there already."""
    parts: tuple[Path, ...] = ()
    """The files that it was cut into; none when it is one file."""

    @property
    def fetched(self) -> int:
        return sum(outcome.fetched for outcome in self.outcomes)

    @property
    def reused(self) -> int:
        return sum(outcome.size for outcome in self.outcomes if outcome.state == "reused")

    @property
    def fallbacks(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.passed_over)


def part_path(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def journal_path(target: Path) -> Path:
    return target.with_name(target.name + ".journal")


def finished(layout: Layout, target: Path, *, split: int = 0) -> BundleResult | None:
    """Return the result of making a bundle that is there already; None where it is not.

    What an interrupted run left beside it is removed. Raise StorageError if something else than
    a file is there, UsageError for too many parts.
    """
    if not is_whole(layout, target, split=split):
        return None
    pieces = cut(target, layout.size, split) if split else ()
    parts = tuple(piece.path for piece in pieces)
    _sweep(target, parts)
    return BundleResult(target=target, size=layout.size, outcomes=(), whole=True, parts=parts)


def is_whole(layout: Layout, target: Path, *, split: int = 0) -> bool:
    """Return whether a finished bundle of this layout, cut in this way, has the name already.

    Length, README, lock and SHA256SUMS are compared. Raise StorageError if something else than a
    file is there.
    """
    size = layout.extent(SUMS_PATH).end
    with disk.stored(target):
        if target.exists() and not target.is_file():
            raise StorageError("not a file", where=str(target), expected="the name of a file")
        pieces = _finished(layout, target, split)
        if not pieces or sum(piece.stat().st_size for piece in pieces) != layout.size:
            return False
        head = _head(pieces, size)
    return all(
        head[piece.offset : piece.offset + len(piece.content)] == piece.content
        for piece in layout.frame()
        if piece.offset < size
    )


def _finished(layout: Layout, target: Path, split: int) -> list[Path]:
    """Return the files of a finished bundle, as far as their names and sizes tell; none if not."""
    if not split:
        return [target] if target.is_file() else []
    sums = sums_beside(target)
    if sums is None or (sums.layout, sums.split) != (layout.digest, split):
        return []
    pieces = cut(target, layout.size, split)
    complete = all(
        piece.path.is_file() and piece.path.stat().st_size == piece.size for piece in pieces
    )
    return [piece.path for piece in pieces] if complete else []


def _head(files: Sequence[Path], size: int) -> bytes:
    content = b""
    for path in files:
        with disk.opened(path) as file:
            content += file.read(size - len(content))
        if len(content) == size:
            break
    return content


def _sweep(target: Path, parts: Sequence[Path]) -> None:
    """Remove what earlier runs left beside a finished bundle, unless one is at it.

    A part too many is no part of it, and ``cat`` would join it.
    """
    with suppress(StorageError), closing(Part(part_path(target))) as part:
        for path in strays(target):
            if path.suffix == ".part" or (parts and path not in parts):
                path.unlink()
        part.forget()
        journal_path(target).unlink(missing_ok=True)
