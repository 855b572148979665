"""SHA256SUMS of a folder of seeds: what was written, file by file, under one digest to review.

Every user-data has a random token in it, so the digests give nothing away. Where some nodes alone
are written, the lines of the others stay as they are: what lies there now is not believed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk, owners
from builder.errors import Fault, VerificationError
from builder.model.digest import Digest
from builder.pipeline import signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.rpm.keys import RpmKey

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9.-]*(?:/[A-Za-z0-9][A-Za-z0-9.-]*)?)")
_LIMIT = 16 << 20
_LARGEST_SEED = 256 << 20
_AGAIN = "`airseed seeds` writes all of them again"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedsVerdict:
    digest: Digest
    """Of SHA256SUMS."""
    count: int
    faults: tuple[Fault, ...]
    signed_by: str | None = None


def write(folder: Path, sums: Mapping[str, Digest]) -> Digest:
    """Write the list where it differs; its old signature goes before. Raise StorageError."""
    path, content = folder / NAME, render(sums)
    if _content(path) != content:
        signature.forget(path)
        disk.put(path, content, sync=False)
    return Digest.of(content)


def render(sums: Mapping[str, Digest]) -> bytes:
    return "".join(f"{digest.hex}  {name}\n" for name, digest in sorted(sums.items())).encode()


def read(folder: Path) -> dict[str, Digest]:
    """Return what was written by path; nothing where there is no list.

    Raise VerificationError for a list that is damaged, StorageError for one that can't be read.
    """
    content = _content(folder / NAME)
    return {} if content is None else _parse(content, folder / NAME)


def kept(folder: Path, nodes: Collection[str]) -> dict[str, Digest]:
    """Return what was listed of these nodes. Raise as :func:`read`."""
    return {name: digest for name, digest in read(folder).items() if _node_of(name) in nodes}


def check(folder: Path, keys: Sequence[RpmKey] = ()) -> SeedsVerdict:
    """Compare all seeds with their list: nothing differs, is missing or lies there besides.

    With ``keys`` one of them must have signed the list. Whoever reviews seeds may have a copy, so
    it does not matter whose they are. Raise VerificationError where the list is missing or damaged,
    StorageError where it can't be read.
    """
    path = folder / NAME
    try:
        content = disk.read(path, _LIMIT)
        sums = _parse(content, path)
        faults = list(_faults(folder, sums))
    except FileNotFoundError as error:
        raise VerificationError("there is no such file", where=str(path), hint=_AGAIN) from error
    except OSError as error:
        raise disk.failure(error, path) from error
    signed_by = None
    if keys:
        hint = "`airseed seeds --sign KEYFILE` makes it"
        signer = signature.check_detached(content, signature.beside(path), keys, hint=hint)
        if isinstance(signer, Fault):
            faults.append(signer)
        else:
            signed_by = signer
    return SeedsVerdict(
        digest=Digest.of(content), count=len(sums), faults=tuple(faults), signed_by=signed_by
    )


def _faults(folder: Path, sums: Mapping[str, Digest]) -> Iterator[Fault]:
    there = set(_seeds_in(folder, {_node_of(name) for name in sums}))
    for name in sorted(sums.keys() | there):
        path = folder / name
        if name not in sums:
            yield Fault(where=name, what=f"is not in {NAME}", hint="remove it, or " + _AGAIN)
        elif not _is_plain(path):
            what = "is missing" if not os.path.lexists(path) else "is not a regular file"
            yield Fault(where=name, what=what, hint=_AGAIN)
        elif (digest := Digest.of(disk.read(path, _LARGEST_SEED))) != sums[name]:
            what = f"has the digest {digest}"
            yield Fault(where=name, what=what, expected=str(sums[name]), hint=_AGAIN)


def _is_plain(path: Path) -> bool:
    """Tell whether there is a file, with no link on the way from the folder of seeds to it."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _seeds_in(folder: Path, nodes: Collection[str]) -> Iterator[str]:
    """Yield what a machine may boot from, and all else in the folders of nodes."""
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir():
            if entry.name.endswith(".iso"):
                yield entry.name
        elif entry.name in nodes or (entry / "user-data").exists():
            yield from (f"{entry.name}/{file.name}" for file in entry.iterdir())


def _node_of(name: str) -> str:
    node, slash, _ = name.partition("/")
    return node if slash else node.removesuffix(".iso")


def _parse(content: bytes, path: Path) -> dict[str, Digest]:
    sums: dict[str, Digest] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums:
            what = "names a file again" if match else "is not a digest and a name"
            raise VerificationError(f"line {number} {what}", where=str(path), hint=_AGAIN)
        sums[match[2]] = Digest.parse(f"sha256:{match[1]}")
    return sums


def _content(path: Path) -> bytes | None:
    return owners.read_own(path, _LIMIT)
