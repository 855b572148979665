"""What ``publish`` and ``mirror`` leave beside images: the mapping's file, and no stale names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import quantity
from builder.cli.verb import OutputFile, together
from builder.errors import UsageError, few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.cli.console import Console
    from builder.pipeline.publish import Published

_FEW = 3
_HEAD = b'{\n  "mapping": '


class _Mapping(OutputFile):
    """Take the place of a mapping, and of nothing else that is there, before anything moves."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from builder import disk

        path = super().convert(value, param, ctx)
        disk.replaceable(path, magic=_HEAD, what="an earlier mapping")
        return path


options = together(
    click.option(
        "--mapping",
        type=_Mapping(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write which name each image has in the registry, and its digests (JSON).",
    ),
    click.option(
        "--prune",
        is_flag=True,
        help="Remove what was published there before and is no longer wanted, and nothing else.",
    ),
    click.option("--yes", is_flag=True, help="Remove it without asking."),
)


def agreement(
    console: Console, *, registry: bool, prune: bool, yes: bool, dry_run: bool
) -> Callable[[Sequence[Any]], bool] | None:
    """Return what shows names that would go, and asks; raise UsageError if nobody could answer."""
    if yes and not prune:
        raise UsageError("--yes needs --prune")
    if not prune or not registry:
        return None
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError(
            "there is no terminal to ask whether names may be removed",
            hint="--dry-run --prune shows them, --yes removes them without asking",
        )

    def agree(stale: Sequence[Any]) -> bool:
        for one in stale:
            console.info(f"no lock has {one.name} any more ({one.digest})")
        return yes or click.confirm(f"Remove {quantity(len(stale), 'names')}?", err=True)

    return agree


def finish(done: Published, console: Console, *, mapping: Path | None, dry_run: bool) -> None:
    """Write the mapping, and say what was removed and what was not."""
    if mapping is not None and not dry_run:
        from builder import disk

        disk.put(mapping, done.mapping)
    if dry_run:
        for one in done.stale:
            console.info(f"would be removed: {one.name} ({one.digest})")
    kept: dict[str, list[str]] = {}
    for gone in done.pruned:
        if gone.kept:
            kept.setdefault(gone.kept, []).append(gone.name)
    for why, names in kept.items():
        what = "is" if len(names) == 1 else "are"
        console.warn(f"{few(names, _FEW)} {what} still there: {why}")
    removed = [gone for gone in done.pruned if not gone.kept]
    if removed:
        console.info(f"removed {quantity(len(removed), 'names')}")
