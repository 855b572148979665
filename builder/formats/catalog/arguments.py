"""Files below ``arguments/``, and ``instead.yaml``: names that programs know, by release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import NAME, SERIES, word
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Text
from builder.model.arguments import HELD, ServedKind
from builder.model.life import Life
from builder.model.version import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_WORD = r"[A-Za-z][A-Za-z0-9.-]{0,99}"
_API_FORM = r"[a-z][a-z0-9.-]*/v[a-z0-9]+"
_API = word(_API_FORM, "an API version", "apps/v1")
_NAME = word(_WORD, "a name", "feature-gates")
_MINOR = word(SERIES, "a minor version", "1.18")


def _table(
    first: str,
    last: str,
    names: Mapping[str, Sequence[str]],
    holds: Mapping[str, Sequence[str]],
    **fields: Any,
) -> dict[str, Any]:
    lives: dict[str, Life] = {}
    for text, those in names.items():
        life = Life.parse(text)
        for name in those:
            if lives.setdefault(name, life) != life:
                raise ValueError(f"{name} is named twice")
    return {
        **fields,
        "first": numbers(first),
        "last": numbers(last),
        "names": lives,
        "holds": {name: kind for kind, those in holds.items() for name in those},
    }


ARGUMENTS: Record[dict[str, Any]] = Record(
    _table,
    {
        **required(
            {
                "first": _MINOR,
                "last": _MINOR,
                "names": MapOf(ListOf(_NAME), key="[a-z0-9. ]+"),
            }
        ),
        "holds": Field(MapOf(ListOf(_NAME), key="|".join(HELD)), default={}),
    },
)
APIS = MapOf(
    MapOf(
        Record(
            ServedKind,
            {
                "served": Field(
                    Text(parse=Life.parse, expected="releases", example="before 1.22"),
                    required=True,
                ),
                "instead": Field(_API),
            },
        ),
        key=_WORD,
    ),
    key=_API_FORM,
)
INSTEAD = MapOf(MapOf(Text[str](), key=_WORD), key=NAME)
