"""What is served: the members of one or more bundles, and the images in them by their names.

Structure is read once, at the start; a member's bytes are hashed when they are first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.oci.layout import signature_tag
from builder.serve.piece import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.artifact import Image
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.reference import Reference

_DNS = "coredns"


@dataclass(slots=True)
class ServedRepository:
    """What one repository of the registry has; several names may mean one."""

    tags: dict[str, Digest] = field(default_factory=dict)
    digests: set[Digest] = field(default_factory=set)
    """Indexes, manifests, configurations and layers that may be asked for here."""
    referrers: dict[Digest, dict[Digest, None]] = field(default_factory=dict)
    """Signatures by what they are about."""
    meanings: dict[str, dict[str, Digest]] = field(default_factory=dict)
    """Of each tag, by the repositories upstream that have it: a short name may be several's."""

    def attach(self, image: Image) -> None:
        known = self.referrers.setdefault(image.digest, {})
        known.update(dict.fromkeys(signature.digest for signature in image.signatures))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBundle:
    """One open bundle whose frame was found to be what its own lock says."""

    name: str
    """As in URLs."""
    bundle: TarBundle | FolderBundle
    lock: Lock
    layout: Layout
    modified: float


class Content:
    """Find members by path and images by name in several bundles that share one name space.

    Where two bundles have different files at one path, the first one's counts; below
    ``bundles/NAME/`` each has its own.
    """

    def __init__(
        self,
        bundles: Iterable[ServedBundle],
        *,
        prefixes: Collection[str] = (),
        when_damaged: Callable[[Piece], None] = lambda _: None,
    ) -> None:
        """Bring bundles together; images are found below ``prefixes`` as well."""
        self.bundles = tuple(bundles)
        self.files: dict[str, Piece] = {}
        self.blobs: dict[Digest, Piece] = {}
        self.pieces: list[Piece] = []
        """Every member of every bundle."""
        self.repositories: dict[str, ServedRepository] = {}
        self.clashes: dict[str, tuple[str, ...]] = {}
        """Short names with a tag that mean several images, with the repositories of those."""
        self.missing: dict[str, tuple[str, ...]] = {}
        """What a delta, by its name, lacks and no other bundle has."""
        self._prefixes = tuple(prefixes)
        for served in self.bundles:
            self._add_files(served, when_damaged)
        self._fill_deltas()
        for served in self.bundles:
            for image in served.lock.images:
                self._add_image(image)
        for path, repository in self.repositories.items():
            for tag, meanings in repository.meanings.items():
                if path in meanings or len(set(meanings.values())) == 1:
                    repository.tags[tag] = meanings.get(path) or next(iter(meanings.values()))
                else:
                    self.clashes[f"{path}:{tag}"] = tuple(meanings)

    def _add_files(self, served: ServedBundle, when_damaged: Callable[[Piece], None]) -> None:
        media_types = {blob.path: blob.media_type for blob in served.lock.blobs}
        for extent in served.layout.extents:
            piece = Piece(
                path=extent.path,
                size=extent.size,
                digest=extent.digest,
                media_type=media_types.get(extent.path, ""),
                modified=served.modified,
                bundle=served.bundle,
                when_damaged=when_damaged,
            )
            self.pieces.append(piece)
            self.files.setdefault(extent.path, piece)
            self.files[f"bundles/{served.name}/{extent.path}"] = piece
            if piece.media_type:
                self.blobs.setdefault(extent.digest, piece)

    def _fill_deltas(self) -> None:
        """Find what deltas lack in the other bundles, wherever it lies there."""
        known = {piece.digest: piece for piece in self.pieces}
        for served in self.bundles:
            missing = []
            for content in served.layout.left_out:
                piece = known.get(content.digest)
                if piece is None:
                    missing.append(content.name)
                    continue
                self.files.setdefault(content.path, piece)
                self.files[f"bundles/{served.name}/{content.path}"] = piece
            if missing:
                self.missing[served.name] = tuple(missing)

    def _add_image(self, image: Image) -> None:
        tags = {signature_tag(image.digest): each.digest for each in image.signatures[:1]}
        if tag := image.reference.tagged.tag:  # one by digest alone has a tag in manifests
            tags[tag] = image.digest
        names = names_served(image.reference)
        below = [f"{prefix}/{name}" for prefix in self._prefixes for name in names[1:]]
        for path in (*names, *below):
            repository = self.repositories.setdefault(path, ServedRepository())
            repository.digests |= image.digests | image.signed_digests
            for tag, digest in tags.items():
                # one image in two bundles: the first bundle counts; two images: neither does
                meanings = repository.meanings.setdefault(tag, {})
                meanings.setdefault(image.reference.repository, digest)
            repository.attach(image)


def names_served(reference: Reference) -> tuple[str, ...]:
    """Return the repositories that an image is found in, its own name with the host first.

    The others are what a site's registry has it under, with both spellings of coredns.
    """
    path = reference.path
    names = {reference.repository: None, path: None}
    if path.rpartition("/")[2] == _DNS:
        names |= {_DNS: None, f"{_DNS}/{_DNS}": None}
    return tuple(names)
