"""``airseed bundle``: fetch what a lock names into one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.amounts import size
from builder.cli.verb import as_json, ca_bundle, catalogs, existing, verb

if TYPE_CHECKING:
    from builder.cli.voice import Voice


@verb(
    "bundle",
    examples="""
    airseed bundle cluster.lock
    airseed bundle cluster.yaml
    airseed bundle cluster.lock -o /srv/cluster.tar --workers 8
    """,
)
@click.argument("source", type=existing(), default="cluster.lock", metavar="[LOCK|CLUSTER]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the bundle goes (default: beside the lock, as bundle.tar; NAME.tar for NAME.lock).",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="At most so many downloads at once; fewer when a server asks for it.",
)
@catalogs
@ca_bundle
@as_json
@click.pass_obj
def command(
    voice: Voice,
    source: Path,
    output: Path | None,
    workers: int,
    catalogs: tuple[Path, ...],
    ca_bundle: Path | None,
    *,
    as_json: bool,
) -> None:
    """Fetch what a lock names into one file.

    Reads LOCK (default: cluster.lock); every byte is checked against it. Whatever interrupts it,
    the same command goes on where it stopped. Given a cluster.yaml, it locks first if there is
    no lock yet or if the lock is for something else.
    """
    from builder.pipeline import bundle

    lock = source
    if source.suffix in {".yaml", ".yml"}:
        lock = _lock(source, catalogs, ca_bundle, voice)
    result = bundle.build(lock, output, ca_bundle=ca_bundle, workers=workers, reporter=voice).result
    for outcome in result.fallbacks:
        faults = "; ".join(map(str, outcome.passed_over))
        voice.warn(f"{outcome.path}: taken from {outcome.source}, because {faults}")
    if as_json:
        voice.json(
            {
                "bundle": str(result.target),
                "size": result.size,
                "fetched": result.fetched,
                "fallbacks": [outcome.path for outcome in result.fallbacks],
            }
        )
    elif result.whole:
        voice.say(
            f"{result.target} is there already, made from this lock; "
            f"airseed verify {result.target} proves that it is whole"
        )
    else:
        voice.say(f"wrote {result.target}: {size(result.size)}, {size(result.fetched)} fetched")


def _lock(cluster: Path, catalogs: tuple[Path, ...], ca_bundle: Path | None, voice: Voice) -> Path:
    """Give the lock of a cluster.yaml; make it when it is missing or for something else."""
    from builder.pipeline import lock

    path = lock.beside(cluster)
    if path.exists() and lock.fits(cluster, path, catalogs=catalogs):
        voice.say(f"{path} fits {cluster}")
        return path
    voice.say(f"{path} {'is for something else' if path.exists() else 'is not there yet'}: locking")
    made = lock.make(
        cluster, output=path, update=(), catalogs=catalogs, ca_bundle=ca_bundle, reporter=voice
    )
    return made.path
