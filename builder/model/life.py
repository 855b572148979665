"""In which releases of a program something is known: an argument, a field, a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.model.version import numbers

Release = tuple[int, ...]
"""Numbers of a release, of which a series has the first two."""
RELEASE = r"\d{1,3}(?:\.\d{1,3}){1,2}"
_FORM = re.compile(
    rf"always|(?=.)(?:since (?P<since>{RELEASE}))? ?(?:before (?P<before>{RELEASE}))? ?"
    rf"(?:only (?P<only>true|false) from (?P<locked>{RELEASE}))?"
)
_LIMITS = ("since", "before", "locked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Say in which releases a name is known; None stands for no limit that was seen."""

    since: Release | None = None
    before: Release | None = None
    only: str | None = None
    """The value that a gate has and keeps, from ``locked`` on."""
    locked: Release | None = None

    @classmethod
    def parse(cls, text: str) -> Life:
        """Read ``always``, or ``[since M] [before M] [only VALUE from M]``; raise ValueError."""
        match = _FORM.fullmatch(text)
        if not match or text != text.strip():
            raise ValueError(f"{text!r} does not say in which releases (like since 1.20)")
        limits = {key: numbers(match[key]) if match[key] else None for key in _LIMITS}
        return cls(only=match["only"], **limits)

    def is_ahead(self, release: Release) -> bool:
        return self.since is not None and release < self.since

    def is_over(self, release: Release) -> bool:
        return self.before is not None and self.before <= release

    def is_known(self, release: Release) -> bool:
        return not (self.is_ahead(release) or self.is_over(release))


ALWAYS = Life()


def release_in(tag: str) -> Release | None:
    """Return the release that an image's tag names."""
    found = re.match(f"v?({RELEASE})", tag)
    return numbers(found[1]) if found else None


def written(release: Release) -> str:
    return ".".join(map(str, release))
