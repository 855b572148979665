"""All packages that a solver may look at, in libsolv's pool: repositories and the installed base.

libsolv reads primary and filelists itself; this module bounds what it may choose from. Its Python
binding has no types, hence the ``Any``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from builder.errors import ClosureError, Fault, UsageError, VerificationError
from builder.model.rpm import Nevra
from builder.rpm.markup import check_prologue, rich_dependencies
from builder.rpm.problems import explain
from builder.rpm.subset import read_packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from builder.rpm.base import BasePackages
    from builder.rpm.repodata import MetadataFiles

BASE = "base"
_SIDE_BY_SIDE = ("kernel", "kernel-devel", "installonlypkg(kernel)")
"""What yum installs beside older versions instead of replacing them (installonlypkgs)."""
_SOURCES = {"src", "nosrc"}
_MOST_PAIRS = 10_000_000
"""Pairs of packages that exclude each other: the solver keeps a rule for each. Two thousand builds
of one name make four million."""


class Universe:
    """Hold libsolv's pool over repositories and a base; use it once.

    ``unseen`` repositories only describe the base: nothing may be taken from them. ``paths`` are
    files that will be asked for. Packages of other architectures (multilib) are left out unless
    ``multilib``.
    """

    def __init__(
        self,
        *,
        arch: str,
        metadata: Sequence[MetadataFiles],
        base: BasePackages,
        unseen: Sequence[MetadataFiles] = (),
        paths: Iterable[str] = (),
        multilib: bool = False,
    ) -> None:
        self.solv: Any = _solv()
        self.pool: Any = self.solv.Pool()
        self.pool.setarch(arch)
        # as Fedora's builds of libsolv: glibc.i686 and glibc.x86_64 live side by side
        self.pool.set_flag(self.solv.Pool.POOL_FLAG_OBSOLETEUSESCOLORS, 1)
        self.pool.set_flag(self.solv.Pool.POOL_FLAG_IMPLICITOBSOLETEUSESCOLORS, 1)
        self.arch = arch
        self.names = [files.name for files in metadata]
        self.unmatched: tuple[str, ...] = ()
        """Base packages that no repository describes; they provide their own name only."""
        self._origins: dict[int, Any] = {}
        """By number of a base package: what describes it."""
        self._roots = {*base.group, *base.always}
        self._repositories: dict[str, Any] = {}
        self._unreadable: dict[str, tuple[Path, set[str]]] = {}
        self._misread: dict[str, dict[str, tuple[str, ...]]] = {}
        for files in metadata:
            self._repositories[files.name] = self._load(files, files.name)
        described = dict(self._repositories)
        if unseen:
            described = {
                files.name: self._load(files, f"upstream {files.name}") for files in unseen
            }
        self._extend([*metadata, *unseen], [*self._repositories.values(), *described.values()])
        self._wish(paths)
        self.pool.addfileprovides()
        self._check_pairs()
        outside = [
            solvable.id
            for repository in (described.values() if unseen else ())
            for solvable in repository.solvables
        ]
        foreign = self._foreign(base, multilib=multilib)
        self._settle(base, described, foreign)
        self._disable([*foreign, *outside])

    def repository(self, name: str) -> Any | None:
        return self._repositories.get(name)

    def solve(self, jobs: list[Any]) -> tuple[Any, list[Any]]:
        """Run the solver as yum is run here: no weak dependencies, nothing removed or downgraded.

        Return the solver and its problems.
        """
        solver = self.pool.Solver()
        for flag in (
            "IGNORE_RECOMMENDED",
            "ALLOW_VENDORCHANGE",
            "BEST_OBEY_POLICY",
            "YUM_OBSOLETES",
        ):
            solver.set_flag(getattr(solver, f"SOLVER_FLAG_{flag}"), 1)
        job = self.solv.Job
        how = job.SOLVER_MULTIVERSION | job.SOLVER_SOLVABLE_PROVIDES
        beside = [self.pool.Job(how, self.pool.str2id(name)) for name in _SIDE_BY_SIDE]
        return solver, solver.solve([*beside, *jobs])

    def install(self, solvables: Iterable[Any]) -> Any:
        """Return the job that installs one of these.

        Its architecture is what was asked for (as dnf has it): a 32-bit package brings its 64-bit
        twin along only when something needs that.
        """
        job = self.solv.Job
        providers = self.pool.towhatprovides([solvable.id for solvable in solvables])
        how = job.SOLVER_INSTALL | job.SOLVER_SOLVABLE_ONE_OF | job.SOLVER_SETARCH
        return self.pool.Job(how, providers)

    def favor(self, solvable: Any) -> Any:
        job = self.solv.Job
        return self.pool.Job(job.SOLVER_FAVOR | job.SOLVER_SOLVABLE, solvable.id)

    def select(self, text: str) -> list[Any]:
        """Return what a name, NEVRA, provide or path means; names win over provides and files."""
        kind = self.solv.Selection
        flags = (
            kind.SELECTION_NAME
            | kind.SELECTION_PROVIDES
            | kind.SELECTION_FILELIST
            | kind.SELECTION_CANON
            | kind.SELECTION_DOTARCH
            | kind.SELECTION_REL
        )
        solvables: list[Any] = self.pool.select(text, flags).solvables()
        if text.startswith("/"):
            # the base's packages have no file lists; their files are provides
            seen = {solvable.id for solvable in solvables}
            provided = self.pool.whatprovides(self.pool.Dep(text))
            solvables += [solvable for solvable in provided if solvable.id not in seen]
        return solvables

    def obsoleting(self, solvables: Iterable[Any]) -> list[Any]:
        """Return what came in the place of these: yum installs that when it is asked for a name."""
        seen = {solvable.id for solvable in solvables}
        heirs: list[Any] = []
        for solvable in solvables:
            dep = self.pool.Dep(solvable.name).Rel(self.solv.REL_EQ, self.pool.Dep(solvable.evr))
            for heir in self.pool.whatmatchesdep(self.solv.SOLVABLE_OBSOLETES, dep):
                if heir.id not in seen and heir.installable():
                    seen.add(heir.id)
                    heirs.append(heir)
        return heirs

    def relied_on(self, solvables: Iterable[Any]) -> list[Any]:
        """Return what describes these packages of the base, and why a group's base has them.

        That is metadata, which a mirror may have changed. Of a list of packages it is known that
        they are there, and of a group which names are in it; all else is there because of what
        another one requires.
        """
        why: dict[int, Any] = {}
        todo = [one for one in self.pool.installed.solvables if one.name in self._roots]
        seen = {one.id for one in todo}
        for one in todo:
            for provider in self._required(one):
                if provider.isinstalled() and provider.id not in seen:
                    seen.add(provider.id)
                    why[provider.id] = one
                    todo.append(provider)
        found: dict[int, Any] = {}
        for one in solvables:
            while one is not None and one.id not in found:
                found[one.id] = self._origins.get(one.id)
                one = why.get(one.id)  # noqa: PLW2901 -- up to a name of the group
        return [origin for origin in found.values() if origin is not None]

    def provided_by_base(self, solvables: Iterable[Any]) -> list[Any]:
        """Return the packages of the base that provide what these require."""
        found = {
            provider.id: provider
            for solvable in solvables
            for provider in self._required(solvable)
            if provider.isinstalled()
        }
        return list(found.values())

    def _required(self, solvable: Any) -> Iterator[Any]:
        for dep in solvable.lookup_deparray(self.solv.SOLVABLE_REQUIRES, 0):
            yield from self.pool.whatprovides(dep)

    def misread(self, repository: str) -> dict[str, tuple[str, ...]]:
        """Return, by digest (hex), the requirements of packages that libsolv could not read."""
        if repository not in self._unreadable:
            return {}
        if repository not in self._misread:
            path, texts = self._unreadable[repository]
            self._misread[repository] = {
                package.pkgId: tuple(name for name, *_ in package.requires if name in texts)
                for package in read_packages(path, repository)
            }
        return self._misread[repository]

    def _load(self, metadata: MetadataFiles, name: str) -> Any:
        if name in self._repositories or name == BASE:
            raise UsageError(f"there are two repositories named {metadata.name!r}")
        check_prologue(metadata.primary, "metadata", where=f"{metadata.name}: primary")
        repository = self.pool.add_repo(name)
        where = f"{metadata.name}: primary"
        self._read(repository, metadata.primary, where, 0)
        rich = rich_dependencies(metadata.primary, where=where)
        if bad := {text for text in rich if self.pool.parserpmrichdep(text) is None}:
            self._unreadable[name] = (metadata.primary, bad)
        return repository

    def _extend(self, metadata: Sequence[MetadataFiles], repositories: Sequence[Any]) -> None:
        """Add the complete file lists, after all primaries, because they refer to those."""
        for files, repository in zip(metadata, repositories, strict=False):
            if files.filelists:
                where = f"{files.name}: filelists"
                check_prologue(files.filelists, "filelists", where=where)
                flag = self.solv.Repo.REPO_EXTEND_SOLVABLES
                self._read(repository, files.filelists, where, flag)

    def _read(self, repository: Any, path: Path, where: str, flags: int) -> None:
        file = self.solv.xfopen(str(path))
        if file is None:
            raise VerificationError("the file can't be opened", where=where)
        try:
            done = repository.add_rpmmd(file, None, flags)
        finally:
            file.close()
        if not done:
            raise VerificationError(f"libsolv can't read it: {self.pool.errstr}", where=where)

    def _wish(self, paths: Iterable[str]) -> None:
        """Make libsolv look for files that nothing but a request names."""
        wanted = sorted(set(paths))
        if wanted:
            wish = self.pool.add_repo("@wishes").add_solvable()
            wish.name, wish.evr, wish.arch = "@wishes", "0-0", "noarch"
            for path in wanted:
                wish.add_requires(self.pool.Dep(path))

    def _check_pairs(self) -> None:
        """Refuse metadata for which the solver would need memory by the square of its size."""
        self.pool.createwhatprovides()
        kinds = (self.solv.SOLVABLE_CONFLICTS, self.solv.SOLVABLE_OBSOLETES)
        names = Counter(solvable.nameid for solvable in self.pool.solvables)
        pairs: Counter[str] = Counter()
        for count, solvable in enumerate(self.pool.solvables):
            pairs[solvable.repo.name] += names[solvable.nameid]
            for kind in kinds:
                for dep in solvable.lookup_deparray(kind, 0):
                    pairs[solvable.repo.name] += len(self.pool.whatprovides(dep))
            if pairs.total() > _MOST_PAIRS:
                raise VerificationError(
                    f"its packages exclude each other without end (so do {count + 1:,} of them)",
                    where=f"{pairs.most_common(1)[0][0]}: primary",
                    expected=f"at most {_MOST_PAIRS:,} pairs of the same name or in conflict",
                    hint="a mirror that answers so is broken, or means harm: take another one",
                )

    def _foreign(self, base: BasePackages, *, multilib: bool) -> list[int]:
        """Return what is left out: other architectures, but for what the base has of them."""
        usual = {self.arch, "noarch"}
        there = {(nevra.name, nevra.arch) for nevra in base.installed}
        return [
            solvable.id
            for solvable in self.pool.solvables
            if (
                solvable.arch not in usual
                and (solvable.arch in _SOURCES or not multilib)
                and (solvable.name, solvable.arch) not in there
            )
            or solvable.repo.name == "@wishes"
        ]

    def _disable(self, ids: list[int]) -> None:
        self.pool.set_disabled_list(ids)
        self.pool.createwhatprovides()

    def _settle(self, base: BasePackages, described: dict[str, Any], foreign: list[int]) -> None:
        installed = self.pool.add_repo(BASE)
        if base.kind == "core":
            for solvable in self._core(base, described, foreign):
                self._copy(solvable, installed)
        elif base.kind == "packages":
            self._match(base.installed, described.values(), installed)
        self.pool.installed = installed

    def _core(self, base: BasePackages, described: dict[str, Any], foreign: list[int]) -> list[Any]:
        home = described.get(base.repository or "")
        if home is None:
            raise UsageError(
                f"the base is taken from the repository {base.repository!r}, which is not here",
                hint=f"there are: {', '.join(sorted(described))}",
            )
        inside = {solvable.id for solvable in home.solvables}
        others = {solvable.id for solvable in self.pool.solvables} - inside
        self._disable([*foreign, *(others - set(foreign))])
        by_name = self.solv.Selection.SELECTION_NAME
        candidates = {
            name: self.pool.select(name, by_name).solvables()
            for name in (*base.group, *base.always)
        }
        missing = [name for name in base.always if not candidates[name]]
        self.unmatched = tuple(
            name for name in base.group if not candidates[name] and name not in missing
        )
        where = f"base of {base.repository}"
        if missing:
            faults = [Fault(where=where, what=f"there is no package {name}") for name in missing]
            raise ClosureError("the base lacks packages", where=where, faults=faults)
        solver, problems = self.solve(
            [self.install(solvables) for solvables in candidates.values() if solvables]
        )
        if problems:
            faults = explain(self, problems, {}, [base.repository or ""])
            raise ClosureError("the base can't be installed", where=where, faults=faults)
        solvables: list[Any] = solver.transaction().newsolvables()
        return solvables

    def _match(self, wanted: Iterable[Nevra], repositories: Iterable[Any], into: Any) -> None:
        known: dict[tuple[str, str, str], list[Any]] = {}
        for repository in repositories:
            for solvable in repository.solvables:
                evr = solvable.evr.partition(":")[2] or solvable.evr
                known.setdefault((solvable.name, evr, solvable.arch), []).append(solvable)
        unmatched = []
        for nevra in wanted:
            same = known.get((nevra.name, f"{nevra.version}-{nevra.release}", nevra.arch), [])
            exact = [solvable for solvable in same if solvable.evr == nevra.evr]
            # `rpm -qa` leaves epochs out: the package of any epoch is the one, the highest first
            loose = sorted(same, key=_epoch, reverse=True) if not nevra.epoch else []
            if matches := [*exact, *loose]:
                self._copy(matches[0], into)
                continue
            unmatched.append(str(nevra))
            bare = into.add_solvable()
            bare.name, bare.evr, bare.arch = nevra.name, nevra.evr, nevra.arch
            bare.add_provides(self.pool.rel2id(bare.nameid, bare.evrid, self.solv.REL_EQ))
        self.unmatched = tuple(unmatched)

    def _copy(self, solvable: Any, into: Any) -> None:
        """Copy a package with its dependencies; files that others need are provides by now."""
        copy = into.add_solvable()
        self._origins[copy.id] = solvable
        copy.name, copy.evr, copy.arch = solvable.name, solvable.evr, solvable.arch
        copy.vendor = solvable.vendor
        markers = {self.solv.SOLVABLE_FILEMARKER, self.solv.SOLVABLE_PREREQMARKER}
        for key in (
            self.solv.SOLVABLE_PROVIDES,
            self.solv.SOLVABLE_REQUIRES,
            self.solv.SOLVABLE_CONFLICTS,
            self.solv.SOLVABLE_OBSOLETES,
        ):
            for dep in solvable.lookup_idarray(key, 0):
                if dep not in markers:
                    copy.add_deparray(key, dep)


def _epoch(solvable: Any) -> int:
    head, colon, _ = solvable.evr.partition(":")
    return int(head) if colon and head.isdigit() else 0


def nevra_of(solvable: Any) -> Nevra:
    """Read a solvable's name strictly; raise VerificationError for one that is not a NEVRA."""
    text = f"{solvable.name}-{solvable.evr}.{solvable.arch}"
    try:
        return Nevra.parse(text)
    except ValueError as error:
        raise VerificationError(str(error), where=f"{solvable.repo.name}: primary") from error


def _solv() -> Any:
    import solv  # noqa: PLC0415 -- heavy, and only locking needs it

    return solv
