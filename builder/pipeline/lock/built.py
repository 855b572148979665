"""Locking, packages that no repository has: fetched as programs, built, signed, described.

A package that the earlier lock has stays what it is where its order is the same, whatever rpm-rs
built it then; otherwise the cache is asked for the same order, and only then something is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder import threads
from builder.formats import recipe as recipe_format
from builder.model.artifact import Build, File, Input
from builder.model.digest import Digest
from builder.model.recipe import Order
from builder.rpm import build as rpm_build
from builder.rpm.keys import load_keys
from builder.rpm.subset import KINDS, metadata_file, write_built
from builder.sources.built import workshop
from builder.sources.repository import RepositoryMetadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.model.artifact import Trust
    from builder.model.demand import WantedBuilds
    from builder.model.recipe import Program, Recipe
    from builder.model.rpm import Nevra
    from builder.pipeline.lock.resolving import Resolving
    from builder.rpm.keys import RpmKey
    from builder.sources.built import Finished
    from builder.sources.program import Fetched

KEY_PATH = "keys/site-packages.asc"
_ATONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSigner:
    fingerprint: str
    """Upper-case hex."""
    public: bytes
    """The public half, armoured."""
    sign: Callable[[bytes], bytes]
    """Gives a detached signature, the same one for the same content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPackages:
    """Hold the packages that were built, as a repository of their own."""

    metadata: RepositoryMetadata
    key: File
    public: tuple[RpmKey, ...]
    builds: Mapping[Nevra, Build]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the fingerprint of what signed them."""
        return (self.key.fingerprint or "",)

    def trust(self, name: Nevra) -> Trust:
        """Return the weakest reason why what a package was built from is believed."""
        pinned = all(program.trust == "pinned" for program in self.builds[name].inputs)
        return "pinned" if pinned else "first-use"


def make(
    resolving: Resolving, builds: WantedBuilds, signer: PackageSigner, folder: Path
) -> BuiltPackages:
    """Have every package of a demand, and describe them in ``folder`` as a repository.

    Raise UnavailableError for programs that can't be had, VerificationError for what is in them,
    StorageError.
    """
    (public,) = load_keys(signer.public, where=KEY_PATH)
    making = _Making(resolving, signer)
    done = making.all(builds.recipes)
    files = write_built([finished.path for finished, _ in done.values()], folder)
    repomd = files[-1]
    return BuiltPackages(
        metadata=RepositoryMetadata(
            name=builds.repository,
            base="",
            digest=repomd.digest,
            size=repomd.size,
            signed=False,
            files={kind: metadata_file(folder, kind) for kind in KINDS},
        ),
        key=_key(resolving, signer),
        public=(public,),
        builds={name: build for name, (_, build) in done.items()},
    )


def _key(resolving: Resolving, signer: PackageSigner) -> File:
    resolving.kept.put(signer.public)
    return File(
        kind="key",
        path=KEY_PATH,
        digest=Digest.of(signer.public),
        size=len(signer.public),
        sources=(),
        needed_by=("packages",),
        fingerprint=signer.fingerprint,
        trust="pinned",
    )


class _Making:
    def __init__(self, resolving: Resolving, signer: PackageSigner) -> None:
        self._resolving = resolving
        self._signer = signer
        self._workshop = workshop(resolving.cache, resolving.access.client, resolving.reporter.info)
        before = resolving.before.packages if resolving.before else ()
        self._before = {
            package.nevra: package
            for package in before
            if package.built and not resolving.may_move(package.nevra.name, package.name)
        }

    def all(self, recipes: Sequence[Recipe]) -> dict[Nevra, tuple[Finished, Build]]:
        """Have all packages: kept, found in the cache, or built one after the other."""
        packages = {recipe.nevra: self._find(recipe) for recipe in recipes}
        missing = [recipe for recipe in recipes if packages[recipe.nevra] is None]
        if missing:
            with self._workshop.alone():
                fetched = self._fetch(missing)
                with self._resolving.reporter.progress(
                    "building packages", len(missing), unit="packages"
                ) as progress:
                    for recipe in missing:
                        progress.describe(str(recipe.nevra))
                        packages[recipe.nevra] = self._build(recipe, fetched)
                        progress.advance(1)
        return {name: package for name, package in packages.items() if package is not None}

    def _find(self, recipe: Recipe) -> tuple[Finished, Build] | None:
        """Find a package in the cache; the one that the earlier lock has goes first."""
        known = self._before.get(recipe.nevra)
        believed = self._believed(recipe)
        if any(program.digest is None for program in believed.programs):
            return None
        if known is not None and known.built is not None:
            order = self._order(believed, by=known.built.by)
            finished = self._workshop.find(order=recipe_format.identity(order), rpm=known.digest)
            if finished is not None:
                return finished, self._describe(recipe, order, finished)
        order = self._order(believed)
        finished = self._workshop.find(order=recipe_format.identity(order))
        return (finished, self._describe(recipe, order, finished)) if finished else None

    def _believed(self, recipe: Recipe) -> Recipe:
        """Fill in the digests that the earlier lock found where the catalog has none."""
        known = self._before.get(recipe.nevra)
        inputs = (
            {program.name: program for program in known.built.inputs}
            if known and known.built
            else {}
        )

        def digest(program: Program) -> Digest | None:
            before = inputs.get(program.name)
            if before is None or {*before.sources}.isdisjoint(program.sources):
                return program.digest
            return program.digest or before.digest

        programs = (replace(program, digest=digest(program)) for program in recipe.programs)
        return replace(recipe, programs=tuple(programs))

    def _fetch(self, recipes: Iterable[Recipe]) -> dict[str, Fetched]:
        programs = [item for recipe in recipes for item in self._believed(recipe).programs]
        with self._resolving.reporter.progress("programs", None) as progress:
            fetched = threads.each(
                programs,
                lambda program: self._workshop.fetch(program, progress),
                most=_ATONCE,
                cancel=self._resolving.access.client.cancel,
            )
        for program, item in zip(programs, fetched, strict=True):
            self._resolving.passed_over(program.name, item.source or "the cache", item.passed_over)
        return {program.name: item for program, item in zip(programs, fetched, strict=True)}

    def _build(self, recipe: Recipe, fetched: Mapping[str, Fetched]) -> tuple[Finished, Build]:
        programs = tuple(
            replace(program, digest=fetched[program.name].digest) for program in recipe.programs
        )
        order = self._order(replace(recipe, programs=programs))
        finished = self._workshop.find(order=recipe_format.identity(order))
        if finished is None:
            paths = {program.name: fetched[program.name].path for program in programs}
            finished = self._workshop.build(order, paths, self._signer.sign)
        return finished, self._describe(recipe, order, finished)

    def _order(self, recipe: Recipe, *, by: str | None = None) -> Order:
        return Order(
            recipe=recipe, builder=by or rpm_build.builder(), signer=self._signer.fingerprint
        )

    def _describe(self, recipe: Recipe, order: Order, finished: Finished) -> Build:
        """Say how a package was built, and keep beside the lock what it takes to do it again."""
        content = recipe_format.write(order, rpm_build.signature_of(finished.path))
        pinned = {program.name for program in recipe.programs if program.digest}
        return Build(
            by=order.builder,
            order=self._resolving.kept.put(content),
            inputs=tuple(
                Input(
                    name=program.name,
                    digest=program.digest,
                    sources=program.sources,
                    trust="pinned" if program.name in pinned else "first-use",
                )
                for program in order.recipe.programs
                if program.digest is not None
            ),
        )
