"""Open a bundle for reading: the tar itself, its parts, or the folder that it was unpacked to.

All are strict and offline: nothing but plain files at plain paths, each once, nothing
between, around or behind them. ``bundle.verify`` proves that all of it is right.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle import tar
from builder.bundle.layout import LOCK_PATH, README_PATH, path_fault
from builder.bundle.readme import MAGIC
from builder.bundle.region import Files, open_region
from builder.bundle.split import SUFFIX, cut, is_ours, misfit, read_sums, target_of, there
from builder.closing import Closing
from builder.errors import Fault, StorageError, VerificationError, reason

if TYPE_CHECKING:
    import io
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.bundle.split import PartFile

_MOST = 1_000_000
"""Members that a bundle may have; it keeps hostile files from filling the memory."""
_LOCK = b'{\n"format": '
_OTHERS = {
    ".yaml": "if this is a cluster.yaml: airseed bundle makes its bundle",
    ".tar": "compare its size and digest with the original's; parts are given as NAME.tar.sha256",
}
"""What helps, by how a file that is not a bundle is called."""
_SEEK = "a bundle is not read from start to end, so it can't come through a pipe"
_HEADERS = 4 * tar.BLOCK + tar.LONGEST_PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Where a member stands. In a folder, header and offset are 0."""

    path: str
    header: int
    offset: int
    size: int


def open_bundle(path: Path) -> TarBundle | FolderBundle:
    """Open a bundle: a tar, its parts (by the name of any, or of their checksums) or a folder.

    Raise StorageError, or VerificationError if it is none.
    """
    if path.is_dir():
        return FolderBundle(path)
    target = target_of(path)
    if target is None:
        return TarBundle(path)
    return TarBundle(target, parts=parts_of(target))


def is_unpacked(folder: Path) -> bool:
    """Return whether a folder is an unpacked bundle, be it a damaged one."""
    readme = folder / README_PATH
    if not readme.is_file():
        return False
    if (folder / LOCK_PATH).is_file():
        return True
    try:
        with disk.opened(readme) as file:
            return file.read(len(MAGIC) + 1) == f"{MAGIC}\n".encode()
    except OSError:
        return False


def parts_of(target: Path) -> Sequence[PartFile]:
    """Return the parts of a bundle: as its checksums have them, or those that are there."""
    try:
        sums = read_sums(target)
    except OSError as error:
        raise disk.failure(error, target) from error
    except VerificationError:
        return there(target)
    return cut(target, sums.size, sums.split)


class _Reading(Closing):
    path: Path
    modified: float
    """Seconds since 1970."""
    kind: str
    """What messages call it when it is right."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Member] | None = None

    def members(self) -> Mapping[str, Member]:
        """Return all members by path; raise VerificationError with everything that is wrong."""
        if self._members is None:
            members, faults = self.walk()
            if faults:
                what = f"this is not a {self.kind} bundle"
                raise VerificationError(what, where=str(self.path), faults=faults)
            self._members = members
        return self._members

    def member(self, path: str) -> Member:
        """Return one member; raise VerificationError if there is none."""
        member = self.members().get(path)
        if member is None:
            raise VerificationError("the bundle has no such member", where=path)
        return member

    def walk(self) -> tuple[dict[str, Member], list[Fault]]:
        raise NotImplementedError

    def segments(
        self, path: str, offset: int, size: int
    ) -> Generator[tuple[int, int, int], None, None]:
        """Yield descriptor, offset and size of the open files that hold some bytes of a member."""
        raise NotImplementedError

    def open(self, path: str) -> io.BufferedReader:
        raise NotImplementedError

    def read(self, path: str, limit: int) -> bytes:
        """Read a member of at most ``limit`` bytes; raise VerificationError."""
        with self.open(path) as file:
            try:
                return disk.read_open(file, limit)
            except disk.TooLargeError as error:
                raise VerificationError(
                    "the member is too large", where=path, expected=f"at most {limit:,} bytes"
                ) from error
            except OSError as error:
                raise disk.failure(error, self.path) from error


def _refuse(file: Path, *, lone: bool) -> None:
    """Raise StorageError for what has no bytes at offsets; a part is no disk, either."""
    mode = file.stat().st_mode
    if not lone and (what := misfit(mode)):
        raise StorageError(what, where=str(file), hint="remove it, and copy the part again")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise StorageError("is neither a file nor a disk", where=str(file), hint=_SEEK)


def _compare(path: Path, parts: Sequence[PartFile], sizes: Sequence[int]) -> None:
    """Raise VerificationError for parts that are not as large as their checksums say."""
    faults = [
        Fault(where=piece.path.name, what=f"has {size:,} bytes", expected=f"{piece.size:,}")
        for piece, size in zip(parts, sizes, strict=False)
        if piece.size != size
    ]
    if faults:
        what = "a part is not as large as it was"
        raise VerificationError(what, where=str(path), faults=faults, hint="copy it again")


class TarBundle(_Reading):
    """Read a bundle that is one file, a raw disk, or ``parts`` of a file that ``path`` names."""

    kind = "whole"

    def __init__(self, path: Path, *, parts: Sequence[PartFile] = ()) -> None:
        super().__init__(path)
        with ExitStack() as opened:
            descriptors, sizes, times = [], [], []
            for file in [piece.path for piece in parts] or [path]:
                try:
                    _refuse(file, lone=not parts)
                    # a pipe must not hold us up
                    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
                    descriptors.append(os.open(file, flags))
                    opened.callback(os.close, descriptors[-1])
                    times.append(os.fstat(descriptors[-1]).st_mtime)
                    sizes.append(os.lseek(descriptors[-1], 0, os.SEEK_END))
                except FileNotFoundError as error:
                    hint = f"it is part of {path.name}: copy it as well" if parts else None
                    raise StorageError("is missing", where=str(file), hint=hint) from error
                except OSError as error:
                    raise disk.failure(error, file) from error
            _compare(path, parts, sizes)
            self.size = sum(sizes)
            self.modified = max(times)
            self.files = Files(descriptors, sizes)
            with disk.stored(path):
                self._recognise()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the files; what was opened in them can no longer be read."""
        self._opened.close()

    def at(self, offset: int, size: int) -> bytes:
        """Read bytes of the file; fewer at its end. Raise StorageError."""
        with disk.stored(self.path):
            return self.files.read(offset, size)

    def region(self, offset: int, size: int) -> io.BufferedReader:
        return open_region(self.files, offset, size)

    def open(self, path: str) -> io.BufferedReader:
        """Open a member, seekable; raise VerificationError if there is none."""
        member = self.member(path)
        return self.region(member.offset, member.size)

    def segments(
        self, path: str, offset: int, size: int
    ) -> Generator[tuple[int, int, int], None, None]:
        return self.files.segments(self.member(path).offset + offset, size)

    def walk(self) -> tuple[dict[str, Member], list[Fault]]:
        """Return the members as far as they can be read, and what is wrong with the tar."""
        members: dict[str, Member] = {}
        faults: list[Fault] = []
        offset = 0
        try:
            while (member := self._member(offset)) is not None:
                what = path_fault(member.path)
                if what is None and member.path in members:
                    what = "two members have this path"
                if what is not None:
                    faults.append(Fault(where=_shown(member.path), what=what))
                end = member.offset + member.size
                offset = end + tar.padding(member.size)
                if offset > self.size or len(members) >= _MOST:
                    what = "is cut off"
                    if offset <= self.size:
                        what = f"a bundle may have at most {_MOST:,} members"
                    faults.append(Fault(where=_shown(member.path), what=what))
                    return members, faults
                if any(self.at(end, offset - end)):
                    what = "the padding after it is not zero"
                    faults.append(Fault(where=_shown(member.path), what=what))
                members.setdefault(member.path, member)
        except ValueError as error:
            faults.append(Fault(where=f"byte {offset:,}", what=f"the member here {error}"))
            return members, faults
        faults += self.tail(offset)
        return members, faults

    def tail(self, offset: int) -> Iterator[Fault]:
        end = offset + 2 * tar.BLOCK
        end += -end % tar.RECORD
        if self.size != end:
            yield Fault(
                where="end of the file", what=f"{self.size:,} bytes long", expected=f"{end:,}"
            )
        content = self.at(offset, min(end, self.size) - offset)
        if any(content):
            wrong = next(number for number, byte in enumerate(content) if byte)
            yield Fault(where="end of the file", what=f"byte {offset + wrong:,} is not zero")

    def _member(self, offset: int) -> Member | None:
        """Read the header at an offset; None for the end blocks. Raise ValueError."""
        blocks = self.at(offset, _HEADERS)
        if len(blocks) >= tar.BLOCK and not any(blocks[: tar.BLOCK]):
            return None
        path, size, length = tar.read_header(blocks)
        return Member(path=path, header=offset, offset=offset + length, size=size)

    def _recognise(self) -> None:
        """Raise VerificationError if this is not a bundle at all, be it a damaged one."""
        head = self.at(0, tar.BLOCK + len(MAGIC) + 1)
        named = head[: tar.BLOCK].startswith(README_PATH.encode() + b"\0")
        if not named and head[tar.BLOCK :] != f"{MAGIC}\n".encode():
            raise VerificationError(
                "not an airseed bundle",
                where=str(self.path),
                expected=f"a tar that begins with {README_PATH} ({MAGIC})",
                hint="this is a lock: airseed inspect shows it, airseed bundle makes its bundle"
                if head.startswith(_LOCK)
                else _OTHERS.get(self.path.suffix),
            )


def _shown(path: str) -> str:
    """Return a path that may be hostile as text that any terminal bears."""
    return path if path_fault(path) is None else ascii(path)


class FolderBundle(_Reading):
    kind = "plain"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not is_unpacked(path):
            sets = sorted(file for file in path.glob(f"*{SUFFIX}") if is_ours(file))
            raise VerificationError(
                "not an airseed bundle",
                where=str(path),
                expected=f"a folder with {README_PATH} ({MAGIC})",
                hint=f"this folder has a bundle in parts: give {sets[0]}" if sets else None,
            )
        with disk.stored(path):
            self.modified = path.stat().st_mtime

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def open(self, path: str) -> io.BufferedReader:
        self.member(path)
        with disk.stored(self.path / path):
            return self.raw(path)

    def segments(
        self, path: str, offset: int, size: int
    ) -> Generator[tuple[int, int, int], None, None]:
        with self.open(path) as file:
            yield file.fileno(), offset, size

    def raw(self, path: str) -> io.BufferedReader:
        """Open a file of the folder, no link; raise OSError."""
        return disk.opened(self.path / path, follow=False)

    def walk(self) -> tuple[dict[str, Member], list[Fault]]:
        """Return the files by path, and everything that is neither file nor folder."""
        members: dict[str, Member] = {}
        faults: list[Fault] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(self.path / folder))
            except OSError as error:
                faults.append(Fault(where=_shown(folder), what=f"cannot be read: {reason(error)}"))
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
                elif (what := path_fault(path)) is not None:
                    faults.append(Fault(where=_shown(path), what=what))
                elif stat.S_ISREG(status.st_mode):
                    members[path] = Member(path=path, header=0, offset=0, size=status.st_size)
                else:
                    kind = "a symbolic link" if entry.is_symlink() else "a device, pipe or socket"
                    faults.append(Fault(where=path, what=f"is {kind}, not a plain file"))
        return members, faults
