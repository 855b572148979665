"""How the catalog answers for what it does not have: the nearest that it has, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from builder.model.version import bare, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.version import Version

Row = TypeVar("Row")


class NotInCatalogError(LookupError):
    """Say what the catalog does not have, what it has instead, and what may be done.

    ``name`` tells that nothing is called so, in whichever version.
    """

    def __init__(
        self, what: str, *, expected: str | None = None, hint: str | None = None, name: bool = False
    ) -> None:
        super().__init__(what)
        self.what = what
        self.name = name
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        return self.what


def nearest(version: str, known: Iterable[str]) -> str:
    """Name the closest of the known versions on either side, in words.

    Of a series these are all, and the ends where no version is asked for.
    """
    version = bare(version)
    wanted = numbers(version)
    ordered = sorted(known, key=numbers)
    if of_series := [near for near in ordered if near.startswith(f"{version}.")]:
        return " or ".join(of_series)
    if not version[:1].isdigit():
        return " to ".join(dict.fromkeys((*ordered[:1], *ordered[-1:]))) or "nothing"
    below = [near for near in ordered if numbers(near) <= wanted][-1:]
    above = [near for near in ordered if numbers(near) > wanted][:1]
    return " or ".join((*below, *above)) or "nothing"


def written(version: str, known: Iterable[str]) -> str | None:
    """Say how a known version is written that somebody gave as a package or a tag has it."""
    plain = bare(version)
    same = [one for one in known if numbers(one) == numbers(plain) or plain.startswith(f"{one}.")]
    return f"write {max(same, key=len)}" if same else None


def row(table: Mapping[int, Row], version: Version, what: str, file: str) -> Row:
    """Return a patch's row, or that of its neighbours where they are equal."""
    if version.patch in table:
        return table[version.patch]
    below = max((patch for patch in table if patch < version.patch), default=None)
    above = min((patch for patch in table if patch > version.patch), default=None)
    if below is not None and above is not None and table[below] == table[above]:
        return table[below]
    raise NotInCatalogError(
        f"the {what} of Kubernetes {version} are not known",
        expected=neighbours(table, version),
        hint=add_as(file),
    )


def neighbours(table: Mapping[int, object], version: Version) -> str:
    below = max((patch for patch in table if patch < version.patch), default=None)
    above = min((patch for patch in table if patch > version.patch), default=None)
    return " or ".join(f"{version.series}.{p}" for p in (below, above) if p is not None)


def either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names, key=lambda name: (numbers(name), name))) or "nothing"


def add_as(file: str) -> str:
    return f"to add it yourself, put {file} into a folder and pass that as --catalog"


def named(entries: Mapping[str, Row], name: str, what: str, folder: str) -> Row:
    """Return one entry of a folder; raise NotInCatalogError when it is not there."""
    if name not in entries:
        raise NotInCatalogError(
            f"the {what} {name} is not in the catalog",
            expected=either(entries),
            hint=add_as(f"{folder}/{name}.yaml"),
        )
    return entries[name]
