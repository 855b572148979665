"""The journal beside an unfinished bundle: which artifacts are whole, and how far others are.

JSON lines, only ever appended::

    {"airseed": "journal", "format": 1, "layout": "<hex>", "size": 9, "split": 0}    the head
    {"part": "<path>", "bytes": 123}     begun (again); so many bytes are at their place
    {"done": "<path>", "at": 512, "sha256": "<hex>", "size": 9, "from": "<source>"}
                                         whole, right and checked; ``from`` may be missing
    {"synced": 17}                       the first 17 lines speak of bytes that are on the disk
    {"naming": true}                     all is there; from now on parts get their final names

``done`` is written when the system has the bytes, ``synced`` after fdatasync. So what a kill
leaves behind is right, and what a power cut leaves behind is hashed again before it counts: only
a ``done`` that a ``synced`` covers is trusted. A line that is torn ends the journal.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder import disk

if TYPE_CHECKING:
    from pathlib import Path

    from builder.bundle.layout import Extent, Layout

_LIMIT = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an earlier run left of one artifact."""

    size: int
    sure: bool = False
    """Whole, right, checked and on the disk."""
    done: bool = False
    offset: int = 0
    sha256: str = ""
    origin: str = ""
    """The source that gave it, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    layout: str = ""
    size: int = 0
    """Of the tar; 0 where it is not said."""
    split: int = 0
    """Bytes of a part; 0 for one file."""
    naming: bool = False
    """Whether parts had begun to get their final names."""
    claims: dict[str, Claim]
    lines: int = 0
    length: int = 0
    """Bytes of the journal up to the first line that is torn."""

    def is_of(self, layout: Layout, split: int) -> bool:
        return self.layout == layout.digest.hex and self.split == split


def read(path: Path) -> Past:
    """Read a journal as far as it makes sense; none at all is an empty one."""
    try:
        with disk.opened(path) as file:
            content = file.read(_LIMIT)
    except FileNotFoundError:
        return Past(claims={})
    except OSError as error:
        raise disk.failure(error, path) from error
    lines: list[dict[str, Any]] = []
    length = 0
    for raw in content.splitlines(keepends=True):
        line = _line(raw)
        if line is None:
            break
        lines.append(line)
        length += len(raw)
    if not lines or lines[0].get("airseed") != "journal" or lines[0].get("format") != 1:
        return Past(claims={})
    layout, size, split = (lines[0].get(key) for key in ("layout", "size", "split"))
    parted = _is_count(size) and _is_count(split)
    return Past(
        layout=str(layout),
        size=int(size) if parted else 0,  # type: ignore[arg-type] # a count
        split=int(split) if parted else 0,  # type: ignore[arg-type] # a count
        naming=any(line.get("naming") is True for line in lines),
        claims=_claims(lines),
        lines=len(lines),
        length=length,
    )


def _line(raw: bytes) -> dict[str, Any] | None:
    """Read one line; None if it is torn or not ours."""
    if not raw.endswith(b"\n"):
        return None
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return line if isinstance(line, dict) else None


def _claims(lines: list[dict[str, Any]]) -> dict[str, Claim]:
    """Return the last word about each path."""
    durable = max((line["synced"] for line in lines if _is_count(line.get("synced"))), default=0)
    claims: dict[str, Claim] = {}
    for number, line in enumerate(lines, 1):
        match line:
            case {"done": str(path), "at": int(at), "sha256": str(sha256), "size": int(size)}:
                claims[path] = Claim(
                    size=size,
                    sure=number <= durable,
                    done=True,
                    offset=at,
                    sha256=sha256,
                    origin=str(line.get("from", "")),
                )
            case {"part": str(path), "bytes": count} if _is_count(count):
                claims[path] = Claim(size=count)
    return claims


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Journal:
    """Append to a journal, from any thread."""

    def __init__(self, path: Path, past: Past, layout: Layout, *, split: int = 0) -> None:
        """Go on after ``past`` if that is of this layout and cut, else begin anew."""
        self.path = path
        self._lock = threading.Lock()
        self._count = 0
        self._synced = 0
        with disk.stored(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(path, flags, disk.PRIVATE)
        goes_on = past.lines > 0 and past.is_of(layout, split)
        try:
            os.ftruncate(self._file, past.length if goes_on else 0)
            os.lseek(self._file, 0, os.SEEK_END)
            self._count = past.lines if goes_on else 0
            if not goes_on:
                self._write(
                    {
                        "airseed": "journal",
                        "format": 1,
                        "layout": layout.digest.hex,
                        "size": layout.size,
                        "split": split,
                    }
                )
                os.fsync(self._file)
        except OSError as error:
            os.close(self._file)
            raise disk.failure(error, path) from error

    @property
    def count(self) -> int:
        return self._count

    def done(self, extent: Extent, origin: str = "") -> None:
        self._append(
            {
                "done": extent.path,
                "at": extent.offset,
                "sha256": extent.digest.hex,
                "size": extent.size,
                **({"from": origin} if origin else {}),
            }
        )

    def part(self, path: str, size: int) -> None:
        """Say how far an artifact is; takes back an earlier ``done``."""
        self._append({"part": path, "bytes": size})

    def naming(self) -> None:
        """Say, durably, that parts get their final names from now on."""
        self._append({"naming": True})
        with disk.stored(self.path):
            os.fdatasync(self._file)

    def synced(self, count: int) -> None:
        """Say that what the first ``count`` lines speak of is on the disk."""
        if count > self._synced:
            self._append({"synced": count})
            self._synced = count
            with disk.stored(self.path):
                os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: dict[str, Any]) -> None:
        with disk.stored(self.path), self._lock:
            self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        """Write a whole line or none: behind a torn one nothing would be read."""
        rest = json.dumps(line).encode() + b"\n"
        length = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, length)
            os.lseek(self._file, length, os.SEEK_SET)
            raise
        self._count += 1
