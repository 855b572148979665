"""Published programs: fetched whole into a file, and taken out of the archives they come in."""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from builder import disk
from builder.errors import (
    AirseedError,
    Fault,
    UnavailableError,
    UsageError,
    VerificationError,
)
from builder.model.digest import Digest
from builder.sources.file import through, web

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.bundle.source import Source
    from builder.http import Client
    from builder.model.recipe import PackedFile, Program
    from builder.report import Progress

_BUFFER = 1 << 20
_LARGEST = 1 << 30
"""Bytes of one program; kubelet has some 110 million."""
_MOST_MEMBERS = 1000
_LARGEST_IN_ALL = 8 << 30
"""Bytes of an archive when unpacked; those of Kubernetes have under two thousand million."""
_LARGEST_HEADER = 1 << 20
_DAMAGE = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile),
    *(ValueError, ArithmeticError, RecursionError),
)
"""What comes of archives that are damaged or made to harm: numbers and names are read unchecked."""
_EXECUTABLE = 0o111
_PLAIN = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    path: Path
    digest: Digest
    size: int
    source: str
    """What gave it; empty where it was there already."""
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the sources before."""


def fetch(program: Program, client: Client, folder: Path, progress: Progress) -> Fetched:
    """Fetch a published file into a folder, under its digest, from the first source that is right.

    One that is there already is taken if it is whole. Raise UnavailableError with a fault for every
    source, or StorageError.
    """
    faults: list[Fault] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if program.digest is not None and (fetched := _there(program.digest, folder)):
            return fetched
        part = folder / f"{program.name}.part"
        for url in program.sources:
            source = web(client, url, None)
            try:
                digest, size = _receive(source, client, part, progress)
            except UsageError:
                raise  # a proxy that cannot be used is no source's fault
            except AirseedError as error:
                faults.append(error.fault)
                continue
            if program.digest not in {None, digest}:
                what, expected = f"sent {digest}", str(program.digest)
                faults.append(Fault(where=source.name, what=what, expected=expected))
                continue
            path = part.replace(folder / digest.hex)
            return Fetched(
                path=path, digest=digest, size=size, source=url, passed_over=tuple(faults)
            )
    except OSError as error:
        raise disk.failure(error, folder) from error
    raise UnavailableError(
        "no source has this program",
        where=program.name,
        expected=str(program.digest) if program.digest else None,
        hint="check the network and proxy, or add a source with --catalog (binaries/)",
        faults=faults,
    )


def _there(digest: Digest, folder: Path) -> Fetched | None:
    """Find a file of an earlier run; drop it when it is damaged."""
    path = folder / digest.hex
    if not path.is_file():
        return None
    with path.open("rb") as file:
        actual = Digest.of_file(file)
    if actual != digest:
        path.unlink()
        return None
    return Fetched(path=path, digest=digest, size=path.stat().st_size, source="")


def _receive(source: Source, client: Client, part: Path, progress: Progress) -> tuple[Digest, int]:
    hasher, size = hashlib.sha256(), 0
    with part.open("wb") as file:

        def begin() -> None:
            nonlocal hasher, size
            file.seek(0)
            file.truncate()
            progress.advance(-size)
            hasher, size = hashlib.sha256(), 0

        def take(piece: memoryview) -> None:
            nonlocal size
            hasher.update(piece)
            file.write(piece)
            size += len(piece)
            progress.advance(len(piece))

        through(source, client, begin, take, most=_LARGEST)
    return Digest(hasher.hexdigest()), size


def unpack(archive: Path, wanted: Sequence[PackedFile], folder: Path, name: str) -> dict[str, Path]:
    """Take files out of a gzip'd tar into a folder; return them by the paths that they will have.

    A wanted folder gets the programs at the archive's top. Raise VerificationError for an archive
    that is damaged or lacks a member, StorageError.
    """
    members = {file.member: file.path for file in wanted if file.member}
    folders = [file.path for file in wanted if file.folder]
    unpacked: dict[str, Path] = {}
    try:
        with (
            gzip.open(archive) as packed,
            tarfile.open(fileobj=cast("IO[bytes]", plain := _Plain(packed)), mode="r:") as opened,
        ):
            for count, member in enumerate(opened):
                if count == _MOST_MEMBERS:
                    raise VerificationError(
                        "the archive has too many members", where=name,
                        expected=f"at most {_MOST_MEMBERS}",
                    )  # fmt: skip
                for path in _places(member, members, folders):
                    # a member may come twice; then the last one counts, as with tar
                    unpacked.setdefault(path, folder / str(len(unpacked)))
                    plain.allow(member.size)
                    _write(opened, member, unpacked[path], name)
                plain.allow(_LARGEST_HEADER)
    except _DAMAGE as error:
        raise VerificationError(f"the archive can't be read: {error}", where=name) from error
    except OSError as error:
        raise disk.failure(error, folder) from error
    missing = sorted(member for member, path in members.items() if path not in unpacked)
    if missing or (folders and not unpacked):
        lacks = ", ".join(missing) or "programs"
        raise VerificationError(f"the archive lacks {lacks}", where=name)
    return unpacked


class _Plain:
    """What gzip unpacks, as far as it is wanted: tarfile takes into memory what a header claims."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed
        self.tell = packed.tell
        self.allow(_LARGEST_HEADER)

    def allow(self, size: int) -> None:
        """Let so many bytes be read from now on."""
        self._left = size

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError("a header does not end")
        return self._packed.read(size)

    def seek(self, place: int) -> int:
        if place > _LARGEST_IN_ALL:
            raise tarfile.ReadError(f"it has more than {_LARGEST_IN_ALL:,} bytes when unpacked")
        return self._packed.seek(place)


def _places(member: tarfile.TarInfo, members: dict[str, str], folders: Sequence[str]) -> list[str]:
    if not member.isreg():
        return []
    inside = PurePosixPath(member.name)
    name = inside.as_posix()
    paths = [members[name]] if name in members else []
    if _PLAIN.fullmatch(name) and member.mode & _EXECUTABLE:
        paths += [f"{folder}/{name}" for folder in folders]
    return paths


def _write(opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path, name: str) -> None:
    if member.size > _LARGEST:
        raise VerificationError(
            f"{member.name} is too large", where=name, expected=f"at most {_LARGEST:,} bytes"
        )
    content = opened.extractfile(member)
    if content is None:
        return
    with content, path.open("wb") as file:
        while piece := content.read(_BUFFER):
            file.write(piece)
