"""Files below ``runtimes/``: one series of a container runtime each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats import terms
from builder.formats.catalog.words import BY_FAMILY, EVR, NAME, VERSION
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Number, OneOf, Text
from builder.model.artifact import COMPRESSIONS
from builder.model.catalog.runtimes import OldestSystem

if TYPE_CHECKING:
    from typing import Any

RUNTIME: Record[dict[str, Any]] = Record(
    dict,
    {
        "repositories": Field(BY_FAMILY, required=True),
        "releases": Field(
            MapOf(MapOf(MapOf(EVR, key=terms.PACKAGE), key=NAME), key=r"[0-9][0-9A-Za-z.]*"),
            required=True,
        ),
        "unpacks": Field(ListOf(OneOf(COMPRESSIONS), least=1), default=("gzip",)),
        "layers": Field(Number(least=1), default=0),
        "systems": Field(
            MapOf(
                Record(OldestSystem, required({"oldest": VERSION, "reason": Text[str]()})), key=NAME
            ),
            default={},
        ),
    },
)
