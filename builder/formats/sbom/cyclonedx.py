"""A bill of materials as CycloneDX 1.6 JSON (https://cyclonedx.org/docs/1.6/json/).

There is no time stamp unless one is given, and the serial number follows from the lock: equal
locks give equal bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.formats.sbom import Bill, BillItem

_TYPES = {"package": "library", "image": "container", "platform": "container", "file": "file"}
_ROOT = "cluster"


def render(bill: Bill, created: str | None = None) -> str:
    """Write a bill; ``created`` is a time in RFC 3339 form."""
    subject = bill.subject
    metadata: dict[str, Any] = {"timestamp": created} if created else {}
    metadata |= {
        "tools": {"components": [{"type": "application", "name": "airseed"}]},
        "component": {
            "type": "application",
            "bom-ref": _ROOT,
            "name": subject.cluster,
            "version": f"kubernetes {subject.kubernetes}",
            "hashes": [_hash(bill.lock.hex)],
            "properties": _properties(
                {
                    "os": subject.os,
                    "base": subject.base,
                    "runtime": subject.runtime,
                    "cni": subject.cni,
                    "platforms": " ".join(map(str, subject.platforms)),
                }
            ),
        },
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": bill.uuid("cyclonedx").urn,
        "version": 1,
        "metadata": metadata,
        "components": [_component(item) for item in bill.items],
        "dependencies": [
            {"ref": _ROOT, "dependsOn": list(bill.roots)},
            *(
                {"ref": item.key, **({"dependsOn": list(item.needs)} if item.needs else {})}
                for item in bill.items
            ),
        ],
        # nothing is left out: what the lock does not name is not in the bundle
        "compositions": [
            {"aggregate": "complete", "assemblies": [_ROOT, *(item.key for item in bill.items)]}
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _component(item: BillItem) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": _TYPES[item.kind], "bom-ref": item.key, "name": item.name}
    if item.claims.vendor:
        fields["publisher"] = item.claims.vendor
    if item.version:
        fields["version"] = item.version
    fields |= {"scope": "required", "hashes": [_hash(item.digest.hex)], "purl": item.purl}
    if item.claims.licence:
        fields["licenses"] = [{"license": {"name": item.claims.licence}}]
    if item.url:
        fields["externalReferences"] = [{"type": "distribution", "url": item.url}]
    if item.parts:
        fields["components"] = [_component(part) for part in item.parts]
    properties = {"path": item.path or "", "size": str(item.size), "trust": item.trust}
    return {**fields, "properties": _properties(properties)}


def _hash(content: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": content}


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"airseed:{key}", "value": value} for key, value in values.items() if value]
