"""What rendering one cluster needs, read from its documents, lock and secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.formats import manifest_edits
from builder.formats.cluster.machine_rules import machine_files
from builder.formats.text import read_content
from builder.model.image_names import ImageNames
from builder.pipeline import fit, signature
from builder.pipeline.machine_manifests import LARGEST_FILE
from builder.render.plan import Plan
from builder.secrets import store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.model.cluster import Cluster
    from builder.model.hops import Hop
    from builder.model.lock import Lock
    from builder.model.machine import MachineFile
    from builder.model.registry import Registry
    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace


def prepare(workspace: Workspace, *, stale: bool = False) -> Plan:
    """Read everything that rendering needs; a ``stale`` lock is taken only where that is allowed.

    Raises:
        DocumentError: cluster.yaml, a catalog or the lock is wrong.
        UsageError: there is no lock, or it is for something else.
        StorageError: secrets or local files are missing, or can't be read.
        VerificationError: secrets are damaged.
    """
    known = stale and fit.fit(workspace) == "stale"
    locked = workspace.locked if known else fit.require(workspace)
    locked.check_images()
    cluster = workspace.cluster
    ImageNames(cluster.registry).refuse_clashes(locked.lock.images)
    return Plan(
        cluster=cluster,
        choice=workspace.choice,
        lock=locked.lock.of(str(cluster.kubernetes)),
        secrets=store.load(workspace.secrets, cluster.pki, encrypted=cluster.is_encrypted),
        sums=locked.layout.digest,
        made_bytes=max(len(made) for made in locked.layout.made),
        files=_local_files(cluster, workspace.folder),
        edits=_edits(locked, cluster.registry),
        edited=_edited(workspace, locked.lock),
    )


def at_hop(workspace: Workspace, plan: Plan, hop: Hop) -> Plan:
    """Return the plan of the same cluster at one release of its way."""
    lock = workspace.locked.lock.of(hop.release)
    return replace(plan, cluster=hop.cluster, choice=hop.choice, lock=lock)


def _edits(locked: LockDocument, registry: Registry | None) -> str:
    """Return the edits of all manifests that name images otherwise than the nodes have them."""
    lock, kept = locked.lock, locked.store
    if registry is None and not any(image.reference.digest for image in lock.images):
        return ""
    targets = ImageNames(registry).table(image.reference for image in lock.images)
    manifests = {file.digest: file.path for file in lock.files if file.kind == "manifest"}
    return "".join(
        manifest_edits.render(kept.read(digest), path, targets, complete=registry is not None)
        for digest, path in manifests.items()
    )


def _edited(workspace: Workspace, lock: Lock) -> Mapping[MachineFile, bytes]:
    """Return the manifests among the files of machines, with the names that nodes have."""
    registry = workspace.cluster.registry
    targets = ImageNames(registry).table(image.reference for image in lock.images)
    edited = {}
    for one in workspace.machine_manifests:
        made = manifest_edits.edits(
            one.content, one.manifest.name, targets, complete=registry is not None
        )
        if made:
            edited[one.file] = manifest_edits.applied(one.content, made)
    return edited


def _local_files(cluster: Cluster, folder: Path) -> Mapping[str, bytes]:
    """Read what cluster.yaml names for machines; the authority is the secrets' affair."""
    contents = {}
    for where, local in machine_files(cluster):
        if where.startswith("pki"):
            continue
        if where.endswith(".registry.credentials"):
            signature.private(folder / local)  # who may read it can log in as the nodes do
        contents[local] = read_content(folder / local, largest=LARGEST_FILE)
    return contents
