"""``airseed bundle``: fetch what a lock names into one file."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import size
from builder.cli.passphrase import asking, passphrase_file
from builder.cli.verb import (
    Count,
    as_json,
    ca_bundle,
    catalogs,
    destination,
    existing,
    existing_bundle,
    part_size,
    verb,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.bundle import Built
    from builder.pipeline.lock_document import LockDocument
    from builder.pipeline.workspace import Workspace


@verb(
    "bundle",
    examples="""
    airseed bundle cluster.lock
    airseed bundle cluster.yaml
    airseed bundle cluster.lock -o /srv/cluster.tar --workers 8
    airseed bundle cluster.lock --base ../march/bundle.tar
    airseed bundle cluster.lock --split 4GB
    airseed bundle cluster.lock --have inventory.json
    airseed bundle delta.tar --base ../march/bundle.tar -o bundle.tar
    airseed bundle cluster.lock --sign secrets/signing-key.asc
    """,
)
@click.argument(
    "source", type=existing_bundle(), default="cluster.lock", metavar="[LOCK|CLUSTER|BUNDLE]"
)
@click.option(
    "-o",
    "--output",
    type=destination(),
    metavar="FILE",
    help="Where the bundle goes (default: beside the lock, as bundle.tar, a delta as delta.tar; "
    "NAME.tar and NAME.delta.tar for NAME.lock).",
)
@click.option(
    "--workers",
    type=Count(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="At most this many downloads at once; fewer when a server asks for it.",
)
@click.option(
    "--base",
    "bases",
    type=existing_bundle(),
    multiple=True,
    metavar="BUNDLE",
    help="Reuse what an earlier bundle has, checked by digest; may be repeated.",
)
@click.option(
    "--have",
    "haves",
    type=existing(),
    multiple=True,
    metavar="FILE",
    help="Make a delta: leave out what this inventory has (airseed inventory); may be repeated.",
)
@click.option(
    "--split",
    type=part_size,
    metavar="SIZE",
    help="Write parts of this size (4GB, 700M) that `cat` joins, and their checksums.",
)
@click.option(
    "--sign",
    type=existing(),
    metavar="KEYFILE",
    help="Sign with this OpenPGP secret key; the signature goes beside the bundle, as FILE.asc. "
    "Whoever verifies it needs the public key (in secrets/: signing-key.pub.asc).",
)
@passphrase_file
@catalogs
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    source: Path,
    *,
    output: Path | None,
    workers: int,
    bases: tuple[Path, ...],
    haves: tuple[Path, ...],
    split: int | None,
    sign: Path | None,
    passphrase_file: Path | None,
    catalogs: tuple[Path, ...],
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Fetch what a lock names into one file.

    Reads LOCK (default: cluster.lock); every byte is checked against it. Whatever interrupts it,
    the same command goes on where it stopped. Given a cluster.yaml, it locks first if there is
    no lock yet or if the lock is for something else. Given a bundle, it makes the whole bundle of
    the lock inside: of a delta, together with --base.
    --base saves fetching and makes a whole bundle; --have saves carrying and makes a delta.
    """
    from builder.pipeline import bundle, paths

    # before anything is fetched: a wrong passphrase should not cost an hour
    signing = _signing(sign, passphrase_file) if sign else None
    if haves and paths.is_cluster(source):
        from builder.formats import inventory

        inventory.digests(haves)  # locking takes long, and what is not an inventory is said now
    with lock_of(source, catalogs, ca_bundle, console) as document:
        built = bundle.build(
            document,
            output,
            ca_bundle=ca_bundle,
            workers=workers,
            bases=bases,
            haves=haves,
            split=split or 0,
            reporter=console,
        )
    signed = signing(built) if signing else None
    for warning in bundle.fallbacks(built.result):
        console.warn(warning)
    if as_json:
        console.json(_value(built, signed))
    else:
        _tell(built, haves, signed, console)


def _value(built: Built, signed: tuple[Path, str] | None) -> dict[str, Any]:
    result = built.result
    return {
        "bundle": str(result.target),
        "parts": [str(part) for part in result.parts],
        "size": result.size,
        "alreadyThere": result.whole,
        "fetched": result.fetched,
        "reused": result.reused,
        "leftOut": sum(content.size for content in built.left_out),
        "fallbacks": [outcome.path for outcome in result.fallbacks],
        "signature": str(signed[0]) if signed else None,
    }


def _tell(
    built: Built, haves: Sequence[Path], signed: tuple[Path, str] | None, console: Console
) -> None:
    result = built.result
    name = f"{result.target} in {len(result.parts)} parts" if result.parts else str(result.target)
    if result.whole:
        console.info(
            f"{name} is there already, made from this lock; "
            f"airseed verify {result.target} proves that it is whole"
        )
    else:
        reused = f", {size(result.reused)} reused" if result.reused else ""
        console.info(f"wrote {name}: {size(result.size)}, {size(result.fetched)} fetched{reused}")
    if built.left_out:
        missing = size(sum(content.size for content in built.left_out))
        console.info(f"it is a delta: {len(built.left_out)} artifacts of {missing} are left out")
    elif haves:
        console.info("the other side has none of it: this is the whole bundle")
    if signed:
        console.info("wrote {}: signed by {}".format(*signed))


def _signing(key: Path, passphrase_file: Path | None) -> Callable[[Built], tuple[Path, str]]:
    """Read the key that signs; give what makes a signature, and tells its place and the key."""
    from builder.pipeline import signature

    signer = signature.load_signer(key, asking(passphrase_file))
    return lambda built: (signature.sign(built.result.target, built.sums, signer), str(signer.key))


def lock_of(
    source: Path, catalogs: tuple[Path, ...], ca_bundle: Path | None, console: Console
) -> AbstractContextManager[LockDocument]:
    """Open a lock, a bundle for the lock in it, or a cluster.yaml for its lock."""
    from builder.pipeline import paths

    if not paths.is_cluster(source):
        from builder.pipeline.lock_document import open_lock

        return open_lock(source, unknown=True)
    from builder.pipeline.workspace import Workspace

    return nullcontext(_lock(Workspace(source, catalogs=catalogs), ca_bundle, console))


def _lock(workspace: Workspace, ca_bundle: Path | None, console: Console) -> LockDocument:
    """Return the lock of a cluster; make it when it is missing or for something else."""
    from builder.pipeline import lock
    from builder.pipeline.fit import fit

    cluster, path = workspace.path, workspace.lock_path
    state = fit(workspace)
    if state == "fits":
        console.info(f"{path} fits {cluster}")
        return workspace.locked
    reason = {
        "missing": "does not exist yet",
        "incomparable": "was made by another version of airseed",
        "stale": f"does not fit {cluster} (or --catalog is not as it was when it was locked)",
    }[state]
    console.info(f"{path} {reason}: locking")
    lock.make(workspace, ca_bundle=ca_bundle, reporter=console)
    return workspace.locked
