"""The final names of a bundle or its parts: given when all is there, so that a cut is safe."""

from __future__ import annotations

import functools
import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle.existing import journal_path
from builder.bundle.hashing import digest_all
from builder.bundle.split import Sums, cut, is_ours, strays, sums_beside, sums_path
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.bundle.journal import Journal
    from builder.bundle.layout import Layout
    from builder.bundle.part import Part
    from builder.bundle.split import PartFile
    from builder.model.digest import Digest
    from builder.report import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    target: Path
    layout: Layout
    split: int
    """Bytes of a part; 0 for one file."""
    pieces: tuple[PartFile, ...]
    sync: bool

    @classmethod
    def of(cls, layout: Layout, target: Path, *, split: int, sync: bool) -> Names:
        """Name what a layout becomes; raise UsageError where a name is taken by something else."""
        if split and os.path.lexists(sums_path(target)) and not is_ours(sums_path(target)):
            raise UsageError(
                "another file has the name that the checksums of the parts need",
                where=str(sums_path(target)),
                hint="choose another name with -o, or remove this file",
            )
        pieces = cut(target, layout.size, split) if split else ()
        for piece in pieces:
            disk.replaceable(piece.path)
            disk.replaceable(piece.under_way)
        return cls(target=target, layout=layout, split=split, pieces=pieces, sync=sync)

    def give(self, part: Part, journal: Journal, reporter: Reporter) -> None:
        """Make everything durable, then give it its names; raise StorageError."""
        if self.pieces:
            self._give_parts(part, journal, reporter)
        else:
            self._give_file(part)

    def _give_file(self, part: Part) -> None:
        if self.sync:
            part.sync(metadata=True)
        with disk.stored(self.target):
            part.path.replace(self.target)
            self._sync_folder()
            beside = sums_beside(self.target)
            if beside is not None and beside.layout != self.layout.digest:
                sums_path(self.target).unlink()
                for path in strays(self.target):
                    path.unlink()
            journal_path(self.target).unlink(missing_ok=True)

    def _give_parts(self, part: Part, journal: Journal, reporter: Reporter) -> None:
        """Give all parts their names, and say what they are.

        The checksums go first and come last: between the two there is no bundle in parts.
        """
        target = self.target
        sums = Sums(
            target=target.name,
            size=self.layout.size,
            split=self.split,
            layout=self.layout.digest,
            digests=self._digests(part, reporter),
        )
        if self.sync:
            part.sync(metadata=True)
        journal.naming()
        ours = {path for piece in self.pieces for path in (piece.path, piece.under_way)}
        with disk.stored(target):
            sums_path(target).unlink(missing_ok=True)
            for path in strays(target):
                if path not in ours:
                    path.unlink()
            for piece in self.pieces:
                piece.under_way.replace(piece.path)
            self._sync_folder()
            disk.put(sums_path(target), sums.write(), sync=self.sync)
            self._sync_folder()
            part.path.unlink(missing_ok=True)
            journal_path(target).unlink(missing_ok=True)

    def _digests(self, part: Part, reporter: Reporter) -> tuple[Digest, ...]:
        starts = itertools.accumulate((piece.size for piece in self.pieces), initial=0)
        regions = [
            (piece.size, functools.partial(part.region, start, piece.size))
            for start, piece in zip(starts, self.pieces, strict=False)
        ]
        title = f"checksums of {len(self.pieces)} parts"
        with disk.stored(self.target), reporter.progress(title, self.layout.size) as progress:
            return tuple(digest_all(regions, progress))

    def _sync_folder(self) -> None:
        if not self.sync:
            return
        descriptor = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
