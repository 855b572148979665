"""The table of what keeps endpoints up, ``endpoints.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import NAME, PACKAGE_NAME, SERIES
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import Flag, OneOf, Text
from builder.model.catalog.endpoints import KeeperSeries, MovingAddress
from builder.model.catalog.kubernetes import ROLES
from builder.model.reference import Reference

if TYPE_CHECKING:
    from typing import Any

_IMAGE = Text(parse=Reference.parse, expected="an image", example="ghcr.io/x/y:v1.2.3")
_KEEPER = Record(
    KeeperSeries,
    {
        "roles": Field(ListOf(OneOf(ROLES), least=1), required=True),
        "images": Field(MapOf(_IMAGE, key=SERIES), default={}),
        "packages": Field(ListOf(PACKAGE_NAME), default=()),
    },
)
_PROVIDER = Record(
    MovingAddress,
    {
        "what": Field(Text[str](), required=True),
        "hint": Field(Text[str](), required=True),
        "refused": Field(Flag(), default=False),
    },
)
ENDPOINTS: Record[dict[str, Any]] = Record(
    dict,
    {
        "keepers": Field(MapOf(_KEEPER, key=NAME), required=True),
        "providers": Field(MapOf(_PROVIDER, key=NAME), default={}),
    },
)
