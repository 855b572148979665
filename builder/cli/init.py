"""``airseed init``: write a commented cluster.yaml to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.verb import FilePath, verb

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "init",
    examples="""
    airseed init
    airseed init --example ha production
    """,
)
@click.argument("target", type=FilePath(), default="cluster.yaml", metavar="[FILE]")
@click.option(
    "--example",
    type=click.Choice(["single", "ha", "hardened"]),
    default="single",
    show_default=True,
    help="One node that is everything, three control planes and two workers, or the same with what "
    "a security review asks for.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there already.")
@click.pass_obj
def command(console: Console, target: str, example: str, *, force: bool) -> None:
    """Write a commented cluster.yaml.

    FILE is cluster.yaml unless you say otherwise; a folder, or a new name without a suffix, gets a
    cluster.yaml. The JSON Schema is put beside it for editors. Change the values to your own, then
    lock.
    """
    from builder.pipeline import init

    path = Path(target)
    # "new/" is meant as a folder, be it there or not, and "new" as git, cargo and helm take it
    if target.endswith("/") or not (path.suffix or os.path.lexists(path)):
        path /= init.NAME
    written = init.write(example, path, force=force)
    console.info(f"wrote {written}; next: airseed lock {written}")
