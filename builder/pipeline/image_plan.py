"""What an image of a cluster is baked from; ``packer`` writes it, ``doctor`` compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.model.secrets import Secrets
from builder.render.plan import Plan

if TYPE_CHECKING:
    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace


def plan(workspace: Workspace, locked: LockDocument) -> Plan:
    """An image holds no secret of its cluster, and of a way it has the last release alone."""
    return Plan(
        cluster=workspace.cluster,
        choice=workspace.choice,
        lock=locked.lock.of(str(workspace.cluster.kubernetes)),
        secrets=Secrets(token="", certificate_key="", phone_home_token=""),
        sums=locked.layout.digest,
        made_bytes=max(len(made) for made in locked.layout.made),
    )
