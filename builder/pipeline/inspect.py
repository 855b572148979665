"""What is inside a lock or a bundle, and why."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from builder.bundle.layout import DELTA_PATH
from builder.errors import UsageError, did_you_mean, ends
from builder.model.demand import ASKERS
from builder.model.reference import Reference

if TYPE_CHECKING:
    from builder.model.artifact import Content, File, Image, Package
    from builder.model.lock import Lock
    from builder.model.rpm import Nevra
    from builder.pipeline.lock_document import LockDocument

Chain: TypeAlias = tuple[str, ...]
"""Why an artifact is there, from what was asked for down to the artifact."""
_PLURALS = {
    "repodata": "repodata",
    "key": "keys",
    "manifest": "manifests",
    "file": "files",
    "signer": "signers",
}


def elsewhere(document: LockDocument) -> tuple[Content, ...]:
    """Return what a delta leaves out of its lock's contents; nothing of a lock or a whole bundle.

    Raise VerificationError or StorageError.
    """
    members = document.bundle.members() if document.bundle else {}
    if DELTA_PATH not in members:
        return ()
    return tuple(content for content in document.lock.contents if content.path not in members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    kind: str
    count: int
    size: int
    """Bytes that they take in a bundle; what several images share is counted once."""


def totals(lock: Lock) -> tuple[Total, ...]:
    sizes = {"packages": [package.size for package in lock.packages]}
    for kind, plural in _PLURALS.items():
        sizes[plural] = [file.size for file in lock.files if file.kind == kind]
    blobs = sum(blob.size for blob in lock.blobs)
    return (
        Total(kind="images", count=len(lock.images), size=blobs),
        *(Total(kind=kind, count=len(each), size=sum(each)) for kind, each in sizes.items()),
    )


def image_sizes(lock: Lock) -> dict[str, int]:
    """Return the bytes of each image by its name; what several share counts for each."""
    sizes = {blob.digest: blob.size for blob in lock.blobs}
    return {image.name: sum(map(sizes.__getitem__, image.digests)) for image in lock.images}


def why(lock: Lock, name: str) -> tuple[Chain, ...]:
    """Explain why an artifact is in the lock: the shortest chain from everyone who asks for it.

    ``name`` is a package's name or NEVRA, an image reference, or a path. Raise UsageError when
    the lock has no such artifact.
    """
    packages = [p for p in lock.packages if name in {p.nevra.name, p.name, _with_epoch(p.nevra)}]
    if packages:
        return tuple(chain for package in packages for chain in _package_chains(lock, package))
    everything: tuple[Image | File, ...] = (*lock.images, *lock.files)
    named = [
        artifact
        for artifact in everything
        if name == artifact.name or _same_image(artifact.name, name)
    ] or [artifact for artifact in everything if name in ends(artifact.name)]
    if not named:
        known = [*(package.nevra.name for package in lock.packages), *(o.name for o in everything)]
        raise UsageError(
            f"no package, image or file is called {name!r} in this lock",
            hint=did_you_mean(name, known) or "`airseed inspect` lists what there is",
        )
    return tuple((reason, artifact.name) for artifact in named for reason in artifact.needed_by)


def _with_epoch(nevra: Nevra) -> str:
    return f"{nevra.name}-{nevra.epoch}:{nevra.version}-{nevra.release}.{nevra.arch}"


def _same_image(known: str, asked: str) -> bool:
    try:
        return Reference.parse(known) == Reference.parse(asked)
    except ValueError:
        return False


def _package_chains(lock: Lock, package: Package) -> list[Chain]:
    """Walk up from a package, nearest first, until nobody in the lock asks any more."""
    by_name: dict[str, list[Package]] = {}
    for known in lock.packages:
        by_name.setdefault(known.nevra.name, []).append(known)
    chains: dict[str, Chain] = {}
    queue: deque[tuple[Package, tuple[str, ...]]] = deque([(package, (package.name,))])
    seen = {package.name}
    while queue:
        current, links = queue.popleft()
        for reason in current.needed_by:
            if current.requested and reason in ASKERS:
                # of the package kubeadm and of what kubeadm needs this tells the first
                chains.setdefault(reason, (reason, *links))
                continue
            above = [
                known
                for known in by_name.get(reason, ())
                if known.name != current.name and known.meets(current)
            ]
            if not above and reason not in chains and reason != current.nevra.name:
                chains[reason] = (reason, *links)
            for known in above:
                if known.name not in seen:
                    seen.add(known.name)
                    queue.append((known, (known.name, *links)))
    return [chains[reason] for reason in sorted(chains)]
