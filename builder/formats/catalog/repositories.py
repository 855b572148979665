"""Files below ``repositories/``, ``keys/`` and ``registries/``: where things are fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.catalog.words import FOLDERS, NAMES, URLS, prefix
from builder.formats.reading import MisfitError
from builder.formats.records import Field, ListOf, Record, required
from builder.formats.shape import OneOf, Text
from builder.model.reference import Reference

if TYPE_CHECKING:
    from typing import Any


def _fingerprint(text: str) -> str:
    fingerprint = text.replace(" ", "")
    if len(fingerprint) not in {40, 64} or not all(
        digit in "0123456789ABCDEF" for digit in fingerprint
    ):
        raise MisfitError(f"{text!r} is not a fingerprint")
    return fingerprint


REPOSITORY: Record[dict[str, Any]] = Record(
    dict,
    {
        **required({"sources": FOLDERS, "keys": NAMES}),
        "metadata": Field(OneOf(("signed", "unsigned", "sometimes")), default="unsigned"),
        "metadata-keys": Field(NAMES, default=()),
    },
)
KEY: Record[dict[str, Any]] = Record(
    dict,
    required(
        {
            "fingerprint": Text(
                parse=_fingerprint, expected="40 or 64 upper-case hexadecimal digits"
            ),
            "sources": URLS,
        }
    ),
)
REGISTRY: Record[dict[str, Any]] = Record(
    dict,
    {
        **required(
            {
                "prefix": Text(parse=prefix, expected="HOST[/PATH]", example="docker.io/calico"),
                "sources": ListOf(
                    Text(parse=prefix, expected="HOST[/PATH]", example="quay.io/calico"), least=1
                ),
            }
        ),
        "pulls": Field(
            Text(parse=Reference.parse, expected="an image", example="docker.io/some/image:tag")
        ),
    },
)
