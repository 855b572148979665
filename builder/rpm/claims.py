"""What an RPM provides, requires and contains: by its signed header, and by metadata.

A repository's metadata is often signed by nobody, and every mirror can change it; the header is
signed by who made the package. So a bundle is believed only where both say the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import Fault, few
from builder.rpm.problems import plain
from builder.rpm.signature import load_rpm_rs, read_metadata, translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

RELATIONS = ("provides", "requires", "conflicts", "obsoletes")
_WEAK = ("recommends", "suggests", "supplements", "enhances")
_SENSES = {2: "<", 4: ">", 6: "<>", 8: "=", 10: "<=", 12: ">="}
_FLAGS = {"LT": "<", "GT": ">", "EQ": "=", "LE": "<=", "GE": ">="}
_ANY_SENSE = 14
_LIBC = re.compile(r"libc\.so\.6\((?:GLIBC_([0-9.]+))?\)(\(64bit\))?|libc\.so\.6")
FEATURE = "rpmlib("
"""How what a package requires of rpm itself begins."""
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    name: str
    comparison: str = ""
    """``=``, ``>=`` and the like; empty where any version will do."""
    evr: str = ""
    """With its epoch, which is 0 where nothing was said."""

    def __str__(self) -> str:
        bare = self.evr.removeprefix("0:")
        return plain(f"{self.name} {self.comparison} {bare}" if self.comparison else self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Hold what counts when packages are chosen; dependencies that say nothing are left out."""

    name: str
    """NAME-VERSION-RELEASE.ARCH, with an epoch that is not 0."""
    relations: Mapping[str, frozenset[Relation]]
    """By :data:`RELATIONS`, and the weak ones."""
    """What is provided is as it was said; that a package has its own name, often nobody says."""
    own: Relation
    files: frozenset[str]

    @property
    def requires(self) -> frozenset[Relation]:
        return self.relations["requires"]


def of_header(head: bytes, *, where: str) -> Claims:
    """Read what an RPM's header says; its signature must have been checked.

    Raise VerificationError for a damaged header.
    """
    metadata = read_metadata(head, where=where)
    with translated(where):
        relations = {
            kind: {
                _relation(str(one.name), _SENSES.get(int(one.flags) & _ANY_SENSE, ""), one.version)
                for one in getattr(metadata, kind)()
            }
            for kind in (*RELATIONS, *_WEAK)
        }
        files = frozenset(str(path) for path in metadata.file_paths())
        name = metadata.nevra()
        own = f"{name.epoch or 0}:{name.version}-{name.release}"
    return _claims(str(name.name), own, str(name.arch), relations, files)


def of_metadata(package: Any) -> Claims:
    """Read what metadata says; ``package`` is createrepo_c's, with files of both documents."""
    relations = {
        kind: {
            Relation(str(name), _FLAGS[flag], _evr(epoch, version, release))
            if flag in _FLAGS and version
            else Relation(str(name))
            for name, flag, epoch, version, release, *_ in getattr(package, kind)
        }
        for kind in (*RELATIONS, *_WEAK)
    }
    files = frozenset(f"{folder}{name}" for _, folder, name, *_ in package.files)
    own = _evr(package.epoch, package.version, package.release)
    return _claims(str(package.name), own, str(package.arch), relations, files)


def differences(header: Claims, metadata: Claims) -> list[str]:
    """Say in which ways metadata is not what the header says; nothing means that it is right.

    Weak dependencies, which old tools leave out, and files outside of what is written into
    primary may be missing (see :func:`unlisted`), but nothing may be added.
    """
    found = [
        f"primary leaves out that it {kind} {_some(missing)}"
        for kind in RELATIONS
        if (missing := header.relations[kind] - metadata.relations[kind])
    ]
    if hidden := set(filter(matters, unlisted(header, metadata))):
        found.append(lost(hidden))
    return found + additions(header, metadata)


def unlisted(header: Claims, metadata: Claims) -> frozenset[str]:
    """Return the files that metadata leaves out, whether they matter or not."""
    # names that are no ASCII are written in more than one way; nothing requires them
    return frozenset(path for path in header.files - metadata.files if path.isascii())


def lost(paths: Iterable[str]) -> str:
    """Say that metadata leaves out files that matter."""
    return f"its file list leaves out {_some(paths)}"


def additions(header: Claims, metadata: Claims) -> list[str]:
    """Say what metadata has that the header does not say."""
    found = [
        f"primary adds that it {kind} {_some(added)}"
        for kind in (*RELATIONS, *_WEAK)
        if (added := metadata.relations[kind] - header.relations[kind] - {header.own})
    ]
    if added_files := {path for path in metadata.files - header.files if path.isascii()}:
        found.append(f"its file list adds {_some(added_files)}")
    return found


def required_paths(packages: Iterable[Claims]) -> set[str]:
    return {need.name for one in packages for need in one.requires if need.name.startswith("/")}


def unmet(packages: Iterable[Claims]) -> dict[str, tuple[str, ...]]:
    """Return by package what it requires that none of them provides, so that the base must."""
    import solv  # noqa: PLC0415 -- heavy

    packages = list(packages)
    pool = solv.Pool()
    repository = pool.add_repo("bundle")
    paths = required_paths(packages)
    for one in packages:
        solvable = repository.add_solvable()
        solvable.name, solvable.evr, solvable.arch = one.name, "0-0", "noarch"
        for provided in one.relations["provides"] | {one.own}:
            solvable.add_provides(_dep(solv, pool, provided))
        for path in one.files & paths:
            solvable.add_provides(pool.Dep(path))
    pool.createwhatprovides()
    return {
        one.name: tuple(
            str(need)
            for need in sorted(one.requires)
            if not pool.whatprovides(_dep(solv, pool, need))
        )
        for one in packages
    }


def unprovided(packages: Iterable[Claims], from_base: Mapping[str, Collection[str]]) -> list[Fault]:
    """Prove the closure again; ``from_base`` has by package what the lock leaves to the base."""
    return [
        Fault(
            where=name,
            what=f"no package here provides what it requires: {_some(lacking)}",
            expected="packages that do, or a lock that leaves this to the base",
            hint="lock again, and make the bundle of that lock",
        )
        for name, needs in sorted(unmet(packages).items())
        if (lacking := {*needs} - {*from_base.get(name, ())})
    ]


def _dep(solv: Any, pool: Any, relation: Relation) -> Any:
    if relation.name.startswith("("):
        return pool.parserpmrichdep(relation.name) or pool.Dep(relation.name)
    dep = pool.Dep(relation.name)
    if not relation.comparison:
        return dep
    flags = 0
    for sign, flag in (("<", solv.REL_LT), (">", solv.REL_GT), ("=", solv.REL_EQ)):
        flags |= flag if sign in relation.comparison else 0
    return dep.Rel(flags, pool.Dep(relation.evr.removeprefix("0:")))


def _claims(
    name: str, own: str, arch: str, relations: dict[str, set[Relation]], files: frozenset[str]
) -> Claims:
    """Leave out what tools that write metadata leave out, so that both can be compared.

    These are features of rpm itself, what a package provides for itself, and older versions of a C
    library of which a newer one is required.
    """
    itself = Relation(name, "=", own)
    by_name: dict[str, list[Relation]] = {name: [itself]}
    for one in relations["provides"]:
        by_name.setdefault(one.name, []).append(one)
    provided = {name: _Provided(entries) for name, entries in by_name.items()}
    requires = {
        need
        for need in relations["requires"]
        if not need.name.startswith(FEATURE)
        and need.name not in files
        and not (need.name in provided and provided[need.name].meets(need))
    }
    requires -= _older_libraries(requires)
    return Claims(
        name=plain(f"{name}-{own.removeprefix('0:')}.{arch}"),
        relations={
            kind: frozenset(entries)
            for kind, entries in {**relations, "requires": requires}.items()
        },
        own=itself,
        files=files,
    )


def _older_libraries(requires: set[Relation]) -> set[Relation]:
    versions: dict[str, list[tuple[tuple[tuple[int, str], ...], Relation]]] = {}
    for need in requires:
        if match := _LIBC.fullmatch(need.name):
            parts = [part.lstrip("0") for part in (match[1] or "").split(".") if part]
            # numbers of any length
            numbers = tuple((len(part), part) for part in parts)
            versions.setdefault(match[2] or "", []).append((numbers, need))
    newest = {kind: max(entries)[0] for kind, entries in versions.items()}
    return {
        need
        for kind, entries in versions.items()
        for numbers, need in entries
        if numbers < newest[kind]
    }


class _Provided:
    """The versions that a package provides of one name, in order: many may be asked for."""

    def __init__(self, entries: Collection[Relation]) -> None:
        self._entries = frozenset(entries)
        exact = [one.evr for one in entries if one.comparison == "="]
        self._full = _in_order(evr for evr in exact if "-" in evr)
        self._short = _in_order(evr for evr in exact if "-" not in evr)
        self._cut = _in_order(evr.partition("-")[0] for evr in exact)

    def meets(self, need: Relation) -> bool:
        """Tell whether one of them is one that the package requires."""
        if not need.comparison or need in self._entries:
            return True
        if "-" not in need.evr:
            return _any(self._cut, need.evr, need.comparison)
        short = need.evr.partition("-")[0]
        return _any(self._full, need.evr, need.comparison) or _any(
            self._short, short, need.comparison
        )


def _in_order(texts: Iterable[str]) -> list[Any]:
    parse = load_rpm_rs().Evr.parse
    return sorted(parse(text) for text in set(texts))


def _any(versions: list[Any], wanted: str, comparison: str) -> bool:
    """Tell whether one of some versions, in order, is less than, equal to or more than another."""
    if not versions:
        return False
    other = load_rpm_rs().Evr.parse(wanted)
    if "<" in comparison and versions[0] < other:
        return True
    if ">" in comparison and other < versions[-1]:
        return True
    place = bisect_left(versions, other)
    return "=" in comparison and place < len(versions) and not other < versions[place]


def _relation(name: str, comparison: str, version: Any) -> Relation:
    text = str(version or "")
    if not (comparison and text):
        return Relation(name)
    epoch, colon, rest = text.partition(":")
    return Relation(
        name,
        comparison,
        f"{int(epoch)}:{rest}" if colon and epoch.isdecimal() and epoch.isascii() else f"0:{text}",
    )


def _evr(epoch: Any, version: Any, release: Any) -> str:
    number = str(epoch or "0")
    return f"{number}:{version or ''}" + (f"-{release}" if release else "")


def matters(path: str) -> bool:
    """Tell whether a path belongs into primary, as createrepo has it."""
    return path.startswith("/etc/") or "bin/" in path or path == "/usr/lib/sendmail"


def _some(entries: Iterable[object]) -> str:
    return few(sorted(plain(str(entry)) for entry in entries), _MOST_SHOWN)
