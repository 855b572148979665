"""Files below ``calico/``: one series of Calico each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import (
    FILE_NAME,
    FOLDERS,
    SERIES_NAME,
    TAG,
    by_patch,
    prefix,
    word,
)
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import Number, Text
from builder.model.catalog.calico import ManifestFile
from builder.model.reference import Reference

if TYPE_CHECKING:
    from typing import Any


def _operator_image(text: str) -> str:
    _complete("example.org", text)
    return text


def _complete(registry: str, text: str) -> Reference:
    """Read an image as a release of Calico will."""
    text = text.replace("$version", "v1.0.0")
    return Reference.parse(text if "." in text.partition("/")[0] else f"{registry}/{text}")


_OPERATOR_IMAGES = ListOf(
    Text(parse=_operator_image, expected="an image", example="calico/node"), least=1
)


_COUNT = Number(least=1)
CALICO: Record[dict[str, Any]] = Record(
    dict,
    {
        "kubernetes": Field(ListOf(SERIES_NAME, least=1), required=True),
        "operator": Field(
            Text(
                parse=prefix, expected="an image without a tag", example="quay.io/tigera/operator"
            ),
            required=True,
        ),
        "operators": Field(by_patch(TAG), required=True),
        "sources": Field(FOLDERS, required=True),
        "install": Field(
            MapOf(
                ListOf(
                    Record(
                        ManifestFile,
                        {
                            "file": Field(FILE_NAME, required=True),
                            "least-nodes": Field(_COUNT, default=0),
                            "most-nodes": Field(_COUNT),
                        },
                    ),
                    least=1,
                ),
                key="operator|manifest",
            ),
            required=True,
        ),
        "registry": Field(by_patch(word(r"[a-z0-9.:-]+", "a registry", "docker.io")), default={}),
        "images": Field(MapOf(_OPERATOR_IMAGES, key=r"[A-Z][A-Za-z0-9]*"), default={}),
        "optional": Field(MapOf(_OPERATOR_IMAGES, key=r"[a-z][a-z0-9-]*"), default={}),
    },
)
