"""Where every byte of a bundle stands, as a pure function of the lock and the format's version.

Sizes are known from the lock, so each member's offset is known before the first byte arrives:
downloads go straight to their final place, ranges of the tar can be sent without unpacking, and
two builds are the same. What format 1 fixes: the README, the order of members (below), plain
files only (no folder entries), one time stamp, mode and owner, two zero blocks at the end and
zeros up to a multiple of ``tar.RECORD``.

Order: README.txt, cluster.lock, (of a delta, DELTA.txt,) SHA256SUMS, then small things before
large ones, so that the beginning of the file says what it is and holds all that a node needs to
read first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.bundle import tar
from builder.bundle.readme import README
from builder.errors import DocumentError, Fault
from builder.model.artifact import Blob, Package
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.model.artifact import Content
    from builder.model.lock import Lock

FORMAT = 1
README_PATH = "README.txt"
LOCK_PATH = "cluster.lock"
LOCK_LIMIT = 64 << 20
"""Bytes of a lock that is read out of a bundle."""
DELTA_PATH = "DELTA.txt"
SUMS_PATH = "SHA256SUMS"
LOCK_HEADER = tar.BLOCK + len(README) + tar.padding(len(README))
"""Where the header of cluster.lock stands: the README before it never changes."""
FOLDERS = ("keys/", "manifests/", "files/", "yum/", "images/")
"""Where all members lie but those that the format names."""
_LARGEST = 2**62
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where one member stands in the tar. Offsets and sizes are in bytes."""

    path: str
    header: int
    """Offset of the first header block."""
    offset: int
    """Offset of the data."""
    size: int
    digest: Digest
    content: bytes | Content
    """The bytes themselves where they are made, else the artifact of the lock."""

    @property
    def end(self) -> int:
        """The offset behind the data and its padding."""
        return self.offset + self.size + tar.padding(self.size)

    @property
    def name(self) -> str:
        """What people call it: the artifact's name, or the path of a made file."""
        return self.path if isinstance(self.content, bytes) else self.content.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePiece:
    """Bytes of the tar that are known without the lock's contents."""

    offset: int
    content: bytes
    path: str
    """The member that it belongs to; of the end blocks, an empty text."""
    what: str
    """``header``, ``padding``, ``data`` or ``end``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All extents, in the order of the tar."""

    extents: tuple[Extent, ...]
    size: int
    """Of the whole tar."""
    sums: bytes
    """The content of SHA256SUMS; a delta has that of its whole bundle."""
    delta: bytes = b""
    """The content of DELTA.txt; empty for a whole bundle."""
    left_out: tuple[Content, ...] = ()
    """What a delta lacks; see ``bundle.delta``."""
    _by_path: dict[str, Extent] = field(default_factory=dict, repr=False, compare=False)

    @property
    def digest(self) -> Digest:
        """Name this layout: SHA256SUMS has every path and, by the lock's digest, every size."""
        return Digest.of(self.sums + self.delta)

    @property
    def fetched(self) -> tuple[Extent, ...]:
        return tuple(extent for extent in self.extents if not isinstance(extent.content, bytes))

    @property
    def made(self) -> Iterator[bytes]:
        """Return the files that are not fetched."""
        return (extent.content for extent in self.extents if isinstance(extent.content, bytes))

    def extent(self, path: str) -> Extent:
        """Find a member; raise KeyError if there is none."""
        if not self._by_path:
            self._by_path.update((extent.path, extent) for extent in self.extents)
        return self._by_path[path]

    def frame(self, *, data: bool = True) -> Iterator[FramePiece]:
        """Return headers, paddings and the end, and with ``data`` the made files too."""
        for extent in self.extents:
            yield FramePiece(
                offset=extent.header,
                content=tar.header(extent.path, extent.size),
                path=extent.path,
                what="header",
            )
            if data and isinstance(extent.content, bytes):
                yield FramePiece(
                    offset=extent.offset, content=extent.content, path=extent.path, what="data"
                )
            if filler := tar.padding(extent.size):
                yield FramePiece(
                    offset=extent.offset + extent.size,
                    content=bytes(filler),
                    path=extent.path,
                    what="padding",
                )
        end = self.extents[-1].end
        yield FramePiece(offset=end, content=bytes(self.size - end), path="", what="end")


def plan(lock: Lock, content: bytes, texts: Mapping[str, bytes]) -> Layout:
    """Lay a bundle out.

    ``content`` is the lock's text, which becomes a member; ``texts`` are other made files by
    their path in the bundle (images/index.json and its like). Raise DocumentError with all
    paths that are unsafe or stand for two things.
    """
    wanted: list[tuple[str, bytes | Content]] = [
        *sorted(texts.items()),
        *((item.path, item) for item in lock.contents),
    ]
    faults = list(path_faults([path for path, _ in wanted]))
    faults += _contradictions(lock.contents)
    if faults:
        raise DocumentError(LOCK_PATH, sorted(faults))
    wanted.sort(key=lambda pair: (_rank(*pair), pair[0]))
    members: list[tuple[str, bytes | Content, Digest]] = [
        (path, item, _digest(item))
        for path, item in ((README_PATH, README), (LOCK_PATH, content), *wanted)
    ]
    sums = "".join(f"{digest.hex}  {path}\n" for path, _, digest in members).encode()
    members.insert(2, (SUMS_PATH, sums, Digest.of(sums)))
    extents, size = lay_out(members)
    return Layout(extents=extents, size=size, sums=sums)


def lay_out(
    members: Iterable[tuple[str, bytes | Content, Digest]],
) -> tuple[tuple[Extent, ...], int]:
    """Put members one after the other; return where they stand, and the length of the tar."""
    extents = []
    start = 0
    for path, item, digest in members:
        size = len(item) if isinstance(item, bytes) else item.size
        offset = start + len(tar.header(path, size))
        extent = Extent(
            path=path, header=start, offset=offset, size=size, digest=digest, content=item
        )
        extents.append(extent)
        start = extent.end
    end = start + 2 * tar.BLOCK
    return tuple(extents), end + -end % tar.RECORD


def path_fault(path: str) -> str | None:
    if not path.isprintable() or "\\" in path:
        return "the path contains a control character or a backslash"
    if path.startswith("/"):
        return "the path is absolute"
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "the path is not plain (it has an empty part, . or ..)"
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "the path cannot be written as UTF-8"
    if max(lengths) > _LONGEST_NAME or sum(lengths) + len(lengths) > tar.LONGEST_PATH:
        return "the path is too long"
    return None


def path_faults(paths: Iterable[str]) -> Iterator[Fault]:
    """Return what is wrong with the paths of members, each alone and together."""
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        what = path_fault(path)
        if what is None and not path.startswith(FOLDERS):
            what = "a bundle has no members there"
        if what is None and path in seen:
            what = "two members have this path"
        if what is not None:
            yield Fault(where=path, what=what)
            continue
        seen.add(path)
        parts = path.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    for path in sorted(seen & folders):
        yield Fault(where=path, what="is both a file and a folder")


def _contradictions(contents: Iterable[Content]) -> Iterator[Fault]:
    """Return sizes that are impossible: out of bounds, or two for one digest."""
    sizes: dict[Digest, int] = {}
    for item in contents:
        if not 0 <= item.size < _LARGEST:
            yield Fault(where=item.path, what=f"the size {item.size} is impossible")
        elif sizes.setdefault(item.digest, item.size) != item.size:
            yield Fault(where=item.path, what=f"{item.digest} is listed with two sizes")


def _rank(path: str, item: bytes | Content) -> int:
    for rank, folder in enumerate(FOLDERS[:3]):
        if path.startswith(folder):
            return rank
    if path.startswith("yum/"):
        return 4 if isinstance(item, Package) else 3
    if not isinstance(item, Blob):
        return 5
    return 6 if item.kept else 7


def _digest(item: bytes | Content) -> Digest:
    return Digest.of(item) if isinstance(item, bytes) else item.digest
