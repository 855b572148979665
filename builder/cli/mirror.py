"""``airseed mirror``: fill a site's registry and yum server from the upstreams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli import outcome
from builder.cli import yum as yum_side
from builder.cli.bundle import lock_of
from builder.cli.publish import (
    access_settings,
    asked,
    dry_run,
    registry_of,
    registry_options,
    report,
)
from builder.cli.verb import as_json, catalogs, existing, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.yum import YumTarget


@verb(
    "mirror",
    examples="""
    airseed mirror cluster.lock --registry registry.example.com/k8s
    airseed mirror cluster.yaml --registry 10.0.0.5:5000 --plain-http --dry-run
    airseed mirror cluster.lock --registry 10.0.0.5:5000/k8s --yum /srv/www/k8s
    """,
)
@click.argument("source", type=existing(), default="cluster.lock", metavar="[LOCK|CLUSTER]")
@registry_options
@yum_side.options
@outcome.options
@dry_run
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console,
    /,
    source: Path,
    *,
    registry: str | None,
    yum: YumTarget | None,
    mapping: Path | None,
    prune: bool,
    yes: bool,
    dry_run: bool,
    catalogs: tuple[Path, ...],
    as_json: bool,
    **access: Any,
) -> None:
    """Fill a site's registry and yum server from the upstreams.

    For a machine that reaches both sides: no bundle is made between. Every byte is checked
    against LOCK (default: cluster.lock) on its way; what is there already is not fetched. Given a
    cluster.yaml, it locks first if there is no lock yet or if the lock is for something else.
    """
    from builder.pipeline.mirror import mirror

    target = registry_of(registry)
    agree = outcome.agreement(
        console, registry=target is not None, prune=prune, yes=yes, dry_run=dry_run
    )
    settings = access_settings(*asked(target, registry, yum), **access)
    images = files = None
    with lock_of(source, catalogs, settings.ca_bundle, console) as document:
        if yum is not None:
            from builder.pipeline.yum import mirror_yum

            files = mirror_yum(document, yum, reporter=console, settings=settings, dry_run=dry_run)
        if target is not None:
            images = mirror(
                document, target, reporter=console, settings=settings, dry_run=dry_run, prune=agree
            )
            outcome.finish(images, console, mapping=mapping, dry_run=dry_run)
    report(images, files, console, as_json=as_json, dry_run=dry_run)
