"""A tar or a folder, compared with what a layout, or else SHA256SUMS, says of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import checksums, tar
from builder.bundle.delta import MAGIC, listed, may_be_left_over
from builder.bundle.hashing import Item
from builder.bundle.layout import (
    DELTA_PATH,
    LOCK_HEADER,
    LOCK_LIMIT,
    LOCK_PATH,
    README_PATH,
    SUMS_PATH,
)
from builder.bundle.readme import README
from builder.errors import Fault, VerificationError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from builder.bundle.layout import Extent, FramePiece, Layout
    from builder.bundle.reader import FolderBundle, Member, TarBundle
    from builder.model.artifact import Content
    from builder.model.digest import Digest

_DELTA_LIMIT = 64 << 20


class _Comparison:
    unread: tuple[str, ...] = ()

    def __init__(self, bundle: TarBundle | FolderBundle) -> None:
        self._walk = functools.cache(bundle.walk)

    def _open(self, member: Member | Extent) -> io.BufferedReader:
        raise NotImplementedError

    def survey(self, sums: bytes, delta: bytes | None) -> tuple[list[Fault], list[Item]]:
        """Compare with SHA256SUMS alone; return what is wrong, and what is to be hashed."""
        members, faults = self._walk()
        if SUMS_PATH not in members:
            return [*faults, Fault(where=SUMS_PATH, what="is missing")], []
        digests, damaged = checksums.entries(sums)
        faults = [*faults, *damaged]
        faults += [
            Fault(where=path, what="is not in SHA256SUMS")
            for path in members
            if path not in digests and path not in {SUMS_PATH, DELTA_PATH}
        ]
        left_out = listed(delta or b"")
        faults += [
            Fault(where=path, what="is missing")
            for path, digest in digests.items()
            if path not in members and digest.hex.encode() not in left_out
        ]
        return faults, [
            self._item(member, digests[path]) for path, member in members.items() if path in digests
        ]

    def _item(self, member: Member | Extent, digest: Digest) -> Item:
        opening = functools.partial(self._open, member)
        return Item(path=member.path, size=member.size, digest=digest, open=opening)


class TarComparison(_Comparison):
    def __init__(self, bundle: TarBundle) -> None:
        super().__init__(bundle)
        self._bundle = bundle

    def lock(self) -> bytes:
        """Read the lock, by the one header whose place never changes; raise VerificationError."""
        faults = list(self._front())
        what = "is a different one"
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
        offset = LOCK_HEADER + tar.BLOCK + lock + tar.padding(lock)
        head = self._bundle.at(offset, tar.BLOCK + len(MAGIC))
        named = head.startswith(f"{DELTA_PATH}\0".encode())
        if not named and head[tar.BLOCK :] != MAGIC.encode():
            return None
        try:
            _, size, _ = tar.read_header(head[: tar.BLOCK])
        except ValueError:
            size = _DELTA_LIMIT
        return self._bundle.at(offset + tar.BLOCK, min(size, _DELTA_LIMIT)).partition(b"\0")[0]

    def _front(self) -> Iterator[Fault]:
        """Return what is wrong before the lock, for when the lock cannot be read."""
        content = self._bundle.at(0, LOCK_HEADER)
        expected = tar.header(README_PATH, len(README)) + README + bytes(tar.padding(len(README)))
        if content != expected:
            yield Fault(where=README_PATH, what="is not what format 1 requires")

    def sums(self, layout: Layout | None) -> bytes:
        """Read SHA256SUMS from where the layout has it, or else by its header."""
        if layout is not None:
            extent = layout.extent(SUMS_PATH)
            return self._bundle.at(extent.offset, extent.size)
        member = self._walk()[0].get(SUMS_PATH)
        if member is None or member.size > checksums.LIMIT:
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
            self._item(extent, extent.digest)
            for extent in layout.extents
            if extent.offset < bundle.size
        ]

    def _piece(self, piece: FramePiece) -> Iterator[Fault]:
        content = self._bundle.at(piece.offset, len(piece.content))
        if content == piece.content[: len(content)]:
            return
        wrong = next(
            n for n, (a, b) in enumerate(zip(content, piece.content, strict=False)) if a != b
        )
        position = f"(byte {piece.offset + wrong:,} of the file)"
        if not piece.path:
            yield Fault(where="end of the file", what=f"the end blocks are damaged {position}")
        elif piece.what == "header":
            yield Fault(where=piece.path, what=f"its tar header is damaged {position}")
        else:
            yield Fault(where=piece.path, what=f"the padding after it is not zero {position}")

    def _open(self, member: Member | Extent) -> io.BufferedReader:
        return self._bundle.region(member.offset, member.size)


class FolderComparison(_Comparison):
    def __init__(self, bundle: FolderBundle) -> None:
        super().__init__(bundle)
        self._bundle = bundle
        self._members, self._faults = self._walk()

    def lock(self) -> bytes:
        return self._read(LOCK_PATH, LOCK_LIMIT)

    def sums(self, layout: Layout | None) -> bytes:
        """Read SHA256SUMS; empty if there is none."""
        limit = checksums.LIMIT if layout is None else 2 * len(layout.sums)
        try:
            return self._read(SUMS_PATH, limit)
        except VerificationError:
            return b""

    def compare(self, layout: Layout) -> tuple[list[Fault], list[Item]]:
        faults = list(self._faults)
        expected: dict[str, Extent | Content] = {extent.path: extent for extent in layout.extents}
        expected |= {content.path: content for content in layout.left_out}
        left_out = {content.path for content in layout.left_out}
        items = []
        for path, extent in expected.items():
            member = self._members.get(path)
            if member is None:
                if path not in left_out:
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
                items.append(self._item(member, extent.digest))
        others = [path for path in self._members if path not in expected]
        if layout.delta:
            # a delta takes nothing away of the bundle that it is unpacked over
            self.unread = tuple(filter(may_be_left_over, others))
            others = [path for path in others if not may_be_left_over(path)]
        hint = "delete it if it came from the earlier bundle" if layout.delta else None
        faults += [Fault(where=path, what="is not in the lock", hint=hint) for path in others]
        return faults, items

    def delta(self, _lock: int) -> bytes | None:
        return self._read(DELTA_PATH, _DELTA_LIMIT) if DELTA_PATH in self._members else None

    def _open(self, member: Member | Extent) -> io.BufferedReader:
        return self._bundle.raw(member.path)

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
