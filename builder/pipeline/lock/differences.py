"""What differs between two locks, artifact by artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.ordered import Ordered

if TYPE_CHECKING:
    from builder.model.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDifference(Ordered):
    """Hold how one artifact differs; None stands for one that is not there."""

    kind: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.kind} {self.name} {self.after}"
        if self.after is None:
            return f"- {self.kind} {self.name} {self.before}"
        return f"~ {self.kind} {self.name} {self.before} -> {self.after}"


def compare(before: Lock | None, after: Lock) -> tuple[LockDifference, ...]:
    """Return what came, went and changed, sorted by kind and name."""
    old = _entries(before) if before is not None else {}
    new = _entries(after)
    return tuple(
        LockDifference(
            kind=kind, name=name, before=old.get((kind, name)), after=new.get((kind, name))
        )
        for kind, name in sorted(old.keys() | new.keys())
        if old.get((kind, name)) != new.get((kind, name))
    )


def _entries(lock: Lock) -> dict[tuple[str, str], str]:
    """Return what people know each artifact by, and its version.

    Blobs and repodata follow from images and packages; naming them would tell nothing more.
    """
    entries = {("image", image.name): str(image.digest) for image in lock.images}
    versions: dict[tuple[str, str], list[str]] = {}
    for package in lock.packages:
        build = f"{package.nevra.evr}.{package.nevra.arch} ({package.digest.short})"
        versions.setdefault(("rpm", package.nevra.name), []).append(build)
    entries |= {key: " ".join(sorted(builds)) for key, builds in versions.items()}
    for file in lock.files:
        if file.kind != "repodata":
            entries[file.kind, file.path] = str(file.digest)
    return entries
