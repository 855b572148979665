"""``bundle``: fetch what a lock names into one file, or go on where an earlier run stopped."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder import disk
from builder.bundle import layout as bundle_layout
from builder.bundle.delta import without
from builder.bundle.existing import finished
from builder.bundle.layout import LOCK_PATH, README_PATH
from builder.bundle.split import target_of
from builder.errors import UsageError
from builder.formats import lock as lock_format
from builder.formats.text import decode, read_content
from builder.oci import layout as oci_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.bundle.download import Outcome
    from builder.bundle.existing import Result
    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.model.artifact import Content
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.report import Reporter

NAME = "bundle.tar"
DELTA = "delta.tar"
_USUAL = "cluster"
_UNSAFE = "AIRSEED_BENCH_WITHOUT_SYNC"
"""Set by `make bench` alone: the programs that it compares with do not wait for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Tell what a run made."""

    lock: Lock
    result: Result
    sums: bytes
    """Its SHA256SUMS, which is what a signature covers."""
    left_out: tuple[Content, ...] = ()
    """What the other side has, so that this lacks it."""


def beside(lock: Path) -> Path:
    """Give a bundle's usual place: bundle.tar beside cluster.lock, NAME.tar beside NAME.lock."""
    return lock.with_name(NAME if lock.stem == _USUAL else f"{lock.stem}.tar")


def delta_beside(lock: Path) -> Path:
    """Give a delta's usual place: delta.tar beside cluster.lock, NAME.delta.tar otherwise."""
    return lock.with_name(DELTA if lock.stem == _USUAL else f"{lock.stem}.{DELTA}")


def arrange(lock: Lock, content: bytes) -> Layout:
    """Lay out the bundle of a lock, whose text is ``content``."""
    texts = oci_layout.render(lock.images, lock.subject.platforms)
    return bundle_layout.plan(
        lock, content, {f"images/{path}": text for path, text in texts.items()}
    )


def build(
    lock_path: Path,
    target: Path | None = None,
    *,
    reporter: Reporter,
    ca_bundle: Path | None = None,
    workers: int = 6,
    bases: Sequence[Path] = (),
    haves: Sequence[Path] = (),
    split: int = 0,
) -> Built:
    """Make the bundle of a lock.

    ``lock_path`` may be a bundle, whose lock and bytes are taken; with a delta and what it was
    made against as base this gives the whole bundle. ``bases`` are earlier bundles whose bytes
    are used where they are right, in order; a bundle that has the target's name already is one
    of them. ``haves`` are inventories, of what the bundle leaves out then. ``split`` is the bytes
    of a part.

    Raises:
        DocumentError: the lock or an inventory is wrong.
        UsageError: something else than a bundle has the target's name, such as the lock, or there
            would be too many parts.
        StorageError: the disk does not take it, or a file beside the lock is missing.
        UnavailableError: artifacts could not be had; all others are kept for the next run.
        VerificationError: RPMs are not signed by the keys that the lock names.
    """
    target = _target(lock_path, target, delta=bool(haves))
    held: set[Digest] = set()
    if haves:
        from builder.formats import inventory  # noqa: PLC0415 -- deltas alone need it

        held = inventory.digests(haves)
    with ExitStack() as opened:
        content, bundle = _lock_text(lock_path, opened)
        lock = lock_format.parse(decode(content, str(lock_path)), str(lock_path))
        layout = without(arrange(lock, content), held)
        result = finished(layout, target, split=split)
        if result is None:
            _check_place(target, split=split)
            # all that follows takes longer to load than what has been done so far
            from builder.bundle.transfer import Policy  # noqa: PLC0415
            from builder.bundle.writer import write  # noqa: PLC0415
            from builder.pipeline import supply  # noqa: PLC0415

            supplier = supply.Supplier.open(
                lock, lock_path, bundle, opened, ca_bundle=ca_bundle, pool=workers, say=reporter.say
            )
            result = write(
                layout,
                target,
                supplier.supply,
                reporter,
                near=supply.near(lock, ((bundle,) if bundle else ()), bases, target, opened),
                policy=Policy(workers=workers),
                split=split,
                sync=_UNSAFE not in os.environ,
                finishing=supply.SideFiles(lock_path, target, layout).write,
            )
    return Built(lock=lock, result=result, sums=layout.sums, left_out=layout.left_out)


def fallbacks(result: Result) -> list[str]:
    """Say which sources were passed over: once for what one host did to many artifacts."""
    groups: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in result.fallbacks:
        why = tuple((_host(fault.where), fault.what) for fault in outcome.passed_over)
        groups.setdefault((_host(_source(outcome)), *why), []).append(outcome)
    return [_told(group) for group in groups.values()]


def _told(group: Sequence[Outcome]) -> str:
    """Tell of artifacts that came from one host, because of one reason."""
    first = group[0]
    if len(group) == 1:
        faults = "; ".join(map(str, first.passed_over))
        return f"{first.path}: taken from {_source(first)}, because {faults}"
    faults = "; ".join(f"{_host(one.where)}: {one.what}" for one in first.passed_over)
    host = _host(_source(first))
    return f"{len(group)} artifacts, such as {first.path}: taken from {host}, because {faults}"


def _source(outcome: Outcome) -> str:
    return outcome.source or "an earlier run"


def _host(source: str) -> str:
    """Give the host in a source's name: a URL, HOST/REPOSITORY@DIGEST, or BUNDLE: MEMBER."""
    if "://" in source:
        return urlsplit(source).netloc
    return source.partition("/" if "@sha256:" in source else ": ")[0]


def _target(lock_path: Path, target: Path | None, *, delta: bool) -> Path:
    """Say where the bundle goes; raise UsageError where it may not."""
    usual = delta_beside(lock_path) if delta else beside(lock_path)
    if target is None and (lock_path.is_dir() or not _is_lock(lock_path)):
        raise UsageError(
            "where should the bundle that is made of this go?",
            where=str(lock_path),
            hint="say it with -o FILE",
        )
    target = target or usual
    if target.is_dir():
        target = target / usual.name
    if os.path.realpath(target) == os.path.realpath(lock_path):
        raise UsageError("the bundle would overwrite the lock", where=str(target))
    return target


def _check_place(target: Path, *, split: int) -> None:
    """Raise UsageError unless the bundle's name is free, or an earlier bundle's."""
    if target_of(target) not in {None, target}:
        raise UsageError("is a part of another bundle", where=str(target))
    if not split:  # parts leave the name itself alone
        magic = README_PATH.encode() + b"\0"
        disk.replaceable(target, magic=magic, what="an earlier bundle")


def _is_lock(path: Path) -> bool:
    """Tell a lock, which begins with a brace, from a bundle; an error is for who reads it."""
    if target_of(path) is not None:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(README_PATH)) != README_PATH.encode()
    except OSError:
        return True


def _lock_text(path: Path, opened: ExitStack) -> tuple[bytes, TarBundle | FolderBundle | None]:
    """Read a lock, or that of a bundle, which stays open."""
    if not path.is_dir() and _is_lock(path):
        return read_content(path), None
    from builder.bundle.layout import LOCK_LIMIT  # noqa: PLC0415 -- slow to load, rarely used
    from builder.bundle.reader import open_bundle  # noqa: PLC0415

    bundle = open_bundle(path)
    opened.enter_context(bundle)
    return bundle.read(LOCK_PATH, LOCK_LIMIT), bundle
