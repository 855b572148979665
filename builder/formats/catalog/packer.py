"""The table of what builds images, ``packer.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import ENTRY, PACKAGE_NAME, VERSION, word
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import OneOf, Text
from builder.model.catalog.packer import ImageBuilder, PackerTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NAME = r"[a-z][a-z0-9-]{0,30}"
_SOURCE = word(r"[a-z0-9.-]+(?:/[a-z0-9-]+){2}", "where a plugin comes from", "github.com/x/y")
_PLUGIN: Record[dict[str, Any]] = Record(dict, required({"source": _SOURCE, "version": VERSION}))
_BUILDER: Record[dict[str, Any]] = Record(
    dict,
    required(
        {
            "plugin": _PLUGIN,
            "providers": ListOf(ENTRY),
            "agent": PACKAGE_NAME,
            "starts": ListOf(OneOf(("medium", "disk", "cloud")), least=1),
            "gives": OneOf(("file", "template")),
        }
    ),
)
PACKER: Record[dict[str, Any]] = Record(
    dict,
    {
        "profiles": Field(MapOf(Text[str](), key=r"[a-z0-9][a-z0-9.]{0,20}"), required=True),
        "builders": Field(MapOf(_BUILDER, key=_NAME), required=True),
    },
)


def table(value: Mapping[str, Any]) -> PackerTable:
    builders = {}
    for name, fields in value.get("builders", {}).items():
        plugin = fields["plugin"]
        rest = {key: one for key, one in fields.items() if key != "plugin"}
        builders[name] = ImageBuilder(
            name=name, plugin=plugin["source"], version=plugin["version"], **rest
        )
    return PackerTable(profiles=value.get("profiles", {}), builders=builders)
