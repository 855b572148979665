"""What an image of a cluster is baked from and holds; ``packer`` writes it, ``doctor`` compares."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from builder.model.digest import Digest
from builder.model.secrets import Secrets
from builder.pipeline import fit
from builder.render.packer import folder
from builder.render.packer.image import Image
from builder.render.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace


def plan(workspace: Workspace, locked: LockDocument) -> Plan:
    """An image holds no secret of its cluster, so none is read."""
    return Plan(
        cluster=workspace.cluster,
        choice=workspace.choice,
        lock=locked.lock,
        secrets=Secrets(token="", certificate_key="", phone_home_token=""),
        sums=locked.layout.digest,
        made_bytes=max(len(made) for made in locked.layout.made),
    )


def description(workspace: Workspace) -> Mapping[str, Any]:
    """Return what image.json of an image says that is baked from a cluster and its lock."""
    locked = fit.require(workspace)
    image = Image(
        plan=plan(workspace, locked),
        lock=Digest.of(locked.content),
        builders=(),
        profile="",
        requires="",
        delivery="url",
        bundle="",
        key="",
        version=version("airseed"),
    )
    return folder.description(image)
