"""What programs take and where they listen: ``allowed.yaml`` and ``listeners.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import NAME
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import OneOf, Text
from builder.model.allowed import Allowed
from builder.model.catalog.kubernetes import ROLES
from builder.model.life import Life
from builder.model.listening import ListeningProgram, place, port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from builder.model.listening import ListenAddress

_FIELD = r"[A-Za-z][A-Za-z0-9.-]*"


def _place(text: str) -> ListenAddress:
    found = port(text) or place(text)
    if found is None:
        raise ValueError(f"{text!r} is neither a port nor IP:PORT")
    return found


ALLOWED = MapOf(
    MapOf(Text(parse=Allowed.parse, expected="what is allowed", example="0 to 31"), key=_FIELD),
    key=_FIELD,
)
LISTENERS: MapOf[Any] = MapOf(
    ListOf(
        Record(
            dict,
            {
                "at": Field(
                    Text(parse=_place, expected="a port, or IP:PORT", example="10250"),
                    required=True,
                    name="usual",
                ),
                "by": Field(
                    ListOf(Text(pattern=_FIELD, expected="an argument, or KIND.FIELD")),
                    default=(),
                ),
                "role": Field(OneOf(ROLES)),
                "when": Field(
                    Text(parse=Life.parse, expected="releases", example="before 1.19"),
                    default=Life(),
                    name="life",
                ),
                "endpoint": Field(Text[str](), name="of_endpoint"),
            },
        ),
        least=1,
    ),
    key=NAME,
)


def listeners(table: Mapping[str, Any]) -> Iterator[ListeningProgram]:
    for program, entries in table.items():
        yield from (ListeningProgram(program=program, **fields) for fields in entries)
