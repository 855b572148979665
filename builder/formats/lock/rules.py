"""What must hold in a lock that no artifact can tell by itself."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.formats.signers import path_of as signer_path
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.reference import Reference
from builder.redact import quoted

if TYPE_CHECKING:
    from builder.formats.reading import Reading
    from builder.model.artifact import File, Image, Package
    from builder.model.digest import Digest
    from builder.model.lock import Lock


def check(lock: Lock, reading: Reading) -> None:
    """Check what no single artifact can: names are unique and point at each other."""
    for what, names in (
        ("image", [image.name for image in lock.images]),
        ("repository", [repository.name for repository in lock.repositories]),
        ("path", [content.path for content in lock.contents]),
    ):
        for name in sorted(name for name, times in Counter(names).items() if times > 1):
            reading.wrong(name, f"the {what} appears twice")
    _check_images(lock, reading)
    _check_sources(lock, reading)
    _check_hops(lock, reading)
    repositories = {repository.name: repository for repository in lock.repositories}
    keys = {file.fingerprint for file in lock.files if file.kind == "key"}
    for package in lock.packages:
        if package.repository not in repositories:
            reading.wrong(package.name, f"the repository {package.repository!r} is not in the lock")
        for key in package.keys:
            if key not in keys:
                reading.wrong(package.name, f"the key {key} is not in the lock")
    for file in lock.files:
        folder = re.match(r"yum/([^/]+)/repodata/[^/]+$", file.path)
        if file.kind == "repodata" and (not folder or folder[1] not in repositories):
            reading.wrong(file.path, "no repository of the lock has this repodata")


def _check_hops(lock: Lock, reading: Reading) -> None:
    hops = lock.subject.hops
    known = {*hops}
    if hops and hops[-1] != lock.subject.kubernetes:
        reading.wrong("cluster.hops", f"they do not end with {lock.subject.kubernetes}")
    those: tuple[Image | Package, ...] = (*lock.images, *lock.packages)
    for artifact in those:
        if not known.issuperset(artifact.hops):
            reading.wrong(artifact.name, "it is for a release that the lock's hops do not name")


def _check_sources(lock: Lock, reading: Reading) -> None:
    for image in lock.images:
        for source in image.sources:
            try:
                Reference.parse(source)
            except ValueError as error:
                reading.wrong(image.name, f"a source of it: {error}")
    contents: tuple[Package | File, ...] = (*lock.packages, *lock.files)
    for content in contents:
        for source in content.sources:
            if not _is_sound(source):
                reading.wrong(content.path, f"{quoted(source, 80)} is not a source")


def _is_sound(source: str) -> bool:
    """Tell whether a source can be taken apart: brackets, for an address, are all that may not."""
    if "[" not in source and "]" not in source:
        return True
    try:
        urlsplit(source)
    except ValueError:
        return False
    return True


def _check_images(lock: Lock, reading: Reading) -> None:
    signers = {file.path for file in lock.files if file.kind == "signer"}
    for image in lock.images:
        pinned, platforms = image.reference.digest, {part.platform for part in image.manifests}
        if pinned is not None and pinned != image.digest:
            reading.wrong(image.name, f"the digest is not its name's: {image.digest}")
        for platform in lock.subject.platforms:
            if platform not in platforms:
                reading.wrong(image.name, f"it has nothing for {platform}, which nodes are")
        if image.signed_by and signer_path(image.signed_by) not in signers:
            reading.wrong(image.name, f"the signer {image.signed_by!r} is not in the lock")
    _check_blobs(lock, reading)


def _check_blobs(lock: Lock, reading: Reading) -> None:
    blobs = {blob.digest: blob for blob in lock.blobs}
    used: set[Digest] = set()
    for image in lock.images:
        tops = {image.digest, *(manifest.digest for manifest in image.manifests)}
        inner = {d for m in image.manifests for d in (m.config, *m.layers)}
        inner |= image.signed_digests
        used |= tops | inner
        # a difference from keys() would look through all of them, for each image
        for digest in sorted(one for one in tops | inner if one not in blobs):
            reading.wrong(image.name, f"its blob {digest} is not in the lock")
        for digest in sorted(tops & blobs.keys()):
            if blobs[digest].media_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
                reading.wrong(image.name, f"its manifest {digest} has the type of something else")
        top = blobs.get(image.digest)
        if top is not None and (top.size, top.media_type) != (image.size, image.media_type):
            reading.wrong(image.name, "its size or media type is not that of its blob")
        for signature in image.signatures:
            own = blobs.get(signature.digest)
            if own and (own.size != signature.size or own.media_type not in MANIFEST_TYPES):
                reading.wrong(image.name, "a signature's size or media type is not its blob's")
    for digest in sorted(blobs.keys() - used):
        reading.wrong(str(digest), "the blob does not belong to any image")
