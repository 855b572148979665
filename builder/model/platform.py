"""Platforms, as ``linux/amd64`` or ``linux/arm64/v8``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"([a-z0-9]+)/([a-z0-9]+)(?:/([a-z0-9.]+))?")
_RPM_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "ppc64le": "ppc64le"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Name an operating system and a processor, as the OCI image index does."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture[/variant]``; raise ValueError for anything else."""
        match = _FORM.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not a platform (like linux/amd64)")
        os, architecture, variant = match.groups()
        return cls(os, architecture, variant or "")

    @property
    def rpm(self) -> str:
        return _RPM_ARCHITECTURES.get(self.architecture, self.architecture)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


EVERY = Platform("all", "")
"""Stands for all platforms that an image has; it is written ``all``."""


def parse_wanted(text: str) -> Platform:
    """Read a platform, or ``all``; raise ValueError for anything else."""
    return EVERY if text == str(EVERY) else Platform.parse(text)
