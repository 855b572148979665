"""The table of paths that have an owner, ``paths.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import NAME, SERIES_NAME, word
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import OneOf, Text
from builder.model.catalog.paths import OwnedPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

CONDITIONS = (
    *("ntp", "registry.ca", "registry.credentials"),
    *("endpoint.kube-vip", "endpoint.keepalived", "endpoint.local-proxy", "cni.calico"),
)
"""Keys of a machine that make airseed write a file, what keeps the endpoint up, and Calico."""
_PATH = word(
    r"(?:/(?:[A-Za-z0-9._-]*\*?[A-Za-z0-9._-]*|\$registry))+(?:/\*\*)?",
    "an absolute path",
    "/etc/x.conf",
)
PATHS: MapOf[Any] = MapOf(
    ListOf(
        Record(
            dict,
            {
                "paths": Field(ListOf(_PATH, least=1), required=True),
                "why": Field(Text[str](), required=True),
                "instead": Field(Text[str](), required=True),
                "when": Field(OneOf(CONDITIONS)),
                "since": Field(SERIES_NAME),
            },
        ),
        least=1,
    ),
    key=NAME,
)


def owned(table: Mapping[str, Any]) -> Iterator[OwnedPath]:
    for owner, entries in table.items():
        for entry in entries:
            fields = {key: value for key, value in entry.items() if key != "paths"}
            for pattern in entry["paths"]:
                yield OwnedPath(owner=owner, pattern=pattern, **fields)
