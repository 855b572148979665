"""Files below ``configuration/``: the fields of Kubernetes' configuration documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import word
from builder.formats.records import ListOf, MapOf, Record, required
from builder.formats.shape import Text
from builder.model.configuration import FieldType

if TYPE_CHECKING:
    from typing import Any

_TYPE_NAME = r"[A-Z][A-Za-z0-9]*"
_TYPE = Text(parse=FieldType.parse, expected="a field's type", example="list of text since 1.19")
CONFIGURATION: Record[dict[str, Any]] = Record(
    dict,
    required(
        {
            "group": word(r"[a-z0-9.]+", "an API group", "kubeadm.k8s.io"),
            "kinds": ListOf(word(_TYPE_NAME, "a kind", "InitConfiguration"), least=1),
            "types": MapOf(MapOf(_TYPE, key=r"[a-zA-Z][A-Za-z0-9]*"), key=_TYPE_NAME),
        }
    ),
)
