"""``export``: write one kind of what a bundle holds for tools that know nothing of bundles.

Images become one archive, everything else a folder. This file plans what goes there;
``destinations`` write it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from builder import disk
from builder.bundle.delta import lacks
from builder.bundle.reader import open_bundle
from builder.destinations.destination import Entry, deliver
from builder.destinations.folder import new_folder
from builder.destinations.image_archive import image_archive
from builder.errors import Fault, UsageError, VerificationError, did_you_mean
from builder.model.artifact import Image
from builder.model.digest import Digest
from builder.oci import layout as oci_layout
from builder.oci.graph import LIMIT, ImageGraphs
from builder.pipeline import names
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from builder.bundle.layout import Extent
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.lock import Lock
    from builder.model.platform import Platform
    from builder.report import Reporter

Kind = Literal["images", "packages", "manifests", "keys", "files"]
KINDS: tuple[Kind, ...] = ("images", "packages", "manifests", "keys", "files")
_IMAGES = "images/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """Which images are wanted; nothing said means all of them."""

    images: tuple[str, ...] = ()
    """References, as the lock has them or as docker would shorten them."""
    role: str | None = None
    platform: Platform | None = None

    @property
    def everything(self) -> bool:
        return not (self.images or self.role or self.platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    path: Path
    count: int
    """Of images, or else of files."""
    size: int


def export(
    source: Path,
    kind: Kind,
    target: Path,
    *,
    reporter: Reporter,
    choice: ImageChoice | None = None,
    force: bool = False,
) -> Exported:
    """Write what a bundle (tar, parts or folder) has of one kind; ``force`` replaces an archive.

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
        extents = {extent.path: extent for extent in document.layout.fetched}
        plan = _Plan(bundle, document.lock, extents)
        if kind == "images":
            entries, count = plan.images(choice or ImageChoice())
        else:
            entries = plan.files(kind)
            count = len(entries)
        total = sum(entry.size for entry in entries)
        if not count:
            raise UsageError(f"there are no {kind} in it", where=str(source))
        opening = image_archive(target, force=force) if kind == "images" else new_folder(target)
        try:
            with opening as destination, reporter.progress(target.name, total) as progress:
                deliver(entries, destination, progress)
        except OSError as error:
            raise disk.failure(error, target) from error
    return Exported(path=target, count=count, size=total)


class _Plan:
    def __init__(
        self, bundle: TarBundle | FolderBundle, lock: Lock, extents: dict[str, Extent]
    ) -> None:
        self._bundle = bundle
        self._members = bundle.members()
        self._lock = lock
        self._extents = extents

    def files(self, kind: Kind) -> list[Entry]:
        # packages are of no use without the keys that signed them, nor in one heap
        folders = ("yum/", "keys/") if kind == "packages" else (f"{kind}/",)
        if kind == "packages" and not self._lock.packages:
            return []
        return self._entries(
            {
                path: path if kind == "packages" else path.removeprefix(folders[0])
                for path in self._extents
                if path.startswith(folders)
            }
        )

    def images(self, choice: ImageChoice) -> tuple[list[Entry], int]:
        lock = self._lock
        self._refuse_unknown(choice)
        images = _chosen(lock, choice)
        platforms = lock.subject.platforms
        if choice.platform is not None:
            platforms = (choice.platform,)
            images = [
                replace(image, manifests=parts)
                for image in images
                if (parts := tuple(m for m in image.manifests if m.platform == choice.platform))
            ]
        self._check_documents(images)
        texts = oci_layout.render(images, platforms)
        made = [
            Entry.of(path, texts[path])
            for path in ("oci-layout", "index.json", "manifest.json", "signatures.json")
            if path in texts
        ]
        wanted = {d for image in images for d in image.digests | image.signed_digests}
        blobs = [blob for blob in lock.blobs if choice.everything or blob.digest in wanted]
        # indexes and manifests first, as a reader of a stream wants them
        blobs.sort(key=lambda blob: (blob.is_layer, blob.path))
        entries = self._entries({blob.path: blob.path.removeprefix(_IMAGES) for blob in blobs})
        return [*made, *entries], len(images)

    def _check_documents(self, images: Sequence[Image]) -> None:
        """Raise VerificationError unless the images are what their manifests say.

        What is missing or damaged is told where it is exported.
        """
        graphs = ImageGraphs(images, self._lock.blobs, self._lock.subject.platforms)
        faults = []
        for blob in self._lock.blobs:
            if blob.digest in graphs and blob.path in self._members:
                content = self._bundle.read(blob.path, LIMIT)
                if Digest.of(content) == blob.digest:
                    faults += graphs.check(blob.digest, content)
        if faults:
            raise VerificationError(
                "its lock is not what the images' manifests say",
                where=str(self._bundle.path),
                hint="airseed verify says all that is wrong with it",
                faults=faults,
            )

    def _refuse_unknown(self, choice: ImageChoice) -> None:
        images = self._lock.images
        for name in choice.images:
            if not _named(self._lock, name):
                known = [image.name for image in images]
                raise UsageError(
                    f"no image is called {name!r} in this bundle",
                    hint=did_you_mean(name, known) or "`airseed inspect` lists what there is",
                )
        platforms = {m.platform for image in images for m in image.manifests}
        if choice.platform is not None and choice.platform not in platforms:
            raise UsageError(
                f"no image is for {choice.platform} in this bundle",
                expected=" or ".join(sorted(map(str, platforms))),
            )

    def _entries(self, paths: dict[str, str]) -> list[Entry]:
        """Return members as entries, by the paths that they get.

        Raise IncompleteError if the bundle, being a delta, lacks some.
        """
        absent = [path for path in paths if path not in self._members or path not in self._extents]
        if not absent:
            self._check_sizes(paths)
            return [
                Entry(
                    path=path,
                    name=f"{self._bundle.path}: {member}",
                    size=self._extents[member].size,
                    digest=self._extents[member].digest,
                    open=functools.partial(self._bundle.open, member),
                )
                for member, path in paths.items()
            ]
        raise lacks(
            self._bundle,
            absent,
            f"this is a delta, which leaves out {len(absent)} of what is wanted",
            hint="put it together first: airseed bundle DELTA --base OLD -o WHOLE",
        )

    def _check_sizes(self, paths: Iterable[str]) -> None:
        """Raise VerificationError before the first byte of what fills a disk before it is wrong."""
        sizes = {path: (self._members[path].size, self._extents[path].size) for path in paths}
        faults = [
            Fault(where=path, what=f"has {found:,} bytes", expected=f"{expected:,}")
            for path, (found, expected) in sizes.items()
            if found != expected
        ]
        if faults:
            raise VerificationError(
                "the bundle is damaged",
                where=str(self._bundle.path),
                hint="airseed verify finds all that is damaged",
                faults=faults,
            )


def _chosen(lock: Lock, choice: ImageChoice) -> list[Image]:
    named = {image.name for name in choice.images for image in _named(lock, name)}
    return [
        image
        for image in lock.images
        if (choice.role is None or choice.role in image.roles)
        and (not choice.images or image.name in named)
    ]


def _named(lock: Lock, name: str) -> list[Image]:
    called = [one for one in names.called(lock, name) if isinstance(one, Image)]
    return called or [one for one in names.brought_by(lock, name) if isinstance(one, Image)]
