"""The declared base: what a node has installed before the first package of ours arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from builder.model.rpm import Nevra


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePackages:
    """Describe a base; make one with :func:`empty`, :func:`core` or :func:`packages`."""

    kind: Literal["empty", "core", "packages"]
    repository: str | None = None
    """Of ``core``: the one repository that its packages come from."""
    group: tuple[str, ...] = ()
    """Of ``core``: the group's packages; one that the repository lacks is left out, as yum does."""
    always: tuple[str, ...] = ()
    """Of ``core``: what installers add to any group (kernel, boot loader); all must be there."""
    installed: tuple[Nevra, ...] = ()
    """Of ``packages``: what ``rpm -qa`` printed; epochs may be missing (0)."""


def empty() -> BasePackages:
    """Return a base without any package: everything comes from the bundle."""
    return BasePackages(kind="empty")


def core(repository: str, group: tuple[str, ...], always: tuple[str, ...] = ()) -> BasePackages:
    """Return what an installer makes of a group: its packages and all they need, of one repository.

    ``group`` comes from :func:`builder.rpm.installed.parse_comps`.
    """
    return BasePackages(kind="core", repository=repository, group=group, always=always)


def packages(installed: tuple[Nevra, ...]) -> BasePackages:
    """Return the base of a user's own image; see :func:`builder.rpm.installed.parse_installed`."""
    return BasePackages(kind="packages", installed=installed)
