"""A bill of materials as SPDX 2.3 JSON (https://spdx.github.io/spdx-spec/v2.3/).

Everything is a package, files too: SPDX wants SHA-1 of what it calls a file. Licences are the
makers' own words: RPMs of CentOS 7 say ``GPLv2+``, which is not an SPDX licence, so each such text
becomes a ``LicenseRef`` that quotes it; nothing is claimed that nobody said.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.formats.sbom import flat
from builder.model.digest import Digest

if TYPE_CHECKING:
    from builder.formats.sbom import Bill, BillItem

_PURPOSES = {"package": "INSTALL", "image": "CONTAINER", "platform": "CONTAINER", "file": "FILE"}
_ROOT = "SPDXRef-cluster"
_UNKNOWN = "NOASSERTION"
_EPOCH = "1970-01-01T00:00:00Z"


def render(bill: Bill, created: str | None = None) -> str:
    """Write a bill; without ``created``, a time that SPDX wants, it is that of 1970."""
    items = list(flat(bill.items))
    texts = {item.claims.licence for item in items if item.claims.licence}
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.subject.cluster,
        # what SPDX gives to those who have no web site for their documents
        "documentNamespace": f"https://spdx.org/spdxdocs/airseed-{bill.uuid('spdx')}",
        "creationInfo": {"created": created or _EPOCH, "creators": ["Tool: airseed"]},
        "packages": [_root(bill), *(_package(item) for item in items)],
        "hasExtractedLicensingInfos": [
            {"licenseId": _licence(text), "extractedText": text, "name": text}
            for text in sorted(texts)
        ],
        "relationships": _relationships(bill),
    }
    return json.dumps(document, indent=2) + "\n"


def _root(bill: Bill) -> dict[str, Any]:
    subject = bill.subject
    return {
        "SPDXID": _ROOT,
        "name": subject.cluster,
        "versionInfo": f"kubernetes {subject.kubernetes}",
        "summary": f"Kubernetes {subject.kubernetes} on {subject.os}, {subject.runtime}, "
        f"{subject.cni}, {' '.join(map(str, subject.platforms))}",
        "downloadLocation": "NONE",
        "filesAnalyzed": False,
        "checksums": [_checksum(bill.lock)],
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "primaryPackagePurpose": "APPLICATION",
    }


def _package(item: BillItem) -> dict[str, Any]:
    licence = item.claims.licence
    fields: dict[str, Any] = {"SPDXID": _identifier(item), "name": item.name}
    if item.version:
        fields["versionInfo"] = item.version
    if item.path:
        fields["packageFileName"] = item.path
    return {
        **fields,
        "supplier": f"Organization: {item.claims.vendor}" if item.claims.vendor else _UNKNOWN,
        "downloadLocation": item.url or _UNKNOWN,
        "filesAnalyzed": False,
        "checksums": [_checksum(item.digest)],
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _licence(licence) if licence else _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "primaryPackagePurpose": _PURPOSES[item.kind],
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": item.purl,
            }
        ],
    }


def _relationships(bill: Bill) -> list[dict[str, str]]:
    named = {item.key: _identifier(item) for item in bill.items}
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", _ROOT)]
    relations += [_relation(_ROOT, "CONTAINS", name) for name in named.values()]
    relations += [_relation(_ROOT, "DEPENDS_ON", named[key]) for key in bill.roots]
    for item in bill.items:
        relations += [
            _relation(named[item.key], "CONTAINS", _identifier(part)) for part in item.parts
        ]
        relations += [_relation(named[item.key], "DEPENDS_ON", named[key]) for key in item.needs]
    return relations


def _relation(element: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": how, "relatedSpdxElement": other}


def _identifier(item: BillItem) -> str:
    return f"SPDXRef-{item.identifier}"


def _licence(text: str) -> str:
    return f"LicenseRef-{Digest.of(text.encode()).hex[:16]}"


def _checksum(digest: Digest) -> dict[str, str]:
    return {"algorithm": "SHA256", "checksumValue": digest.hex}
