"""RPMs that airseed builds itself: kept in the user's cache, found again, or built once more.

A finished RPM lies there as ORDER.RPM.rpm, the digests of its order (:mod:`builder.formats.recipe`)
and of its bytes. One run at a time works in that folder; what a killed one left is swept up by the
next. Programs are dropped when the RPM is there, which is a quarter of their size.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import shutil
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from builder import disk
from builder.bundle.source import Source
from builder.errors import AirseedError, FetchError, StorageError, VerificationError
from builder.formats import recipe as recipe_format
from builder.http import redact
from builder.model.digest import Digest
from builder.report import Silent
from builder.rpm import build as rpm_build
from builder.sources import program as program_source
from builder.sources.file import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from builder.bundle.source import Stream
    from builder.http import Client
    from builder.model.artifact import Package
    from builder.model.recipe import Order, Program
    from builder.report import Progress
    from builder.sources.program import Fetched
    from builder.sources.store import Store

_FOLDER = "packages"
_PROGRAMS = "programs"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    path: Path
    digest: Digest
    size: int


def workshop(cache: Path, client: Client, info: Callable[[str], None] | None = None) -> Workshop:
    """Open the workshop in airseed's cache folder; ``info`` is told what is built."""
    return Workshop(cache / _FOLDER, client, info)


class Workshop:
    """Build RPMs in a folder of the cache; safe to be used by several threads and processes."""

    def __init__(
        self, folder: Path, client: Client, info: Callable[[str], None] | None = None
    ) -> None:
        self.folder = folder
        self._client = client
        self._info = info or (lambda _: None)
        self._one = threading.Lock()

    def info(self, text: str) -> None:
        self._info(text)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Self]:
        """Keep other runs and threads out while something is fetched or built here."""
        with self._one, contextlib.ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self.folder / _LOCK).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                disk.sweep(self.folder)
            except OSError as error:
                raise disk.failure(error, self.folder) from error
            yield self

    def find(self, *, order: Digest | None = None, rpm: Digest | None = None) -> Finished | None:
        """Find a finished RPM by the digest of its order or its own; drop what is damaged."""
        for path in sorted(
            self.folder.glob(f"{order.hex if order else '*'}.{rpm.hex if rpm else '*'}.rpm")
        ):
            with contextlib.suppress(OSError), path.open("rb") as file:
                digest = Digest.of_file(file)
                if path.name.split(".")[1] == digest.hex:
                    return Finished(path=path, digest=digest, size=path.stat().st_size)
                path.unlink(missing_ok=True)
        return None

    def fetch(self, program: Program, progress: Progress) -> Fetched:
        """Fetch a program, or find it; only :meth:`alone`. Raises as ``sources.program.fetch``."""
        folder = self.folder / _PROGRAMS / program.name
        return program_source.fetch(program, self._client, folder, progress)

    def build(
        self,
        order: Order,
        programs: Mapping[str, Path],
        sign: Callable[[bytes], bytes],
        *,
        expected: Digest | None = None,
    ) -> Finished:
        """Build an RPM of fetched programs. Only :meth:`alone`.

        Raise VerificationError for archives that lack something or an RPM that is not the expected
        one, which is not kept; StorageError.
        """
        try:
            with disk.fresh(self.folder / "build", folder=True) as scratch:
                paths = _unpacked(order, programs, scratch)
                made = scratch / "rpm"
                rpm_build.build(order, paths, made, sign)
                with made.open("rb") as file:
                    digest = Digest.of_file(file)
                if expected not in {None, digest}:
                    raise VerificationError(
                        f"{order.builder} built different bytes ({digest}) from the same order",
                        where=str(order.recipe.nevra),
                        expected=str(expected),
                    )
                size = made.stat().st_size
                identity = recipe_format.identity(order)
                path = made.replace(self.folder / f"{identity.hex}.{digest.hex}.rpm")
            self._info(f"built {order.recipe.nevra}, {order.builder}")
            for used in programs.values():
                shutil.rmtree(used.parent, ignore_errors=True)
        except OSError as error:
            raise disk.failure(error, self.folder) from error
        return Finished(path=path, digest=digest, size=size)


def _unpacked(order: Order, programs: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """Return the files of an RPM that come out of programs and archives, by their paths."""
    paths: dict[str, Path] = {}
    for name, path in programs.items():
        wanted = [file for file in order.recipe.files if file.archive == name]
        if wanted:
            inside = scratch / name
            inside.mkdir()
            paths |= program_source.unpack(path, wanted, inside, name)
        paths |= {file.path: path for file in order.recipe.files if file.program == name}
    return paths


def sources(package: Package, kept: Store, workshop: Workshop) -> list[Source]:
    """Return what may have the bytes of a built RPM, in order; nothing if it is not built."""
    if package.built is None:
        return []
    in_cache, anew = names(package)
    digest = package.digest.hex
    return [
        *(replace(local(path), name=in_cache) for path in workshop.folder.glob(f"*.{digest}.rpm")),
        Source(name=anew, open=functools.partial(_open, package, kept, workshop)),
    ]


def _open(package: Package, kept: Store, workshop: Workshop, offset: int) -> Stream:
    """Find or build a locked RPM, and begin to read it.

    Raise FetchError where it can't be built, or comes out with other bytes than were locked.
    """
    with workshop.alone():
        finished = workshop.find(rpm=package.digest) or _rebuild(package, kept, workshop)
    return local(finished.path).open(offset)


def _rebuild(package: Package, kept: Store, workshop: Workshop) -> Finished:
    built, where = package.built, package.name
    if built is None:
        raise FetchError("nothing says how it is built", where=where)
    if built.by != rpm_build.builder():
        raise FetchError(
            f"the locked RPM was built by {built.by}; this machine's {rpm_build.builder()} would"
            f" give other bytes: install {built.by.replace(' ', '==')}, or run `airseed lock"
            f" --update {package.nevra.name}`",
            where=where,
        )
    workshop.info(f"{where} is not in the cache; fetching what it is built from")
    try:
        order, signature = recipe_format.read(kept.read(built.order), where)
        programs = {
            each.name: workshop.fetch(each.program, Silent().progress("", None)).path
            for each in built.inputs
        }
        return workshop.build(order, programs, lambda _: signature, expected=package.digest)
    except StorageError:
        raise
    except AirseedError as error:
        reasons = "; ".join(map(str, error.faults)) or error.fault.what
        raise FetchError(f"it can't be built again: {reasons}", where=where) from error


def names(package: Package) -> tuple[str, ...]:
    return f"the cache, built {_of(package)}", f"a new build {_of(package)}"


def _of(package: Package) -> str:
    built = package.built
    urls = (
        ", ".join(redact(each.sources[0]) for each in built.inputs if each.sources) if built else ""
    )
    return f"by {built.by} of {urls}" if built else ""
