"""What the other side of the gap has already, by digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from builder.model.digest import Digest

FORMAT = 1
"""The inventory format that this airseed writes; a newer one is refused."""
Kind = Literal["image", "blob", "rpm", "file"]
KINDS: tuple[Kind, ...] = ("image", "blob", "rpm", "file")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Holding:
    kind: Kind
    name: str
    """Of an image its reference, of a blob its repository, of an RPM its NEVRA, else a path."""
    digest: Digest
    size: int
    """Bytes; of an image those of its index or manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    holdings: tuple[Holding, ...]

    @property
    def digests(self) -> frozenset[Digest]:
        return frozenset(holding.digest for holding in self.holdings)
