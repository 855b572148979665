"""``verify``: prove that a bundle is whole and consistent, without any network.

Three rings, from the outside in: every byte of the tar is where the layout of its own lock has it
(``bundle.verify``); every RPM carries a good signature of a key that the lock names; and the parts
fit together (repodata and RPMs, image graphs, manifests and the images they start).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.bundle.checksums import listed_items
from builder.bundle.delta import reduced
from builder.bundle.hashing import hash_all
from builder.bundle.layout import LOCK_PATH
from builder.bundle.reader import TarBundle, open_bundle, parts_of
from builder.bundle.split import target_of
from builder.bundle.verify import verify_bundle, verify_parts
from builder.errors import DocumentError, Fault, StorageError, VerificationError, few
from builder.formats import inventory as inventory_format
from builder.formats import manifests
from builder.formats.text import decode
from builder.model.artifact import blob_path
from builder.model.digest import Digest
from builder.oci import graph
from builder.oci.layer_compression import BEGINNING, LayerCompression
from builder.pipeline import signature as bundle_signature
from builder.pipeline import signed_images
from builder.pipeline.lock_document import LockDocument
from builder.sources.package import Signatures, check_metadata

if TYPE_CHECKING:
    import io
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle
    from builder.bundle.verify import Verification
    from builder.model.artifact import Content, File, Package
    from builder.model.lock import Lock
    from builder.model.reference import Reference
    from builder.pipeline.signature import Pins
    from builder.report import Reporter

_DOCUMENT_LIMIT = 64 << 20
_FEW = 3
"""Images that a fault names; what many share is named by the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    bundle: Path
    lock: Lock | None
    """None when it is too damaged to be trusted."""
    size: int
    """Bytes of all members that the lock names."""
    faults: tuple[Fault, ...]
    elsewhere: tuple[Content, ...] = ()
    """What a delta lacks, because the other side had it."""
    unread: tuple[str, ...] = ()
    """Layers, packages and files of an earlier bundle, where a delta was unpacked over it; they are
    not in the lock, and nobody looked into them."""
    damaged: bool = False
    """Whether faults are of the content; else a key, a signature or an inventory is not right."""
    parts: int = 0
    """How many files it is, where it is in parts; ``bundle`` is the tar that they make then."""
    signed_by: str | None = None
    """The fingerprint of the pinned key that signed it; None where none was asked for."""


def verify(
    bundle: Path,
    *,
    reporter: Reporter,
    workers: int | None = None,
    haves: Sequence[Path] = (),
    bases: Sequence[Path] = (),
    pins: Pins | None = None,
    signature: Path | None = None,
) -> Verdict:
    """Check a bundle: a tar, its parts or an unpacked folder; all faults are found in one run.

    A delta is whole together with what it says the other side has; ``haves`` are inventories, and
    ``bases`` bundles, that must have all of that together. With ``pins`` it must be signed by one
    of them; ``signature`` is where, if not beside it.

    Raises:
        VerificationError: this is not a bundle at all.
        DocumentError: the lock inside is undamaged, and still no lock that this airseed reads.
        StorageError: the file cannot be read.
    """
    target = target_of(bundle)
    parts, complete = verify_parts(bundle, reporter, workers=workers)
    count = len(parts_of(target)) if target is not None else 0
    opening = _opened(bundle, parts) if complete else None
    if opening is None:
        verdict = Verdict(bundle=target or bundle, lock=None, size=0, faults=tuple(parts))
        return replace(verdict, damaged=True, parts=count)
    with opening as opened:
        checks = _Checks(opened)
        checked = verify_bundle(
            opened, checks.plan, reporter, workers=workers, inspect=checks.inspect
        )
        faults = (*parts, *checked.faults)
        lock = checks.lock if checked.layout is not None else None
        if lock is not None:
            faults = (*faults, *checks.consistency(lock, {fault.where for fault in faults}))
        damaged = bool(faults)
        if haves or bases:
            faults = (*faults, *_unheld(checked.elsewhere, haves, bases, reporter))
        signed_by = None
        if pins is not None:
            beside = signature or bundle_signature.beside(bundle)
            unsigned, signed_by = _signature(checks, checked, pins, beside)
            faults = (*faults, *unsigned)
    size = lock.size if lock is not None else 0
    if lock is not None:
        faults = tuple(_explained(faults, lock))
    return Verdict(
        bundle=target or bundle,
        lock=lock,
        size=size - sum(content.size for content in checked.elsewhere),
        faults=faults,
        elsewhere=checked.elsewhere,
        unread=checked.unread,
        damaged=damaged,
        parts=count,
        signed_by=signed_by,
    )


def _opened(bundle: Path, parts: Sequence[Fault]) -> TarBundle | FolderBundle | None:
    """Open a bundle; None for what is none, where faults of its parts say why.

    Two may have changed places, or the first may be damaged.
    """
    try:
        return open_bundle(bundle)
    except VerificationError:
        if parts:
            return None
        raise


def _signature(
    checks: _Checks, checked: Verification, pins: Pins, path: Path
) -> tuple[list[Fault], str | None]:
    """Return what nobody who is pinned signed, and who signed the rest."""
    faults = [*_unsigned(checked.unread)]
    if checks.lock is None or checked.layout is None:
        return faults, None
    signer = bundle_signature.check(checked.layout.sums, path, pins, checks.lock, checks.read)
    return ([*faults, signer], None) if isinstance(signer, Fault) else (faults, signer)


def _explained(faults: Iterable[Fault], lock: Lock) -> Iterator[Fault]:
    """Say which images a blob belongs to: nobody knows them by digest."""
    owners: dict[str, list[str]] = {}
    for image in lock.images:
        for digest in image.digests | image.signed_digests:
            owners.setdefault(blob_path(digest), []).append(image.name)
    for fault in faults:
        names = owners.get(fault.where, [])
        of = f" (of {few(names, _FEW)})" if names else ""
        yield replace(fault, what=f"{fault.what}{of}")


def _unheld(
    elsewhere: Sequence[Content], haves: Sequence[Path], bases: Sequence[Path], reporter: Reporter
) -> Iterator[Fault]:
    """Return what a delta leaves out, and neither inventories nor earlier bundles have."""
    held = inventory_format.digests(haves)
    missing = {content.digest: content for content in elsewhere if content.digest not in held}
    for base in bases:
        with open_bundle(base) as bundle:
            items = [item for item in listed_items(bundle) if item.digest in missing]
            with reporter.progress(base.name, sum(item.size for item in items)) as progress:
                wrong = {fault.where for fault in hash_all(items, progress)}
            for item in items:
                if item.path not in wrong:
                    missing.pop(item.digest, None)
    where = " or ".join(map(str, (*haves, *bases)))
    hint = "make the delta against what the other side has: airseed inventory says that"
    for content in elsewhere:
        if content.digest in missing:
            what = f"is left out, and not in {where} either"
            yield Fault(where=content.path, what=what, hint=hint)


def _unsigned(paths: Iterable[str]) -> Iterator[Fault]:
    """Refuse what an earlier bundle may have left in a folder: nobody's signature covers it."""
    for path in paths:
        yield Fault(
            where=path,
            what="is not in the lock, so the signature does not cover it",
            hint="delete it: if the earlier bundle left it there, nothing needs it any more",
        )


class _Checks:
    def __init__(self, bundle: TarBundle | FolderBundle) -> None:
        self._bundle = bundle
        self._layout: Layout | None = None
        self.lock: Lock | None = None
        self._packages: dict[str, Package] = {}
        self._keys: dict[str | None, File] = {}
        self._signatures: Signatures | None = None
        self._graphs: graph.ImageGraphs | None = None
        self._compression: LayerCompression | None = None
        self._documents: dict[str, Digest] = {}
        """What images are made of and is looked into, by path."""
        self._heads: dict[Digest, bytes] = {}
        """Of the RPMs whose signature is good."""

    def plan(self, content: bytes, delta: bytes | None) -> Layout:
        """Read the lock and lay its bundle out; of a delta, with what DELTA.txt leaves out."""
        document = LockDocument(path=Path(LOCK_PATH), content=content)
        lock = document.lock
        self._packages = {package.path: package for package in lock.packages}
        self._keys = {file.fingerprint: file for file in lock.files if file.kind == "key"}
        self._signatures = Signatures(lock, self.read)
        self._graphs = graph.ImageGraphs(lock.images, lock.blobs, lock.subject.platforms)
        self._compression = LayerCompression(lock)
        self._documents = {
            blob.path: blob.digest
            for blob in lock.blobs
            if blob.digest in self._graphs or blob.digest in self._compression
        }
        self.lock = lock
        whole = document.layout
        self._layout = whole if delta is None else reduced(whole, delta)
        return self._layout

    def inspect(self, path: str, content: io.BufferedReader) -> None:
        """Check what a member whose digest is right says.

        That is the signature of an RPM, with keys that are right, an image's document or a layer.
        """
        document = self._documents.get(path)
        if document is not None and self._graphs is not None and self._compression is not None:
            faults: list[Fault] = []
            if document in self._compression:
                faults += self._compression.faults(document, content.read(BEGINNING))
                content.seek(0)
            if document in self._graphs:
                faults += self._graphs.check(document, content.read(graph.LIMIT + 1))
            if faults:
                raise VerificationError("it is not what the lock says", where=path, faults=faults)
            return
        package = self._packages.get(path)
        if package is None or self._signatures is None:
            return
        if all(self._is_right(self._keys[key]) for key in package.keys if key in self._keys):
            self._heads[package.digest] = self._signatures.check(package, content)

    def _is_right(self, key: File) -> bool:
        """Return whether a key file is undamaged; one that is not is a fault of its own."""
        try:
            return Digest.of(self.read(key.path)) == key.digest
        except StorageError:
            return False

    def read(self, path: str) -> bytes:
        """Read a member from where the lock has it: a damaged tar header does not hide it."""
        if self._layout is None:
            return self._bundle.read(path, _DOCUMENT_LIMIT)
        extent = self._layout.extent(path)
        if extent.size > _DOCUMENT_LIMIT:
            raise VerificationError(
                "the member is too large", where=path, expected=f"at most {_DOCUMENT_LIMIT:,} bytes"
            )
        try:
            if isinstance(self._bundle, TarBundle):
                return self._bundle.at(extent.offset, extent.size)
            with self._bundle.raw(path) as file:
                return file.read(extent.size)
        except OSError as error:
            raise disk.failure(error, self._bundle.path) from error

    def _has(self, path: str) -> bool:
        """Return whether the bundle should have a member; a delta lacks some."""
        try:
            return self._layout is not None and self._layout.extent(path) is not None
        except KeyError:
            return False

    def consistency(self, lock: Lock, damaged: set[str]) -> Iterator[Fault]:
        """Return what does not fit together; where members are damaged, nothing more is said."""
        yield from check_metadata(lock, self.read, self._heads, damaged)
        if not any(path.startswith("images/") for path in damaged):
            if self._graphs is not None:
                yield from self._graphs.unproven()
            yield from signed_images.check(lock, self.read, self._has)
        known = {image.reference for image in lock.images}
        for file in lock.files:
            if file.kind == "manifest" and file.path not in damaged:
                yield from self._manifest(known, file.path)

    def _manifest(self, known: Collection[Reference], path: str) -> Iterator[Fault]:
        try:
            images = manifests.read(decode(self.read(path), path), path).images
        except DocumentError as error:
            yield from (
                Fault(where=f"{path}: {fault.where}", what=fault.what) for fault in error.faults
            )
            return
        for image in images:
            if image.reference not in known:
                yield Fault(where=f"{path}: {image.place}", what=f"{image.text} is not bundled")
