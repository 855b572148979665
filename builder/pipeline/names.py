"""What a name on the command line means of a lock: every name that `airseed inspect` shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from builder.errors import ends
from builder.model.artifact import File, Image, Package
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.model.lock import Lock
    from builder.model.rpm import Nevra

Named: TypeAlias = Package | Image | File
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
"""Whole, or as short as tables have it."""
KEY_ID = 8
"""The digits of a key's fingerprint that tables have."""


def called(lock: Lock, name: str) -> tuple[Named, ...]:
    """Return what is called so, by its own name before by what others may share.

    A package has its name or NEVRA, an image any spelling of its reference, a file its path; both
    have the last parts of these, too. All have their digest, a key its fingerprint.
    """
    exact = tuple(package for package in lock.packages if name in _of_package(package.nevra))
    if exact:
        return exact
    others: tuple[Image | File, ...] = (*lock.images, *lock.files)
    return (
        tuple(one for one in others if name == one.name or _is_same(one, name))
        or tuple(one for one in others if name in ends(one.name))
        or tuple(_of_bytes((*lock.packages, *others), name))
    )


def brought_by(lock: Lock, who: str) -> tuple[Named, ...]:
    """Return what somebody under NEEDED BY asks for: calico, runtime, another package."""
    return tuple(one for one in _everything(lock) if who in one.needed_by)


def meant(lock: Lock | None, name: str) -> set[str]:
    """Return a name, and the own names of what a lock has under it."""
    found = (called(lock, name) or brought_by(lock, name)) if lock else ()
    return {name, *(one.name for one in found)}


def every(lock: Lock) -> Iterator[str]:
    """Return what a shell offers, and what a word that nobody knows may have been."""
    yield from (package.nevra.name for package in lock.packages)
    for one in _everything(lock):
        yield from one.needed_by
    yield from (image.name for image in lock.images)
    yield from (file.name for file in lock.files)
    yield from (repository.name for repository in lock.repositories)


def _everything(lock: Lock) -> tuple[Named, ...]:
    return (*lock.packages, *lock.images, *lock.files)


def _of_package(nevra: Nevra) -> set[str]:
    plain = str(nevra)
    epoch = f"{nevra.name}-{nevra.epoch}:{nevra.version}-{nevra.release}.{nevra.arch}"
    return {nevra.name, plain, epoch, nevra.filename}


def _is_same(one: Image | File, name: str) -> bool:
    if isinstance(one, File):
        return False
    try:
        return one.reference == Reference.parse(name)
    except ValueError:
        return False


def _of_bytes(everything: Iterable[Named], name: str) -> Iterator[Named]:
    """Return what has a digest or a fingerprint that is, begins or ends so."""
    begins = match[1] if (match := _DIGEST.fullmatch(name)) else ""
    key = name.upper() if len(name) >= KEY_ID else ""
    for one in everything:
        fingerprint = (one.fingerprint or "") if isinstance(one, File) else ""
        if (begins and one.digest.hex.startswith(begins)) or (key and fingerprint.endswith(key)):
            yield one
