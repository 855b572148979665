"""The inventory as text: canonical JSON, one thing a line, so that a diff reads well.

The bytes are a pure function of the value: fixed key order, sorted, no time stamps, ASCII.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder import disk
from builder.formats.reading import check_format, refusal
from builder.formats.records import ListOf, Record, required
from builder.formats.shape import Number, OneOf, Text
from builder.formats.text import decode, json_value, read_content
from builder.model.digest import Digest
from builder.model.inventory import FORMAT, KINDS, Holding, Inventory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD = f'{{\n"format": {FORMAT},\n"has": [\n'.encode("ascii")
"""The first bytes of an inventory as it is written here."""
_HOLDING = Record(
    Holding,
    required(
        {
            "kind": OneOf(KINDS),
            "name": Text[str](longest=1024),
            "digest": Text(parse=Digest.parse, expected="a digest", longest=71),
            "size": Number(most=1 << 50),
        }
    ),
)


def _inventory(*, format: int, has: tuple[Holding, ...]) -> Inventory:  # noqa: A002, ARG001 -- the document's key, checked before
    return Inventory(holdings=tuple(sorted(set(has))))


_INVENTORY = Record(_inventory, required({"format": Number(), "has": ListOf(_HOLDING)}))


def write(inventory: Inventory) -> bytes:
    lines = [json.dumps(_HOLDING.write(holding)) for holding in sorted(set(inventory.holdings))]
    body = ",\n".join(lines)
    return HEAD + f"{body}\n]\n}}\n".encode("ascii")


def digests(paths: Iterable[Path]) -> set[Digest]:
    """Read what some inventories have together; raise DocumentError as :func:`read` does."""
    return {digest for path in paths for digest in read(path).digests}


def read(path: Path) -> Inventory:
    """Read an inventory; raise DocumentError with every fault in it."""
    name = str(path)
    made = "what airseed inventory wrote"
    if _is_bundle(path):
        hint = f"airseed inventory {path} -o inventory.json writes it; give that"
        raise refusal(name, "this is a bundle, not an inventory", expected=made, hint=hint)
    value: Any = json_value(decode(read_content(path), name), name)
    if not isinstance(value, dict) or "has" not in value:
        raise refusal(name, "this is not an inventory", expected=made)
    check_format(value, FORMAT, name, "the inventory", again="make it again with airseed inventory")
    return _INVENTORY.read_document(value, name)


def _is_bundle(path: Path) -> bool:
    """Tell a tar, or the checksums of its parts; a fault of any other kind is for who reads."""
    try:
        with disk.opened(path) as file:
            head = file.read(512)
    except OSError:
        return False
    return head[257:262] == b"ustar" or head.startswith(b"# airseed bundle in parts")
