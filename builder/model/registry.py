"""The registry of a site, apart from what else a cluster is: each lock is read with its words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Name the internal registry that nodes pull from; ``image_names`` maps names to it."""

    host: str
    """With its port, where it has one."""
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.prefix}" if self.prefix else self.host
