"""Verify that every byte of a bundle is what its own lock says, and name what is not.

The lock inside decides: from it the whole layout is computed again, and each byte of the tar
belongs to a header, a padding, a made file or an artifact of that layout. What if the lock itself
is damaged? SHA256SUMS has its digest, and would have to differ in that whole line; a SHA256SUMS
that is damaged itself differs in a few characters. With a damaged lock, that lock is the fault, and
the rest is compared with SHA256SUMS.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle.checksums import lock_digest
from builder.bundle.comparison import FolderComparison, TarComparison
from builder.bundle.hashing import Item, hash_all
from builder.bundle.layout import LOCK_PATH
from builder.bundle.reader import FolderBundle, TarBundle, parts_of
from builder.bundle.split import misfit, read_sums, strays, target_of
from builder.errors import AirseedError, Fault, VerificationError, reason
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from builder.bundle.hashing import Inspect
    from builder.bundle.layout import Layout
    from builder.model.artifact import Content
    from builder.report import Reporter

_SLIGHT = 8
"""Bytes in which SHA256SUMS may differ and still be the damaged one; another digest differs in
some sixty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    layout: Layout | None
    """What the bundle should be; None when its lock cannot be trusted."""
    faults: tuple[Fault, ...]
    elsewhere: tuple[Content, ...] = ()
    """What a delta lacks, by its own word."""
    unread: tuple[str, ...] = ()
    """Layers, packages and files beside a delta that are not in its lock, as an earlier bundle that
    it was unpacked over leaves them; nothing is known of their content."""


def verify_bundle(
    bundle: TarBundle | FolderBundle,
    plan: Callable[[bytes, bytes | None], Layout],
    reporter: Reporter,
    *,
    workers: int | None = None,
    inspect: Inspect | None = None,
) -> Verification:
    """Check every byte of a bundle; all faults are found in one run.

    ``plan`` computes the layout from the texts of the lock and, of a delta, of DELTA.txt; it raises
    AirseedError. ``inspect`` is called
    with path and content of each right member, from several threads; see ``hashing.hash_all``.
    Raise what ``plan`` raises when the lock is undamaged and still no good.
    """
    view = TarComparison(bundle) if isinstance(bundle, TarBundle) else FolderComparison(bundle)
    try:
        lock = view.lock()
    except VerificationError as error:
        return Verification(layout=None, faults=(*error.faults, _UNKNOWN))
    layout, failure = None, None
    delta = view.delta(len(lock))
    try:
        layout = plan(lock, delta)
    except AirseedError as error:
        failure = error
    digest = Digest.of(lock)
    # without SHA256SUMS nothing speaks against the lock, and that it is missing is told
    if layout is not None and (not (sums := view.sums(layout)) or _trusted(sums, layout, digest)):
        faults, items = view.compare(layout)
    else:
        sums = view.sums(None)
        if failure is not None and lock_digest(sums) == digest.hex:
            raise failure
        layout = None
        faults, items = view.survey(sums, delta)
        faults.append(
            Fault(
                where=LOCK_PATH, what=f"has the digest {digest}", expected="the one in SHA256SUMS"
            )
        )
        items = [item for item in items if item.path != LOCK_PATH]
    total = sum(item.size for item in items)
    with reporter.progress(bundle.path.name, total) as progress:
        faults += hash_all(items, progress, workers=workers, inspect=inspect)
    there = {item.path for item in items}
    left_out = layout.left_out if layout else ()
    return Verification(
        layout=layout,
        faults=tuple(sorted(set(faults), key=_place(layout))),
        elsewhere=tuple(content for content in left_out if content.path not in there),
        unread=view.unread if layout else (),
    )


def verify_frame(bundle: TarBundle | FolderBundle, layout: Layout) -> list[Fault]:
    """Check that every member of a layout is in its place, without reading what is in it."""
    view = TarComparison(bundle) if isinstance(bundle, TarBundle) else FolderComparison(bundle)
    return view.compare(layout)[0]


def verify_parts(
    path: Path, reporter: Reporter, *, workers: int | None = None
) -> tuple[list[Fault], bool]:
    """Check the parts of a bundle against their checksums, where a path means parts.

    Return what is wrong, and whether there are bytes enough to verify the bundle itself.
    """
    target = target_of(path)
    if target is None:
        return [], True
    faults: list[Fault] = []
    digests = None
    try:
        digests = read_sums(target).digests
    except VerificationError as error:
        faults += error.faults
    except OSError as error:
        raise disk.failure(error, target) from error
    items = []
    pieces = parts_of(target)
    named = {piece.path.name for piece in pieces}
    faults += [
        Fault(
            where=path.name, what="is not part of this bundle", hint="remove it: cat joins it, too"
        )
        for path in strays(target)
        if path.suffix != ".part" and path.name not in named
    ]
    for number, piece in enumerate(pieces):
        size, what = _size(piece.path)
        if size is None:
            faults.append(Fault(where=piece.path.name, what=what))
        elif size != piece.size:
            what = f"has {size:,} bytes"
            faults.append(Fault(where=piece.path.name, what=what, expected=f"{piece.size:,}"))
        if size is not None and digests is not None:
            items.append(
                Item(
                    path=piece.path.name,
                    size=size,
                    digest=digests[number],
                    open=functools.partial(_open, piece.path),
                )
            )
    complete = not any(fault.where in named for fault in faults)
    faulty = {fault.where for fault in faults}
    items = [item for item in items if item.path not in faulty]
    with reporter.progress(f"parts of {target.name}", sum(i.size for i in items)) as progress:
        faults += hash_all(items, progress, workers=workers)
    return sorted(faults), complete


def _size(part: Path) -> tuple[int | None, str]:
    """Return the bytes of a part, or None and why it is no part."""
    try:
        about = part.stat()
    except FileNotFoundError:
        return None, "is missing"
    except OSError as error:
        return None, f"cannot be read: {reason(error)}"
    what = misfit(about.st_mode)
    return (None if what else about.st_size), what


def _open(path: Path) -> io.BufferedReader:
    return disk.opened(path)


_UNKNOWN = Fault(where=LOCK_PATH, what="without the lock, nothing else can be checked")


def _place(layout: Layout | None) -> Callable[[Fault], tuple[int, Fault]]:
    order = {extent.path: n for n, extent in enumerate(layout.extents)} if layout else {}
    return lambda fault: (order.get(fault.where, len(order)), fault)


def _trusted(sums: bytes, layout: Layout, digest: Digest) -> bool:
    """Return whether the lock that gave this layout is the one that SHA256SUMS was made with."""
    if lock_digest(sums) == digest.hex:
        return True
    if len(sums) != len(layout.sums):
        return False
    return sum(a != b for a, b in zip(sums, layout.sums, strict=True)) <= _SLIGHT
