"""Provenance: an in-toto statement that says which source gave which artifact.

The predicate is SLSA's (https://slsa.dev/spec/v1.0/provenance), the subject is the bundle's
SHA256SUMS, which has the digests of all its members and is what a signature covers, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from builder.formats.reading import refusal
from builder.formats.text import json_value
from builder.model.digest import Digest

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"
_KIND = "urn:airseed:bundle:1"
_SUBJECT = "SHA256SUMS"
_WRITER = "airseed bundle writes it beside a bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    path: str
    digest: Digest
    source: str
    """A URL, an image's repository, or words; empty if an earlier run did not leave it."""
    passed_over: tuple[str, ...] = ()
    """What was wrong with the sources that were asked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Hold what is known of one bundle's making; members in the order of their paths."""

    bundle: str
    """The name of its file."""
    sums: Digest
    """Of its SHA256SUMS."""
    lock: Digest
    started: str
    finished: str
    """In RFC 3339 form."""
    origins: tuple[Origin, ...]


def write(provenance: Provenance) -> bytes:
    document = {
        "_type": _STATEMENT,
        "subject": [{"name": _SUBJECT, "digest": {"sha256": provenance.sums.hex}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _KIND,
                "externalParameters": {"bundle": provenance.bundle},
                "resolvedDependencies": [
                    {"name": "cluster.lock", "digest": {"sha256": provenance.lock.hex}},
                    *map(_dependency, provenance.origins),
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:airseed"},
                "metadata": {"startedOn": provenance.started, "finishedOn": provenance.finished},
            },
        },
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _dependency(origin: Origin) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": origin.path, "digest": {"sha256": origin.digest.hex}}
    if origin.source:
        fields["downloadLocation"] = origin.source
    if origin.passed_over:
        fields["annotations"] = {"passedOver": list(origin.passed_over)}
    return fields


def parse(text: str, name: str) -> Provenance:
    """Read what :func:`write` wrote; raise DocumentError for anything else."""
    document = json_value(text, name)
    try:
        if (document["_type"], document["predicateType"]) != (_STATEMENT, _PREDICATE):
            raise ValueError("this is not a provenance statement")  # noqa: TRY301 -- one way out for all
        [subject] = document["subject"]
        definition = document["predicate"]["buildDefinition"]
        metadata = document["predicate"]["runDetails"]["metadata"]
        lock, *rest = definition["resolvedDependencies"]
        return Provenance(
            bundle=_text(definition["externalParameters"]["bundle"]),
            sums=_digest(subject),
            lock=_digest(lock),
            started=_text(metadata["startedOn"]),
            finished=_text(metadata["finishedOn"]),
            origins=tuple(
                Origin(
                    path=_text(fields["name"]),
                    digest=_digest(fields),
                    source=_text(fields.get("downloadLocation", "")),
                    passed_over=tuple(
                        map(_text, fields.get("annotations", {}).get("passedOver", ()))
                    ),
                )
                for fields in rest
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refusal(name, "this is not the provenance of a bundle", hint=_WRITER) from error


def _digest(value: Any) -> Digest:
    return Digest.parse(f"sha256:{value['digest']['sha256']}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value
