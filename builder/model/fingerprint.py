"""All that a cluster asks for under one digest, so that a lock can tell whether it is still for it.

Where catalogs get things from is no part of it, and renaming a field of ours changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.model.digest import Digest
from builder.model.lock import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.model.cluster import SignerSettings
    from builder.model.demand import Demand, WantedImage, WantedPackage
    from builder.model.recipe import Recipe

FINGERPRINT = 1
"""The version of what :func:`fields` names; raise it whenever they change."""


def fingerprint(demand: Demand) -> Fingerprint:
    text = json.dumps(fields(demand), sort_keys=True, separators=(",", ":"))
    return Fingerprint(FINGERPRINT, Digest.of(text.encode("ascii")))


def fields(demand: Demand) -> dict[str, Any]:
    way = {str(d.kubernetes.version): _packages_fields(d.packages) for d in demand.before}
    return {
        **({"before": way} if way else {}),
        "images": [_image_fields(image) for image in demand.images],
        "packages": _packages_fields(demand.packages),
        "files": [
            {
                "path": file.path,
                "digest": str(file.digest) if file.digest else None,
                "sources": list(file.own_sources),
            }
            for file in (*demand.manifests, *demand.files)
        ],
        "repositories": [repository.name for repository in demand.repositories],
        "keys": [{"name": key.name, "fingerprint": key.fingerprint} for key in demand.keys],
        "signers": [_signer_fields(signer) for signer in demand.signers],
        "builds": [
            _recipe_fields(recipe) for recipe in (demand.builds.recipes if demand.builds else ())
        ],
    }


def _image_fields(image: WantedImage) -> dict[str, Any]:
    fields = {"image": str(image.reference), "roles": list(image.roles)}
    return {**fields, "hops": list(image.hops)} if image.hops else fields


def _packages_fields(packages: Iterable[WantedPackage]) -> list[dict[str, Any]]:
    return [{"package": package.request, "repository": package.repository} for package in packages]


def _signer_fields(signer: SignerSettings) -> dict[str, Any]:
    return {
        "name": signer.name,
        "images": list(signer.images),
        "keys": list(signer.keys),
        "identities": [
            {"subject": identity.subject, "issuer": identity.issuer}
            for identity in signer.identities
        ],
        "authority": signer.authority,
        "required": signer.required,
    }


def _recipe_fields(recipe: Recipe) -> dict[str, Any]:
    return {
        "package": str(recipe.nevra),
        "summary": recipe.summary,
        "licence": recipe.licence,
        "url": recipe.url,
        "requires": list(recipe.requires),
        "files": [
            {
                "path": file.path,
                "program": file.program,
                "archive": file.archive,
                "member": file.member,
                "text": file.text,
                "folder": file.folder,
                "config": file.config,
            }
            for file in recipe.files
        ],
        "scripts": dict(recipe.scripts),
        "programs": [
            {"name": program.name, "digest": str(program.digest) if program.digest else None}
            for program in recipe.programs
        ],
    }
