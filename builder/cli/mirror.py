"""``airseed mirror``: fill a site's registry from the upstreams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli.bundle import lock_of
from builder.cli.publish import dry_run, registry_of, registry_options, report, way_in
from builder.cli.verb import as_json, catalogs, existing, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console


@verb(
    "mirror",
    examples="""
    airseed mirror cluster.lock --registry registry.example.com/k8s
    airseed mirror cluster.yaml --registry 10.0.0.5:5000 --plain-http --dry-run
    """,
)
@click.argument("source", type=existing(), default="cluster.lock", metavar="[LOCK|CLUSTER]")
@registry_options
@dry_run
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console,
    /,
    source: Path,
    *,
    registry: str,
    dry_run: bool,
    catalogs: tuple[Path, ...],
    as_json: bool,
    **access: Any,
) -> None:
    """Fill a site's registry from the upstreams.

    For a machine that reaches both sides: no bundle is made between. Every byte is checked
    against LOCK (default: cluster.lock) on its way; what the registry has is not fetched. Given a
    cluster.yaml, it locks first if there is no lock yet or if the lock is for something else.
    """
    from builder.pipeline.mirror import mirror

    target = registry_of(registry)
    way = way_in(target, registry, **access)
    with lock_of(source, catalogs, way.ca_bundle, console) as document:
        done = mirror(document, target, reporter=console, way=way, dry_run=dry_run)
    report(done, console, as_json=as_json, dry_run=dry_run)
