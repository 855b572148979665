"""Whether a lock is for what cluster.yaml asks for now; nothing is asked over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from builder import disk
from builder.errors import AirseedError, Fault, UsageError
from builder.formats import signers as signer_format
from builder.model.digest import Digest
from builder.model.fingerprint import FINGERPRINT, fingerprint
from builder.model.lock import Subject
from builder.rpm.installed import LIST_LIMIT
from builder.sources.file import read_local

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.model.cluster import Cluster
    from builder.model.demand import Demand, WantedImage
    from builder.model.lock import Lock
    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace

Fit = Literal["fits", "missing", "incomparable", "stale"]


def fit(workspace: Workspace) -> Fit:
    """Tell how a cluster's lock fits; raise DocumentError for a wrong document.

    An ``incomparable`` lock has a fingerprint of another version than this airseed's.
    """
    if not workspace.lock_path.exists():
        return "missing"
    lock, wanted, folder = workspace.locked.lock, workspace.demand, workspace.folder
    known = lock.subject.demand
    if known is None or known.version != FINGERPRINT:
        return "incomparable"
    stale = (
        lock.subject != subject(workspace.cluster, wanted, folder)
        or missing_images(wanted.images, lock)
        or missing_files(wanted, lock)
        or _local_files_changed(wanted, lock, folder)
        or _signers_changed(workspace, lock)
    )
    return "stale" if stale else "fits"


def require(workspace: Workspace) -> LockDocument:
    """Return the lock of a cluster; raise UsageError when there is none, or another one's."""
    cluster, where = workspace.path, str(workspace.lock_path)
    match fit(workspace):
        case "missing":
            raise UsageError(
                "there is no lock", where=where, hint=f"airseed lock {cluster} makes it"
            )
        case "incomparable":
            raise UsageError(
                "the lock was made by another version of airseed, so whether it is for what "
                f"{cluster} asks for now cannot be told",
                where=where,
                hint=f"airseed lock {cluster} makes it anew and keeps what still fits",
            )
        case "stale":
            raise UsageError(
                f"the lock is not for what {cluster} asks for now",
                where=where,
                hint=f"airseed lock {cluster} makes it fit; what was locked with --catalog DIR "
                "needs the same here",
            )
        case "fits":
            return workspace.locked


def subject(cluster: Cluster, wanted: Demand, folder: Path) -> Subject:
    """Say in one line each what a lock is for; the user's package list counts by its digest."""
    return Subject(
        cluster=cluster.name,
        kubernetes=str(cluster.kubernetes),
        os=f"{wanted.os.name} {wanted.os.version}",
        base=_base(cluster, folder),
        runtime=f"{wanted.runtime.name} {wanted.runtime.version}",
        cni=wanted.cni,
        platforms=cluster.platforms,
        image_platforms=cluster.image_platforms,
        demand=fingerprint(wanted),
        hops=wanted.hops,
    )


def _base(cluster: Cluster, folder: Path) -> str:
    base = cluster.os.base
    if base.file is None:
        return base.kind
    return str(Digest.of(read_local(folder / base.file, LIST_LIMIT)))


def missing_images(wanted: Iterable[WantedImage], lock: Lock) -> list[Fault]:
    """Return images that are not in the lock for every platform and role that starts them."""
    images = {image.reference: image for image in lock.images}
    faults = []
    for asked in wanted:
        where = str(asked.reference)
        image = images.get(asked.reference)
        if image is None:
            who = " and ".join(asked.needed_by)
            faults.append(Fault(where=where, what=f"{who} will ask for it; not in the lock"))
            continue
        platforms = {manifest.platform for manifest in image.manifests}
        faults += [
            Fault(where=where, what=f"the lock does not have it for {platform}")
            for platform in lock.subject.platforms
            if platform not in platforms
        ]
        faults += [
            Fault(where=where, what=f"the lock does not have it for a {role}")
            for role in asked.roles
            if role not in image.roles
        ]
        hops = lock.subject.hops
        faults += [
            Fault(where=where, what=f"the lock does not have it for Kubernetes {hop}")
            for hop in asked.hops or hops
            if hop not in (image.hops or hops)
        ]
    return faults


def missing_files(wanted: Demand, lock: Lock) -> list[Fault]:
    paths = {file.path for file in lock.files}
    fingerprints = {file.fingerprint for file in lock.files}
    return [
        *(
            Fault(where=file.path, what=f"{' and '.join(file.needed_by)} needs it; not in the lock")
            for file in (*wanted.manifests, *wanted.files)
            if file.path not in paths
        ),
        *(
            Fault(where=key.name, what=f"the key {key.fingerprint} is not in the lock")
            for key in wanted.keys
            if key.fingerprint not in fingerprints
        ),
    ]


def _local_files_changed(wanted: Demand, lock: Lock, folder: Path) -> bool:
    digests = {file.path: file.digest for file in lock.files}
    try:
        for file in (*wanted.manifests, *wanted.files):
            if file.is_local:
                with disk.opened(folder / file.sources[0]) as content:
                    if Digest.of_file(content) != digests.get(file.path):
                        return True
    except OSError:
        return True
    return False


def _signers_changed(workspace: Workspace, lock: Lock) -> bool:
    """Return whether a signer is not the one any more that the lock's images were checked with."""
    names = {image.signed_by for image in lock.images if image.signed_by is not None}
    if not names:
        return False
    try:
        signers = {signer.name: signer for signer in workspace.signers}
    except AirseedError:
        return True
    digests = {file.path: file.digest for file in lock.files if file.kind == "signer"}
    return any(
        name not in signers
        or digests.get(signer_format.path_of(name)) != Digest.of(signer_format.write(signers[name]))
        for name in names
    )
