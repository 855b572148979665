"""A bundle in parts: the same bytes cut into files of one size, and a checksum for each.

``NAME.001``, ``NAME.002`` ... are the tar, one after the other: ``cat`` joins them. Beside them
``NAME.sha256`` says what belongs together, in a form that ``sha256sum -c`` reads. It is written
last and removed first, so a set that has it is whole, and one that lacks it never mixes two runs.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import Fault, UsageError, VerificationError
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAGIC = "# airseed bundle in parts, format 1"
SUFFIX = ".sha256"
_MOST = 999
_LIMIT = 1 << 20
_NUMBER = re.compile(r"(.+)\.([0-9]{3})(\.part)?")
_HEAD = re.compile(
    r"^# ([0-9]{1,18}) bytes in parts of ([0-9]{1,18}), layout (sha256:[0-9a-f]{64})$",
    re.MULTILINE,
)
_DIGEST = re.compile(r"^([0-9a-f]{64})  ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFile:
    path: Path
    size: int

    @property
    def under_way(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    target: str
    """The name of the tar that ``cat`` makes of the parts."""
    size: int
    """Bytes of the tar."""
    split: int
    """Bytes of every part but the last."""
    layout: Digest
    """Of the layout, by which the next run knows whether this is its bundle."""
    digests: tuple[Digest, ...]

    def write(self) -> bytes:
        lines = [
            MAGIC,
            f"# join:  cat {self.target}.[0-9][0-9][0-9] > {self.target}",
            f"# check: sha256sum -c {self.target}{SUFFIX}, or airseed verify {self.target}{SUFFIX}",
            f"# {self.size} bytes in parts of {self.split}, layout {self.layout}",
            *(
                f"{digest.hex}  {self.target}.{number:03}"
                for number, digest in enumerate(self.digests, 1)
            ),
        ]
        return "".join(f"{line}\n" for line in lines).encode()


def cut(target: Path, size: int, split: int) -> tuple[PartFile, ...]:
    """Name the parts of a tar of ``size`` bytes; raise UsageError when there are too many."""
    count = -(-size // split)
    if count > _MOST:
        raise UsageError(
            f"{size:,} bytes in parts of {split:,} make {count:,} parts",
            where="--split",
            expected=f"at most {_MOST}",
            hint=f"use parts of {-(-size // _MOST):,} bytes or more",
        )
    return tuple(
        PartFile(
            path=target.with_name(f"{target.name}.{number + 1:03}"),
            size=min(split, size - number * split),
        )
        for number in range(count)
    )


def sums_path(target: Path) -> Path:
    return target.with_name(target.name + SUFFIX)


def beside(bundle: Path, suffix: str) -> Path:
    """Return the usual place of a file about a bundle: with a suffix to the name of the tar."""
    target = target_of(bundle) or bundle
    return target.with_name(target.name + suffix)


def target_of(path: Path) -> Path | None:
    """Return the tar's name when a path means a bundle in parts, else nothing.

    A path may be the checksums, any part, or the tar's own name when there is no such file.
    """
    if path.name.endswith(SUFFIX):
        return path.with_name(path.name.removesuffix(SUFFIX)) if is_ours(path) else None
    match = _NUMBER.fullmatch(path.name)
    if match and not match[3]:
        target = path.with_name(match[1])
        if is_ours(sums_path(target)):
            return target
    return path if not path.exists() and is_ours(sums_path(path)) else None


def misfit(mode: int) -> str:
    """Say what is in the place of a part; nothing of a file."""
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(mode), "device")
    return "" if stat.S_ISREG(mode) else f"is a {kind}, not a file"


def is_ours(sums: Path) -> bool:
    """Return whether a file says that it belongs to a bundle in parts."""
    try:
        with disk.opened(sums) as file:
            return file.read(len(MAGIC) + 1) == f"{MAGIC}\n".encode()
    except OSError:
        return False


def sums_beside(target: Path) -> Sums | None:
    """Return the checksums of the parts; None where there are none of ours, or damaged ones."""
    try:
        return read_sums(target) if is_ours(sums_path(target)) else None
    except (OSError, VerificationError):
        return None


def read_sums(target: Path) -> Sums:
    """Read the checksums; raise VerificationError unless they are as :meth:`Sums.write` has them.

    Raise OSError when they cannot be read.
    """
    path = sums_path(target)
    with disk.opened(path) as file:
        content = file.read(_LIMIT)
    text = content.decode("ascii", "replace")
    head = _HEAD.search(text)
    digests = _DIGEST.findall(text)
    if head is not None and int(head[2]) > 0:
        sums = Sums(
            target=target.name,
            size=int(head[1]),
            split=int(head[2]),
            layout=Digest.parse(head[3]),
            digests=tuple(map(Digest, digests)),
        )
        count = -(-sums.size // sums.split)
        if sums.write() == content and len(digests) == count and 1 <= count <= _MOST:
            return sums
    raise VerificationError(
        "the checksums of the parts are damaged",
        where=str(path),
        expected="the file as airseed bundle --split wrote it, with its name unchanged",
        faults=[Fault(where=path.name, what="is not as airseed wrote it")],
    )


def there(target: Path) -> Sequence[PartFile]:
    """Return the parts that have their names, in order; to be used where the checksums are lost."""
    pieces: list[PartFile] = []
    while True:
        path = target.with_name(f"{target.name}.{len(pieces) + 1:03}")
        if not path.is_file():
            return pieces
        pieces.append(PartFile(path=path, size=path.stat().st_size))


def strays(target: Path) -> Iterator[Path]:
    """Return all files beside a target that have the name of a part, finished or under way."""
    for path in sorted(target.parent.iterdir()):
        match = _NUMBER.fullmatch(path.name)
        if match and match[1] == target.name and path.is_file():
            yield path
