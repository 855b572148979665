"""``lock``: resolve everything a cluster needs to digests, asking upstream for metadata only.

The order of work: what the cluster asks for (``model.demand``), then keys and manifests, since
manifests name images, then images, then packages, then the proof that nothing is missing. A lock
made over an earlier one keeps what still fits; ``update`` names what may move.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import DocumentError, StorageError, UsageError
from builder.formats import lock as lock_format
from builder.model.demand import EXTRA
from builder.model.image_names import ImageNames
from builder.model.lock import Lock
from builder.model.source import is_url
from builder.pipeline import names, paths
from builder.pipeline.fit import subject
from builder.pipeline.lock import built, files, images, packages, proof, signatures
from builder.pipeline.lock.differences import LockDifference, compare
from builder.pipeline.lock.resolving import Resolving
from builder.pipeline.lock_document import LockDocument
from builder.sources import cache
from builder.sources.access import Access
from builder.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.formats.manifests import Manifest
    from builder.model.digest import Digest
    from builder.model.reference import Reference
    from builder.pipeline.workspace import Workspace
    from builder.report import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    lock: Lock
    changes: tuple[LockDifference, ...]
    """Against the lock that was there before; everything, if there was none."""
    same: bool = False
    """Whether the lock that was there before was this one."""
    manifests: tuple[Manifest, ...] = ()
    """The user's own; what they mention is without what the lock has."""


def make(
    workspace: Workspace,
    *,
    reporter: Reporter,
    update: Sequence[str] = (),
    ca_bundle: Path | None = None,
) -> Locked:
    """Lock a cluster and write the lock with the bytes that belong to it.

    Raises:
        DocumentError: cluster.yaml, a catalog or the earlier lock is wrong.
        UsageError: ``update`` names nothing that is there, or the lock would be too far away.
        UnavailableError: upstream does not give something.
        ClosureError: the packages cannot be installed on the base.
        VerificationError: something is not what its digest or signature says.
        IncompleteError: the lock would lack something that a node asks for.
        StorageError: the disk does not take it.
    """
    path = workspace.lock_path
    if os.path.realpath(path) == os.path.realpath(workspace.path):
        raise UsageError(
            "the lock would overwrite its cluster.yaml",
            where=str(path),
            hint="give a cluster.yaml; a lock itself is for `airseed bundle`",
        )
    disk.replaceable(path)
    before = _earlier(workspace)
    workspace.warn(reporter)
    _refuse_far(workspace)
    kept = Store(paths.documents(path))
    lock, manifests = _resolve(
        workspace, kept, before=before, update=update, ca_bundle=ca_bundle, reporter=reporter
    )
    if workspace.cluster.registry is None:
        _warn_of_pulls(manifests, reporter)
        if workspace.demand.runtime.name == "docker":
            _warn_of_digests(manifests, lock, reporter)
    document = LockDocument.of(path, lock)
    document.check_images()
    disk.put(path, document.content)
    workspace.locked = document
    for digest in kept.digests() - lock.beside:  # what no lock of that name needs any more
        kept.drop(digest)
    return Locked(
        lock=lock,
        changes=compare(before, lock),
        same=before is not None and lock_format.write(before) == document.content,
        manifests=tuple(_unlocked(manifest, lock) for manifest in manifests),
    )


def _warn_of_pulls(manifests: Sequence[Manifest], reporter: Reporter) -> None:
    for manifest in manifests:
        for image in manifest.images:
            if image.pulled:
                reporter.warn(
                    f"{manifest.name}:{image.place.line}: {image.place}: kubelet pulls it at each "
                    f"start ({image.pulled}), and without registry nothing serves any",
                    hint="write imagePullPolicy: IfNotPresent, or set registry",
                )


def _warn_of_digests(manifests: Sequence[Manifest], lock: Lock, reporter: Reporter) -> None:
    """Say which digests no edit of a manifest can turn into the name that docker knows."""
    names = ImageNames(None)
    locked: dict[Digest | None, Reference] = {
        digest: image.reference
        for image in lock.images
        for digest in (*(part.digest for part in image.manifests), image.digest)
    }
    for manifest in manifests:
        for image in manifest.digested:
            reference = locked.get(image.reference.digest)
            if reference is not None:
                reporter.warn(
                    f"{manifest.name}:{image.place.line}: {image.place}: {image.text} is asked for "
                    "by a digest in a field of its own, and docker knows none of what was loaded",
                    hint=f"write its tag instead, as in {names.name(reference)}; set registry, or "
                    "runtime.name: containerd",
                )


def _unlocked(manifest: Manifest, lock: Lock) -> Manifest:
    """Leave out what a manifest mentions and the lock has."""
    locked = {image.reference for image in lock.images}
    return replace(
        manifest,
        mentioned=tuple(image for image in manifest.mentioned if image.reference not in locked),
    )


def check(
    workspace: Workspace, *, reporter: Reporter, ca_bundle: Path | None = None
) -> tuple[LockDifference, ...]:
    """Compare a lock with what upstream has now; nothing is written.

    Raises what :func:`make` raises, and UsageError when there is no lock.
    """
    before = _earlier(workspace)
    if before is None:
        raise UsageError(
            "there is no lock to check",
            where=str(workspace.lock_path),
            hint=f"airseed lock {workspace.path} makes it",
        )
    workspace.warn(reporter)
    with tempfile.TemporaryDirectory(prefix="airseed-check-") as folder:
        kept = Store(Path(folder))
        after, _ = _resolve(workspace, kept, ca_bundle=ca_bundle, reporter=reporter)
    return compare(before, after)


def _signer(workspace: Workspace) -> built.PackageSigner | None:
    """Return the site's key, for a cluster whose packages are built; raise as ``secrets`` does."""
    if workspace.cluster.packages != "built":
        return None
    # cryptography comes with it: 0.1 s that other clusters need not wait for
    from builder.secrets import store as secret_store  # noqa: PLC0415 -- the reason stands above

    folder = workspace.secrets
    try:
        key = secret_store.load_signing_key(folder)
    except StorageError as error:
        raise StorageError(
            "packages that are built here need a key to sign them",
            where=str(folder / secret_store.SIGNING_KEY),
            hint=f"`airseed secrets {workspace.path}` makes what is missing",
            faults=error.faults or (error.fault,),
        ) from error
    return built.PackageSigner(fingerprint=key.fingerprint, public=key.public, sign=key.sign)


def _refuse_far(workspace: Workspace) -> None:
    """Raise UsageError where a lock could not find files that lie beside cluster.yaml."""
    local = [file.source for file in workspace.cluster.extra.files if not is_url(file.source)]
    path = workspace.lock_path
    if local and path.absolute().parent.resolve() != workspace.path.absolute().parent.resolve():
        raise UsageError(
            f"{local[0]} lies beside {workspace.path} and would be looked for beside the lock",
            where=str(path),
            hint="write the lock there, too; the bundle may go anywhere",
        )


def _earlier(workspace: Workspace) -> Lock | None:
    if not workspace.lock_path.exists():
        return None
    try:
        return workspace.locked.lock
    except DocumentError as error:
        raise DocumentError(
            str(workspace.lock_path), error.faults, hint="delete the file to lock from scratch"
        ) from error


def _own(workspace: Workspace, manifests: Iterable[files.LockedManifest]) -> tuple[Manifest, ...]:
    """Return the manifests of the user's own."""
    extra = (one.content for one in manifests if EXTRA in one.file.needed_by)
    return (*extra, *(one.manifest for one in workspace.machine_manifests))


def _refuse_unserved(workspace: Workspace, own: Iterable[Manifest]) -> None:
    """Raise DocumentError for resources of the user's that the release does not serve."""
    known = workspace.choice.kubernetes.arguments
    faults = [
        fault
        for manifest in own
        for resource in manifest.resources
        if known is not None
        for fault in known.unserved(
            resource.api_version, resource.kind, f"{manifest.name}: {resource}"
        )
    ]
    if faults:
        raise DocumentError(str(workspace.path), faults)


def _resolve(
    workspace: Workspace,
    kept: Store,
    *,
    before: Lock | None = None,
    update: Sequence[str] = (),
    ca_bundle: Path | None,
    reporter: Reporter,
) -> tuple[Lock, tuple[Manifest, ...]]:
    """Return the lock, and the manifests of the user's own that it was made for."""
    wanted = workspace.demand
    workspace.warn_of_files(reporter)
    signer = _signer(workspace)
    with (
        Access.open(ca_bundle=ca_bundle) as access,
        tempfile.TemporaryDirectory(prefix="airseed-lock-") as scratch,
    ):
        resolving = Resolving(
            cluster=workspace.cluster,
            catalog=workspace.catalog,
            wanted=wanted,
            folder=workspace.folder,
            access=access,
            kept=kept,
            cache=cache.folder(),
            before=before,
            update={word: names.meant(before, word) for word in update},
            reporter=reporter,
        )
        keyring = files.keys(resolving)
        manifests = files.manifests(resolving)
        own = _own(workspace, manifests)
        _refuse_unserved(workspace, own)
        extras = files.extras(resolving)
        started = files.started(wanted, manifests)
        asked = (*wanted.images, *started)
        locked_images, blobs = images.resolve(resolving, asked, workspace.signers)
        documents = signatures.documents(resolving, workspace.signers, locked_images)
        built_here = None
        if wanted.builds is not None and signer is not None:
            built_here = built.make(resolving, wanted.builds, signer, Path(scratch))
        chosen = packages.resolve(resolving, keyring, built_here)
        resolving.refuse_unused_updates()
    listed = [
        *keyring.files,
        *((built_here.key,) if built_here else ()),
        *(manifest.file for manifest in manifests),
        *extras,
        *documents,
        *chosen.repodata,
    ]
    lock = Lock(
        subject=subject(workspace.cluster, wanted, workspace.folder),
        images=locked_images,
        blobs=blobs,
        repositories=chosen.repositories,
        packages=chosen.packages,
        files=tuple(sorted(listed, key=lambda file: file.path)),
    )
    proof.check(wanted, started, lock, present=chosen.present, problems=chosen.problems)
    return lock, own
