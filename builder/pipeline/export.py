"""``export``: give one kind of what a bundle holds to tools that know nothing of bundles.

Images become one tar, a docker archive and an OCI layout over the same blobs, as ``docker load``,
``ctr images import`` and skopeo take it; everything else a folder. Each byte is hashed while it is
copied, and the result has its name only when all of it is right.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from builder import disk
from builder.bundle import tar
from builder.bundle.layout import DELTA_PATH
from builder.bundle.part import storage_error
from builder.bundle.reader import open_bundle
from builder.errors import Fault, IncompleteError, UsageError, VerificationError, did_you_mean
from builder.model.digest import Digest
from builder.oci import layout as oci_layout
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.artifact import Image
    from builder.model.lock import Lock
    from builder.model.platform import Platform
    from builder.report import Progress, Reporter

Kind = Literal["images", "packages", "manifests", "keys", "files"]
KINDS: tuple[Kind, ...] = ("images", "packages", "manifests", "keys", "files")
_IMAGES = "images/"
_FIRST = b"oci-layout\0"
"""The first bytes of an archive of images: the name of its first file."""
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Say which images are wanted; nothing said means all of them."""

    images: tuple[str, ...] = ()
    """References, as the lock has them or as docker would shorten them."""
    role: str | None = None
    platform: Platform | None = None

    @property
    def everything(self) -> bool:
        """Tell whether nothing is said."""
        return not (self.images or self.role or self.platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Tell what was written."""

    path: Path
    count: int
    """Of images, or else of files."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Name one file of the result: bytes that are made here, or a member of the bundle."""

    path: str
    size: int
    content: bytes | None = None
    member: str = ""
    digest: Digest | None = None


def export(
    source: Path, kind: Kind, target: Path, *, reporter: Reporter, choice: Choice | None = None
) -> Exported:
    """Write what a bundle (tar, parts or folder) has of one kind.

    Raises:
        UsageError: the choice names nothing, or something is there already.
        IncompleteError: a delta lacks some of it.
        VerificationError: the bundle is damaged, or is none.
        StorageError: the disk does not take it.
    """
    if target.name in {"", ".."}:
        raise UsageError(
            "the result would take the place of this folder",
            where=str(target),
            hint="choose a name in it with -o",
        )
    with open_bundle(source) as bundle:
        document = LockDocument.inside(bundle)
        # by the lock alone, as in verify: SHA256SUMS is a convenience for people
        digests = {extent.path: extent.digest for extent in document.layout.fetched}
        plan = _Plan(bundle, document.lock, digests)
        if kind == "images":
            pieces, count = plan.images(choice or Choice())
        else:
            pieces = plan.files(kind)
            count = len(pieces)
        total = sum(piece.size for piece in pieces)
        if not count:
            raise UsageError(f"there are no {kind} in it", where=str(source))
        with reporter.progress(target.name, total) as progress:
            write = _write_tar if kind == "images" else _write_folder
            try:
                write(bundle, pieces, target, progress)
            except OSError as error:
                raise storage_error(error, Path(error.filename or target)) from error
    return Exported(path=target, count=count, size=total)


class _Plan:
    """Says what of one bundle belongs to a kind."""

    def __init__(
        self, bundle: TarBundle | FolderBundle, lock: Lock, digests: dict[str, Digest]
    ) -> None:
        self._where = str(bundle.path)
        self._members = bundle.members()
        self._lock = lock
        self._digests = digests

    def files(self, kind: Kind) -> list[_Piece]:
        """Give the files of a kind, under the paths that they get."""
        # packages are of no use without the keys that signed them, nor in one heap
        folders = ("yum/", "keys/") if kind == "packages" else (f"{kind}/",)
        found = [
            self._member(path, path if kind == "packages" else path.removeprefix(folders[0]))
            for path in self._digests
            if path.startswith(folders)
        ]
        if kind == "packages" and not self._lock.packages:
            return []
        return self._there(found)

    def images(self, choice: Choice) -> tuple[list[_Piece], int]:
        """Give the files of an archive with the images that are wanted, and how many those are."""
        lock = self._lock
        images = [image for image in lock.images if _is_chosen(image, choice)]
        self._refuse_unknown(choice)
        platforms = lock.subject.platforms
        if choice.platform is not None:
            platforms = (choice.platform,)
            images = [
                replace(image, manifests=parts)
                for image in images
                if (parts := tuple(m for m in image.manifests if m.platform == choice.platform))
            ]
        texts = oci_layout.render(images, platforms)
        made = [
            _Piece(path=path, size=len(texts[path]), content=texts[path])
            for path in ("oci-layout", "index.json", "manifest.json", "signatures.json")
            if path in texts
        ]
        wanted = {d for image in images for d in image.digests | image.signed_digests}
        blobs = [
            self._member(blob.path, blob.path.removeprefix(_IMAGES))
            for blob in lock.blobs
            if choice.everything or blob.digest in wanted
        ]
        # indexes and manifests first, as a reader of a stream wants them
        kept = {blob.path for blob in lock.blobs if not blob.is_layer}
        blobs.sort(key=lambda piece: (piece.member not in kept, piece.path))
        return [*made, *self._there(blobs)], len(images)

    def _refuse_unknown(self, choice: Choice) -> None:
        """Raise UsageError for names and platforms that choose nothing."""
        images = self._lock.images
        for name in choice.images:
            if not any(_is_named(image, name) for image in images):
                raise UsageError(
                    f"no image is called {name!r} in this bundle",
                    hint=did_you_mean(name, [image.name for image in images])
                    or "`airseed inspect` lists what there is",
                )
        platforms = {m.platform for image in images for m in image.manifests}
        if choice.platform is not None and choice.platform not in platforms:
            raise UsageError(
                f"no image is for {choice.platform} in this bundle",
                expected=" or ".join(sorted(map(str, platforms))),
            )

    def _member(self, member: str, path: str) -> _Piece:
        size = self._members[member].size if member in self._members else -1
        return _Piece(path=path, size=size, member=member, digest=self._digests.get(member))

    def _there(self, pieces: list[_Piece]) -> list[_Piece]:
        """Give the pieces; raise IncompleteError if the bundle, being a delta, lacks some."""
        absent = [piece.member for piece in pieces if piece.size < 0 or piece.digest is None]
        if not absent:
            return pieces
        if DELTA_PATH not in self._members:
            faults = [Fault(where=path, what="is missing") for path in absent]
            raise VerificationError("this is not a whole bundle", where=self._where, faults=faults)
        raise IncompleteError(
            f"this is a delta, which leaves out {len(absent)} of what is wanted",
            where=self._where,
            hint="put it together first: airseed bundle DELTA --base OLD -o WHOLE",
            faults=[Fault(where=path, what="is left out") for path in absent],
        )


def _is_chosen(image: Image, choice: Choice) -> bool:
    if choice.role is not None and choice.role not in image.roles:
        return False
    return not choice.images or any(_is_named(image, name) for name in choice.images)


def _is_named(image: Image, name: str) -> bool:
    try:
        return image.name == name or type(image.reference).parse(name) == image.reference
    except ValueError:
        return False


def _write_tar(
    bundle: TarBundle | FolderBundle, pieces: Sequence[_Piece], target: Path, progress: Progress
) -> None:
    """Write a tar under another name, then give it its own."""
    if target.is_dir():
        raise UsageError("there is a folder already", where=str(target))
    disk.replaceable(target, magic=_FIRST, what="an earlier archive of images")
    with disk.fresh(target) as fresh, fresh.open("wb") as file:
        disk.publish(file.fileno())
        for piece in pieces:
            file.write(tar.header(piece.path, piece.size))
            _copy(bundle, piece, file, progress)
            file.write(bytes(tar.padding(piece.size)))
        end = file.tell() + 2 * tar.BLOCK
        file.write(bytes(2 * tar.BLOCK + -end % tar.RECORD))
        file.flush()
        os.fsync(file.fileno())
        fresh.replace(target)


def _write_folder(
    bundle: TarBundle | FolderBundle, pieces: Sequence[_Piece], target: Path, progress: Progress
) -> None:
    """Write files into a folder under another name, then give it its own."""
    if os.path.lexists(target) and (target.is_symlink() or not _is_empty(target)):
        raise UsageError(
            "something is there already",
            where=str(target),
            hint="choose another folder with -o, or remove this one",
        )
    with disk.fresh(target, folder=True) as fresh:
        for piece in pieces:
            path = fresh / PurePosixPath(piece.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                disk.publish(file.fileno())
                _copy(bundle, piece, file, progress)
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(target)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _copy(
    bundle: TarBundle | FolderBundle, piece: _Piece, to: BinaryIO, progress: Progress
) -> None:
    """Copy one file; raise VerificationError unless its bytes are right."""
    if piece.content is not None:
        to.write(piece.content)
        progress.advance(piece.size)
        return
    hasher, left = hashlib.sha256(), piece.size
    view = memoryview(bytearray(_BUFFER))
    with bundle.open(piece.member) as file:
        while left and (count := file.readinto(view[: min(left, _BUFFER)])):
            hasher.update(view[:count])
            to.write(view[:count])
            left -= count
            progress.advance(count)
    if left or Digest(hasher.hexdigest()) != piece.digest:
        raise VerificationError(
            f"has the digest sha256:{hasher.hexdigest()}",
            where=f"{bundle.path}: {piece.member}",
            expected=str(piece.digest),
            hint="airseed verify finds all that is damaged",
        )
