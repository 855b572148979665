"""An order for values of which some have a field and others don't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self


class Ordered:
    """Order a dataclass with slots by its fields; None comes before everything else.

    The order that dataclasses have of their own ends in a TypeError where one value has None.
    """

    __slots__: tuple[str, ...] = ()

    def __lt__(self, other: Self) -> bool:
        return _key(self) < _key(other)


def _key(value: Ordered) -> list[tuple[bool, Any]]:
    fields = [getattr(value, name) for name in value.__slots__]
    return [(each is not None, each) for each in fields]
