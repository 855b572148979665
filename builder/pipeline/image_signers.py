"""Who may sign images: those of cluster.yaml, and those of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.text import decode
from builder.image_signatures.verify import check_signer
from builder.model.signer import Signer
from builder.sources.file import read_local

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.catalog import Catalog
    from builder.model.cluster import Cluster

_KEY_LIMIT = 1 << 14


def load(cluster: Cluster, catalog: Catalog, folder: Path) -> tuple[Signer, ...]:
    """Return who may sign, those of cluster.yaml first; their keys are read from ``folder``.

    Raise StorageError or FetchError for a key that can't be read, VerificationError for a bad one.
    """
    signers = []
    for settings in cluster.signatures:
        keys = [
            decode(read_local(folder / path, _KEY_LIMIT), path).strip() + "\n"
            for path in settings.keys
        ]
        authority = catalog.authorities[settings.authority] if settings.identities else None
        signers.append(
            Signer(
                name=settings.name,
                images=settings.images,
                keys=tuple(keys),
                identities=settings.identities,
                authority=authority,
                required=settings.required,
            )
        )
    own = {signer.name for signer in signers}
    signers += [signer for name, signer in sorted(catalog.signers.items()) if name not in own]
    for signer in signers:
        check_signer(signer, where=f"the signer {signer.name}")
    return tuple(signers)
