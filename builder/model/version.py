"""Kubernetes versions, as ``1.18.5`` (a leading ``v`` is read, never written)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"v?(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")
_WITHIN = re.compile(r"(?<![0-9.])v?([0-9]{1,4}(?:\.[0-9]{1,4}){1,3})(?![0-9])")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Name one release by major, minor and patch; versions are ordered as releases are."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``[v]MAJOR.MINOR.PATCH``; raise ValueError for anything else."""
        match = _FORM.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not a version")
        major, minor, patch = (int(part) for part in match.groups())
        return cls(major, minor, patch)

    @property
    def series(self) -> str:
        """Return major and minor, such as ``1.18``."""
        return f"{self.major}.{self.minor}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def numbers(version: str) -> tuple[int, ...]:
    """Return a dotted version as numbers, for ordering; what is not a number counts as 0."""
    parts = version.split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def bare(text: str) -> str:
    """Return the version within a package's, as ``3:19.03.9-3.el7``, or a tag's; else the text."""
    match = _WITHIN.search(text)
    return match[1] if match else text
