"""What is inside a lock or a bundle, and why."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from builder.bundle.layout import DELTA_PATH
from builder.errors import UsageError, did_you_mean
from builder.model.artifact import Package
from builder.model.demand import ASKERS
from builder.pipeline import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.model.artifact import Content
    from builder.model.lock import Lock
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
    """Explain why something is in the lock: the shortest chain from everyone who asks for it.

    Of who asks (``calico``) it is what they ask for. Raise UsageError when nothing is called so.
    """
    chains = [chain for one in names.called(lock, name) for chain in _chains(lock, one)]
    chains = chains or [
        *((package.name, name) for package in lock.packages if package.repository == name),
        *((image.name, name) for image in lock.images if image.signed_by == name),
        *(
            (*chain, name)
            for package in lock.packages
            if package.built and name in {program.name for program in package.built.inputs}
            for chain in _package_chains(lock, package)
        ),
    ]
    chains = chains or [(name, one.name) for one in names.brought_by(lock, name)]
    if not chains:
        raise UsageError(
            f"nothing in this lock is called {name!r}",
            hint=did_you_mean(name, names.every(lock)) or "`airseed inspect` lists what there is",
        )
    return tuple(chains)


def _chains(lock: Lock, one: names.Named) -> Sequence[Chain]:
    if isinstance(one, Package):
        return _package_chains(lock, one)
    return [(reason, one.name) for reason in one.needed_by]


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
