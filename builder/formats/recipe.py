"""Orders for RPMs as text: what lies beside a lock, so that bundling can build them again.

The bytes are a pure function of the order, so their digest names it. Where the programs came from
does not count and stands in the lock.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from builder.formats.catalog.builds import FILES, SCRIPTS_SHAPE
from builder.formats.reading import refusal
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Number, Text
from builder.formats.text import decode, json_value
from builder.model.digest import Digest
from builder.model.recipe import Order, PackedFile, Program, Recipe
from builder.model.rpm import Nevra

FORMAT = 1


def write(order: Order, signature: bytes | None = None) -> bytes:
    """Render an order, and the signature that its RPM got; equal ones give equal bytes."""
    fields = _ORDER.write((order, signature))
    return f"{json.dumps(fields, indent=1)}\n".encode("ascii")


def identity(order: Order) -> Digest:
    """Name an order: the same one gives the same bytes."""
    return Digest.of(write(order))


def read(content: bytes, name: str) -> tuple[Order, bytes]:
    """Read an order and its signature; raise DocumentError with every fault in it."""
    value = json_value(decode(content, name), name)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        what = "this is not a build order for an RPM"
        raise refusal(name, what, where="format", expected=str(FORMAT))
    signed: tuple[Order, bytes] = _ORDER.read_document(value, name)
    return signed


def _order(
    *,
    format: int,  # noqa: A002, ARG001 -- the document's key, checked before
    builder: str,
    signer: str,
    signature: bytes,
    files: tuple[PackedFile, ...],
    programs: dict[str, Digest],
    **fields: Any,
) -> tuple[Order, bytes]:
    recipe = Recipe(
        files=tuple(sorted(files, key=lambda file: file.path)),
        programs=tuple(
            Program(name=name, digest=digest) for name, digest in sorted(programs.items())
        ),
        **fields,
    )
    return Order(recipe=recipe, builder=builder, signer=signer), signature


def _part(signed: tuple[Order, bytes | None], name: str) -> Any:
    order, signature = signed
    recipe = order.recipe
    own = {
        "format": FORMAT,
        "signature": signature,
        "builder": order.builder,
        "signer": order.signer,
        "scripts": dict(sorted(recipe.scripts.items())),
        "programs": {program.name: program.digest for program in recipe.programs},
    }
    return own[name] if name in own else getattr(recipe, name)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64") from error


_LINE = Text[str](longest=400)
_ORDER: Record[Any] = Record(
    _order,
    {
        "format": Field(Number(), required=True),
        "name": Field(Text(parse=Nevra.parse, expected="a NEVRA"), required=True, name="nevra"),
        **required(
            {
                "builder": _LINE,
                "signer": Text[str](pattern="[0-9A-F]{40}", expected="a fingerprint"),
                "summary": _LINE,
                "licence": _LINE,
                "url": _LINE,
                "requires": ListOf(_LINE),
                "files": FILES,
                "scripts": SCRIPTS_SHAPE,
                "programs": MapOf(Text(parse=Digest.parse, expected="a digest", longest=71)),
                "signature": Text(parse=_signature, form=_base64, expected="base64", longest=8192),
            }
        ),
    },
    part=_part,
)
