"""Prove that every byte of a bundle is what its own lock says, and name what is not.

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
from builder.bundle import tar
from builder.bundle.delta import MAGIC, may_be_left_over
from builder.bundle.hashing import Item, hash_all
from builder.bundle.layout import (
    DELTA_PATH,
    LOCK_HEADER,
    LOCK_PATH,
    README_PATH,
    SUMS_PATH,
    Layout,
    complaint,
)
from builder.bundle.part import storage_error
from builder.bundle.reader import FolderBundle, TarBundle, parts_of
from builder.bundle.readme import README
from builder.bundle.split import read_sums, sums_path, target_of
from builder.errors import AirseedError, Fault, VerificationError
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from builder.bundle.hashing import Inspect
    from builder.bundle.layout import Extent, Piece
    from builder.model.artifact import Content
    from builder.report import Reporter

LOCK_LIMIT = 64 << 20
_SUMS_LIMIT = 256 << 20
_DELTA_LIMIT = 64 << 20
_SLIGHT = 8
"""Bytes in which SHA256SUMS may differ and still be the damaged one; another digest differs in
some sixty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Tell what was found."""

    layout: Layout | None
    """What the bundle should be; None when its lock cannot be trusted."""
    faults: tuple[Fault, ...]
    elsewhere: tuple[Content, ...] = ()
    """What a delta lacks, by its own word."""
    unread: tuple[str, ...] = ()
    """Layers, packages and files beside a delta that are not in its lock, as an earlier bundle that
    it was unpacked over leaves them; nothing is known of their content."""


def examine(
    bundle: TarBundle | FolderBundle,
    plan: Callable[[bytes, bytes | None], Layout],
    reporter: Reporter,
    *,
    workers: int | None = None,
    inspect: Inspect | None = None,
) -> Examination:
    """Check every byte of a bundle; all faults are found in one run.

    ``plan`` computes the layout from the texts of the lock and, of a delta, of DELTA.txt; it raises
    AirseedError. ``inspect`` is called
    with path and content of each right member, from several threads; see ``hashing.hash_all``.
    Raise what ``plan`` raises when the lock is undamaged and still no good.
    """
    view = _Tar(bundle) if isinstance(bundle, TarBundle) else _Folder(bundle)
    try:
        lock = view.lock()
    except VerificationError as error:
        return Examination(layout=None, faults=(*error.faults, _UNKNOWN))
    layout, failure = None, None
    delta = view.delta(len(lock))
    try:
        layout = plan(lock, delta)
    except AirseedError as error:
        failure = error
    digest = Digest.of(lock)
    # without SHA256SUMS nothing speaks against the lock, and that it is missing is told
    if layout is not None and (not (found := view.sums(layout)) or _trusted(found, layout, digest)):
        faults, items = view.compare(layout)
    else:
        sums = view.sums(None)
        if failure is not None and _lock_line(sums) == digest.hex:
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
    return Examination(
        layout=layout,
        faults=tuple(sorted(set(faults), key=_place(layout))),
        elsewhere=tuple(one for one in layout.left_out if one.path not in there) if layout else (),
        unread=view.unread if layout else (),
    )


def examine_parts(
    path: Path, reporter: Reporter, *, workers: int | None = None
) -> tuple[list[Fault], bool]:
    """Check the parts of a bundle against their checksums, where a path means parts.

    Give what is wrong, and whether there are bytes enough to examine the bundle itself.
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
        raise storage_error(error, target) from error
    items = []
    for number, piece in enumerate(parts_of(target)):
        size = piece.path.stat().st_size if piece.path.is_file() else None
        if size is None:
            faults.append(Fault(where=piece.path.name, what="is missing"))
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
    complete = not any(fault.where != sums_path(target).name for fault in faults)
    odd = {fault.where for fault in faults}
    items = [item for item in items if item.path not in odd]
    with reporter.progress(f"parts of {target.name}", sum(i.size for i in items)) as progress:
        faults += hash_all(items, progress, workers=workers)
    return sorted(faults), complete


def _open(path: Path) -> io.BufferedReader:
    return path.open("rb")


_UNKNOWN = Fault(where=LOCK_PATH, what="without the lock, nothing else can be checked")


def _place(layout: Layout | None) -> Callable[[Fault], tuple[int, Fault]]:
    """Order faults as their members stand in the tar."""
    order = {extent.path: n for n, extent in enumerate(layout.extents)} if layout else {}
    return lambda fault: (order.get(fault.where, len(order)), fault)


def _trusted(sums: bytes, layout: Layout, digest: Digest) -> bool:
    """Tell whether the lock that gave this layout is the one that SHA256SUMS was made with."""
    if _lock_line(sums) == digest.hex:
        return True
    if len(sums) != len(layout.sums):
        return False
    return sum(a != b for a, b in zip(sums, layout.sums, strict=True)) <= _SLIGHT


def _lock_line(sums: bytes) -> str:
    """Give the lock's digest as SHA256SUMS has it, in its second line; empty if it has none."""
    lines = sums.split(b"\n", 2)
    if len(lines) < 2 or not lines[1].endswith(f"  {LOCK_PATH}".encode()):  # noqa: PLR2004 -- the second
        return ""
    return lines[1][:64].decode("ascii", "replace")


def listed(bundle: TarBundle | FolderBundle) -> dict[str, Digest]:
    """Give what SHA256SUMS says of each member, as far as it makes sense; nothing is hashed.

    Raise VerificationError or StorageError.
    """
    return _entries(bundle.read(SUMS_PATH, _SUMS_LIMIT))[0]


def _entries(sums: bytes) -> tuple[dict[str, Digest], list[Fault]]:
    """Read SHA256SUMS as far as it makes sense: digests by path, and what makes none."""
    found: dict[str, Digest] = {}
    faults = []
    for number, line in enumerate(sums.decode("utf-8", "replace").split("\n")[:-1], 1):
        digest, _, path = line.partition("  ")
        try:
            if complaint(path) is None:
                found[path] = Digest.parse(f"sha256:{digest}")
                continue
        except ValueError:
            pass
        faults.append(Fault(where=SUMS_PATH, what=f"line {number} is damaged"))
    return found, faults


def _survey(
    members: dict[str, Callable[[Digest], Item]], sums: bytes, delta: bytes | None
) -> tuple[list[Fault], list[Item]]:
    """Compare what is there with SHA256SUMS."""
    if SUMS_PATH not in members:
        return [Fault(where=SUMS_PATH, what="is missing")], []
    listed, faults = _entries(sums)
    faults += [
        Fault(where=path, what="is not in SHA256SUMS")
        for path in members
        if path not in listed and path not in {SUMS_PATH, DELTA_PATH}
    ]
    faults += [
        Fault(where=path, what="is missing")
        for path, digest in listed.items()
        if path not in members and digest.hex.encode() not in (delta or b"")
    ]
    return faults, [make(listed[path]) for path, make in members.items() if path in listed]


class _Tar:
    """See a tar as what a layout expects of it."""

    unread: tuple[str, ...] = ()

    def __init__(self, bundle: TarBundle) -> None:
        self._bundle = bundle

    def lock(self) -> bytes:
        """Read the lock, by the one header whose place never changes; raise VerificationError."""
        faults = list(self._front())
        what = "is another one"
        try:
            path, size, _ = tar.read_header(self._bundle.at(LOCK_HEADER, tar.BLOCK))
            if path == LOCK_PATH and size <= LOCK_LIMIT:
                return self._bundle.at(LOCK_HEADER + tar.BLOCK, size)
        except ValueError as error:
            what = str(error)
        faults.append(Fault(where=LOCK_PATH, what=f"the member at its place {what}"))
        raise VerificationError("no lock", faults=faults)

    def delta(self, lock: int) -> bytes | None:
        """Read DELTA.txt, which stands behind a lock of so many bytes; None if there is none.

        Its header may be damaged, or its content: never both by one fault.
        """
        place = LOCK_HEADER + tar.BLOCK + lock + tar.padding(lock)
        start = self._bundle.at(place, tar.BLOCK + len(MAGIC))
        named = start.startswith(f"{DELTA_PATH}\0".encode())
        if not named and start[tar.BLOCK :] != MAGIC.encode():
            return None
        try:
            _, size, _ = tar.read_header(start[: tar.BLOCK])
        except ValueError:
            size = _DELTA_LIMIT
        return self._bundle.at(place + tar.BLOCK, min(size, _DELTA_LIMIT)).partition(b"\0")[0]

    def _front(self) -> Iterator[Fault]:
        """Give what is wrong before the lock, for when the lock cannot be read."""
        found = self._bundle.at(0, LOCK_HEADER)
        expected = tar.header(README_PATH, len(README)) + README + bytes(tar.padding(len(README)))
        if found != expected:
            yield Fault(where=README_PATH, what="is not as format 1 has it")

    def sums(self, layout: Layout | None) -> bytes:
        """Read SHA256SUMS from where the layout has it, or else by its header."""
        if layout is not None:
            extent = layout.extent(SUMS_PATH)
            return self._bundle.at(extent.offset, extent.size)
        member = self._bundle.walk()[0].get(SUMS_PATH)
        if member is None or member.size > _SUMS_LIMIT:
            return b""
        return self._bundle.at(member.offset, member.size)

    def compare(self, layout: Layout) -> tuple[list[Fault], list[Item]]:
        """Compare the frame with the layout's; give what is to be hashed."""
        faults = []
        bundle = self._bundle
        if bundle.size < layout.size:
            first = next((e for e in layout.extents if e.end > bundle.size), None)
            what = f"ends at byte {bundle.size:,}" + (f", within {first.path}" if first else "")
            faults.append(Fault(where=str(bundle.path), what=what, expected=f"{layout.size:,}"))
        elif bundle.size > layout.size:
            faults.append(
                Fault(
                    where="end of the file",
                    what=f"{bundle.size - layout.size:,} bytes too many",
                    expected=f"{layout.size:,} bytes",
                )
            )
        faults += [fault for piece in layout.frame(data=False) for fault in self._piece(piece)]
        return faults, [
            self._item(extent) for extent in layout.extents if extent.offset < bundle.size
        ]

    def survey(self, sums: bytes, delta: bytes | None) -> tuple[list[Fault], list[Item]]:
        """Compare with SHA256SUMS alone."""
        members, faults = self._bundle.walk()

        def maker(path: str) -> Callable[[Digest], Item]:
            member = members[path]
            return lambda digest: Item(
                path=path,
                size=member.size,
                digest=digest,
                open=lambda: self._bundle.region(member.offset, member.size),
            )

        more, items = _survey({path: maker(path) for path in members}, sums, delta)
        return faults + more, items

    def _piece(self, piece: Piece) -> Iterator[Fault]:
        """Compare known bytes with those in the file, as far as it goes."""
        found = self._bundle.at(piece.offset, len(piece.content))
        if found == piece.content[: len(found)]:
            return
        odd = next(n for n, (a, b) in enumerate(zip(found, piece.content, strict=False)) if a != b)
        place = f"(byte {piece.offset + odd:,} of the file)"
        if not piece.path:
            yield Fault(where="end of the file", what=f"the end blocks are damaged {place}")
        elif piece.what == "header":
            yield Fault(where=piece.path, what=f"its tar header is damaged {place}")
        else:
            yield Fault(where=piece.path, what=f"the padding after it is not zero {place}")

    def _item(self, extent: Extent) -> Item:
        return Item(
            path=extent.path,
            size=extent.size,
            digest=extent.digest,
            open=lambda: self._bundle.region(extent.offset, extent.size),
        )


class _Folder:
    """See a folder as what a layout expects of it."""

    def __init__(self, bundle: FolderBundle) -> None:
        self._bundle = bundle
        self._members, self._faults = bundle.walk()
        self.unread: tuple[str, ...] = ()

    def lock(self) -> bytes:
        """Read the lock; raise VerificationError."""
        return self._read(LOCK_PATH, LOCK_LIMIT)

    def sums(self, layout: Layout | None) -> bytes:
        """Read SHA256SUMS; empty if there is none."""
        limit = _SUMS_LIMIT if layout is None else 2 * len(layout.sums)
        try:
            return self._read(SUMS_PATH, limit)
        except VerificationError:
            return b""

    def compare(self, layout: Layout) -> tuple[list[Fault], list[Item]]:
        """Compare the files that are there with the layout's; give what is to be hashed."""
        faults = list(self._faults)
        expected: dict[str, Extent | Content] = {one.path: one for one in layout.extents}
        expected |= {content.path: content for content in layout.left_out}
        left = {content.path for content in layout.left_out}
        items = []
        for path, extent in expected.items():
            member = self._members.get(path)
            if member is None:
                if path not in left:
                    faults.append(Fault(where=path, what="is missing"))
            elif member.size != extent.size:
                faults.append(
                    Fault(
                        where=path,
                        what=f"has {member.size:,} bytes",
                        expected=f"{extent.size:,}",
                    )
                )
            else:
                items.append(self._item(path, extent.size, extent.digest))
        others = [path for path in self._members if path not in expected]
        if layout.delta:
            # a delta takes nothing away of the bundle that it is unpacked over
            self.unread = tuple(filter(may_be_left_over, others))
            others = [path for path in others if not may_be_left_over(path)]
        hint = "delete it, if it is of the bundle that was there before" if layout.delta else None
        faults += [Fault(where=path, what="is not in the lock", hint=hint) for path in others]
        return faults, items

    def survey(self, sums: bytes, delta: bytes | None) -> tuple[list[Fault], list[Item]]:
        """Compare with SHA256SUMS alone."""

        def maker(path: str) -> Callable[[Digest], Item]:
            return lambda digest: self._item(path, self._members[path].size, digest)

        faults, items = _survey({path: maker(path) for path in self._members}, sums, delta)
        return [*self._faults, *faults], items

    def delta(self, _lock: int) -> bytes | None:
        """Read DELTA.txt; None if there is none."""
        return self._read(DELTA_PATH, _DELTA_LIMIT) if DELTA_PATH in self._members else None

    def _item(self, path: str, size: int, digest: Digest) -> Item:
        return Item(path=path, size=size, digest=digest, open=lambda: self._bundle.raw(path))

    def _read(self, path: str, limit: int) -> bytes:
        if path not in self._members:
            fault = Fault(where=path, what="is missing")
            raise VerificationError(fault.what, where=path, faults=[*self._faults, fault])
        with self._bundle.raw(path) as file:
            try:
                return disk.read_open(file, limit)
            except disk.TooLargeError as error:
                fault = Fault(where=path, what="is too large", expected=f"at most {limit:,} bytes")
                raise VerificationError(
                    fault.what, where=path, faults=[*self._faults, fault]
                ) from error
