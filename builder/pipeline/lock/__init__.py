"""``lock``: resolve everything a cluster needs to digests, asking upstream for metadata only.

The order of work: what the cluster asks for (``model.demand``), then keys and manifests, since
manifests name images, then images, then packages, then the proof that nothing is missing. A lock
made over an earlier one keeps what still fits; ``update`` names what may move.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import DocumentError, StorageError, UsageError
from builder.formats import catalog as catalog_format
from builder.formats import lock as lock_format
from builder.formats import spec as spec_format
from builder.model.demand import demand
from builder.model.lock import Lock, Subject
from builder.model.source import is_url
from builder.pipeline.lock import built, files, images, packages, proof, signatures
from builder.pipeline.lock.changes import Change, compare
from builder.pipeline.lock.resolving import Resolving
from builder.sources import cache
from builder.sources.access import Access
from builder.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.errors import Fault
    from builder.model.catalog import Catalog
    from builder.model.demand import Demand
    from builder.model.spec import Cluster, Extra
    from builder.report import Reporter

SUFFIX = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Tell what locking made."""

    path: Path
    lock: Lock
    changes: tuple[Change, ...]
    """Against the lock that was there before; everything, if there was none."""
    remarks: tuple[Fault, ...]
    """What cluster.yaml may say but deserves a warning."""
    same: bool = False
    """Whether the lock that was there before was this one."""


def beside(cluster: Path) -> Path:
    """Give the lock's usual place: beside cluster.yaml, under its name."""
    return cluster.with_suffix(SUFFIX)


def make(
    cluster: Path,
    *,
    reporter: Reporter,
    output: Path | None = None,
    update: Sequence[str] = (),
    catalogs: Sequence[Path] = (),
    ca_bundle: Path | None = None,
) -> Locked:
    """Lock a cluster and write the lock with the bytes that belong to it.

    Raises:
        DocumentError: cluster.yaml, a catalog or the earlier lock is wrong.
        UsageError: ``update`` names nothing that is there, or ``output`` is too far away.
        UnavailableError: upstream does not give something.
        ClosureError: the packages cannot be installed on the base.
        VerificationError: something is not what its digest or signature says.
        IncompleteError: the lock would lack something that a node asks for.
        StorageError: the disk does not take it.
    """
    path = output or beside(cluster)
    if os.path.realpath(path) == os.path.realpath(cluster):
        raise UsageError(
            "the lock would overwrite its cluster.yaml",
            where=str(path),
            hint="give a cluster.yaml; a lock itself is for `airseed bundle`",
        )
    before = _earlier(path)
    spec, catalog = _read(cluster, catalogs, reporter)
    _refuse_far(path, cluster, spec.cluster.extra)
    lock = _resolve(
        spec.cluster,
        catalog,
        document=cluster,
        path=path,
        before=before,
        update=update,
        ca_bundle=ca_bundle,
        reporter=reporter,
    )
    _write(lock, path)
    return Locked(
        path=path,
        lock=lock,
        changes=compare(before, lock),
        remarks=spec.remarks,
        same=before is not None and lock_format.write(before) == lock_format.write(lock),
    )


def check(
    cluster: Path,
    *,
    reporter: Reporter,
    output: Path | None = None,
    catalogs: Sequence[Path] = (),
    ca_bundle: Path | None = None,
) -> tuple[Change, ...]:
    """Compare a lock with what upstream has now; nothing is written.

    Raises what :func:`make` raises, and UsageError when there is no lock.
    """
    path = output or beside(cluster)
    before = _earlier(path)
    if before is None:
        raise UsageError(
            "there is no lock to check", where=str(path), hint=f"airseed lock {cluster} makes it"
        )
    spec, catalog = _read(cluster, catalogs, reporter)
    with tempfile.TemporaryDirectory(prefix="airseed-check-") as folder:
        after = _resolve(
            spec.cluster,
            catalog,
            document=cluster,
            path=Path(folder) / path.name,
            before=None,
            update=(),
            ca_bundle=ca_bundle,
            reporter=reporter,
        )
    return compare(before, after)


def fits(cluster: Path, lock: Path, *, catalogs: Sequence[Path] = ()) -> bool:
    """Tell, offline, whether a lock was made for what cluster.yaml asks for now.

    Raises DocumentError.
    """
    found = lock_format.read(lock)
    catalog = catalog_format.load(catalogs)
    spec = spec_format.load(cluster, catalog=catalog)
    wanted = demand(spec.cluster, catalog)
    if subject(spec.cluster, wanted, cluster.parent) != found.subject:
        return False
    return not (
        proof.missing_images(wanted.images, found)
        or proof.missing_files(wanted, found)
        or files.changed(wanted, found, cluster.parent)
        or signatures.changed(spec.cluster, catalog, found, cluster.parent)
    )


def subject(cluster: Cluster, wanted: Demand, folder: Path) -> Subject:
    """Say in one line each what a lock is for; the user's package list counts by its digest."""
    return Subject(
        cluster=cluster.name,
        kubernetes=str(cluster.kubernetes),
        os=f"{wanted.os.name} {wanted.os.version}",
        base=packages.base_name(cluster, folder),
        runtime=f"{wanted.runtime.name} {wanted.runtime.version}",
        cni=wanted.cni,
        platforms=cluster.platforms,
        image_platforms=cluster.image_platforms,
        demand=wanted.digest,
    )


def _read(
    cluster: Path, catalogs: Sequence[Path], reporter: Reporter
) -> tuple[spec_format.Spec, Catalog]:
    catalog = catalog_format.load(catalogs)
    spec = spec_format.load(cluster, catalog=catalog)
    for remark in spec.remarks:
        reporter.warn(str(remark), hint=remark.hint)
    return spec, catalog


def _signer(path: Path, cluster: Cluster) -> built.Signer | None:
    """Give the site's key, for a cluster whose packages are built; raise as ``secrets`` does."""
    if cluster.packages != "built":
        return None
    # cryptography comes with them: 0.1 s that other clusters need not wait for
    from builder.pipeline import secrets  # noqa: PLC0415 -- the reason stands above
    from builder.secrets import store as secret_store  # noqa: PLC0415 -- the same

    folder = secrets.beside(path)
    try:
        key = secret_store.load_signing_key(folder)
    except StorageError as error:
        raise StorageError(
            "packages that are built here need a key to sign them",
            where=str(folder / secret_store.SIGNING_KEY),
            hint=f"`airseed secrets {path}` makes what is missing",
            faults=error.faults or (error.fault,),
        ) from error
    return built.Signer(fingerprint=key.fingerprint, public=key.public, sign=key.sign)


def _refuse_far(path: Path, cluster: Path, extra: Extra) -> None:
    """Raise UsageError where a lock could not find files that lie beside cluster.yaml."""
    lying = [file.source for file in extra.files if not is_url(file.source)]
    if lying and path.absolute().parent.resolve() != cluster.absolute().parent.resolve():
        raise UsageError(
            f"{lying[0]} lies beside {cluster} and would be looked for beside the lock",
            where=str(path),
            hint="write the lock there, too; the bundle may go anywhere",
        )


def _earlier(path: Path) -> Lock | None:
    """Read the lock that is there already."""
    if not path.exists():
        return None
    try:
        return lock_format.read(path)
    except DocumentError as error:
        raise DocumentError(
            str(path), error.faults, hint="delete the file to lock afresh, if it may go"
        ) from error


def _resolve(
    cluster: Cluster,
    catalog: Catalog,
    *,
    document: Path,
    path: Path,
    before: Lock | None,
    update: Sequence[str],
    ca_bundle: Path | None,
    reporter: Reporter,
) -> Lock:
    wanted, folder = demand(cluster, catalog), document.parent
    signer = _signer(document, cluster)
    with (
        Access.open(ca_bundle=ca_bundle) as access,
        tempfile.TemporaryDirectory(prefix="airseed-lock-") as scratch,
    ):
        resolving = Resolving(
            cluster=cluster,
            catalog=catalog,
            wanted=wanted,
            folder=folder,
            access=access,
            kept=Store.beside(path),
            cache=cache.folder(),
            before=before,
            update=frozenset(update),
            reporter=reporter,
        )
        keyring = files.keys(resolving)
        manifests = files.manifests(resolving)
        extras = files.extras(resolving)
        started = files.started(wanted, manifests)
        signers = signatures.signers(cluster, catalog, folder)
        found = images.resolve(resolving, (*wanted.images, *started), signers)
        documents = signatures.documents(signers, found.images)
        for _, content in documents:
            resolving.kept.put(content)
        made = None
        if wanted.builds is not None and signer is not None:
            made = built.make(resolving, wanted.builds, signer, Path(scratch))
        chosen = packages.resolve(resolving, keyring, made)
        resolving.refuse_unused_updates()
    lock = Lock(
        subject=subject(cluster, wanted, folder),
        images=found.images,
        blobs=found.blobs,
        repositories=chosen.repositories,
        packages=chosen.packages,
        files=tuple(
            sorted(
                (
                    *keyring.files,
                    *((made.key,) if made else ()),
                    *(one.file for one in manifests),
                    *extras,
                    *(file for file, _ in documents),
                    *chosen.repodata,
                ),
                key=lambda file: file.path,
            )
        ),
    )
    proof.check(wanted, started, lock, present=chosen.present, problems=chosen.problems)
    return lock


def _write(lock: Lock, path: Path) -> None:
    """Put the lock in place whole, and drop what no lock of that name needs any more."""
    disk.put(path, lock_format.write(lock))
    kept = Store.beside(path)
    for digest in kept.digests() - lock.beside:
        kept.drop(digest)
