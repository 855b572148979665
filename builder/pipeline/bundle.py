"""``bundle``: fetch what a lock names into one file, or go on where an earlier run stopped."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder import disk
from builder.bundle.delta import without
from builder.bundle.existing import finished, journal_path, part_path
from builder.bundle.layout import README_PATH
from builder.bundle.split import target_of
from builder.errors import UsageError
from builder.pipeline import paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.bundle.download import Outcome
    from builder.bundle.existing import BundleResult
    from builder.model.artifact import Content
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.pipeline.lock_document import LockDocument
    from builder.report import Reporter

_UNSAFE = "AIRSEED_BENCH_WITHOUT_SYNC"
"""Set by `make bench` alone: the programs that it compares with do not wait for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    lock: Lock
    result: BundleResult
    sums: bytes
    """Its SHA256SUMS, which is what a signature covers."""
    left_out: tuple[Content, ...] = ()
    """What the other side has, so that this lacks it."""


def build(
    document: LockDocument,
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

    The bytes of a bundle that the lock is in are taken, too; with a delta and what it was made
    against as base this gives the whole bundle. ``bases`` are earlier bundles whose bytes
    are used where they are right, in order; a bundle that has the target's name already is one
    of them. ``haves`` list what the bundle leaves out then; ``split`` is the bytes of a part.

    Raises:
        DocumentError: the lock or an inventory is wrong.
        UsageError: something else than a bundle has the target's name, such as the lock, or there
            would be too many parts.
        StorageError: the disk does not take it, or a file beside the lock is missing.
        UnavailableError: artifacts could not be had; all others are kept for the next run.
        VerificationError: RPMs are not signed by the keys that the lock names, or not what the
            metadata said that it was locked from.
    """
    target = _target(document, target, delta=bool(haves))
    layout = without(document.layout, _held(haves))
    result = finished(layout, target, split=split)
    if result is None:
        _check_place(target, split=split)
        if document.bundle is None:
            document.check_images()
        # what follows takes longer to load than what was done
        from builder.bundle.policy import Policy  # noqa: PLC0415
        from builder.bundle.writer import write  # noqa: PLC0415
        from builder.pipeline import artifact_sources  # noqa: PLC0415

        with ExitStack() as opened:
            near = artifact_sources.near(document, bases, target, opened)
            lacking = sum(extent.digest not in near for extent in layout.fetched)
            if lacking and document.bundle is not None:
                what = f"{document.path} lacks {lacking} of the lock's artifacts, to be fetched"
                reporter.info(f"{what}; --base takes what an earlier bundle has")
            supplier = artifact_sources.Supplier(
                document, opened, ca_bundle=ca_bundle, pool=workers, info=reporter.info
            )
            result = write(
                layout,
                target,
                supplier.supply,
                reporter,
                near=near,
                policy=Policy(workers=workers),
                split=split,
                sync=_UNSAFE not in os.environ,
                finishing=artifact_sources.finishing(supplier, document.path, target, layout),
            )
    return Built(lock=document.lock, result=result, sums=layout.sums, left_out=layout.left_out)


def _held(haves: Sequence[Path]) -> set[Digest]:
    if not haves:
        return set()
    from builder.formats import inventory  # noqa: PLC0415 -- deltas alone need it

    return inventory.digests(haves)


def fallbacks(result: BundleResult) -> list[str]:
    """Describe the sources that were passed over, those of one host in one line."""
    groups: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in result.fallbacks:
        why = tuple((_host(fault.where), fault.what) for fault in outcome.passed_over)
        groups.setdefault((_host(_source(outcome)), *why), []).append(outcome)
    return [_described(group) for group in groups.values()]


def _described(group: Sequence[Outcome]) -> str:
    first = group[0]
    if len(group) == 1:
        faults = "; ".join(map(str, first.passed_over))
        return f"{first.path}: taken from {_source(first)}, because {faults}"
    faults = "; ".join(f"{_host(fault.where)}: {fault.what}" for fault in first.passed_over)
    host = _host(_source(first))
    return f"{len(group)} artifacts, such as {first.path}: taken from {host}, because {faults}"


def _source(outcome: Outcome) -> str:
    return outcome.source or "an earlier run"


def _host(source: str) -> str:
    """Return the host in a source's name: a URL, HOST/REPOSITORY@DIGEST, or BUNDLE: MEMBER."""
    if "://" in source:
        return urlsplit(source).netloc
    return source.partition("/" if "@sha256:" in source else ": ")[0]


def _target(document: LockDocument, target: Path | None, *, delta: bool) -> Path:
    """Return where the bundle goes; raise UsageError where it may not."""
    source = document.path
    usual = paths.delta(source) if delta else paths.bundle(source)
    if target is None and document.bundle is not None and not delta:
        raise UsageError(
            "a bundle that is made from this one needs a name of its own",
            where=str(source),
            hint="give one with -o FILE",
        )
    target = target or usual
    if target.is_dir():
        target = target / usual.name
    if os.path.realpath(target) == os.path.realpath(source):
        raise UsageError(
            "the bundle would overwrite what it is made from",
            where=str(target),
            hint="give another name with -o FILE",
        )
    return target


def _check_place(target: Path, *, split: int) -> None:
    """Raise UsageError unless its names are free, or an earlier bundle's, before all is fetched."""
    from builder.pipeline import provenance  # noqa: PLC0415 -- slow to load

    if target_of(target) not in {None, target}:
        raise UsageError("is a part of another bundle", where=str(target))
    if not split:  # parts leave the name itself alone
        magic = README_PATH.encode() + b"\0"
        disk.replaceable(target, magic=magic, what="an earlier bundle")
    for path in (part_path(target), journal_path(target), provenance.beside(target)):
        disk.replaceable(path)
