"""``airseed demo``: run every step on an embedded upstream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.verb import FilePath, verb

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "demo",
    examples="""
    airseed demo
    airseed demo /tmp/airseed-demo
    """,
)
@click.argument(
    "folder", type=FilePath(file_okay=False, path_type=Path), default="demo", metavar="[DIR]"
)
@click.pass_obj
def command(console: Console, folder: Path) -> None:
    """Run every step on an embedded upstream.

    Leaves cluster.yaml, cluster.lock, a verified bundle.tar and the nodes' seeds in DIR (default:
    demo). Everything comes from an upstream that airseed starts on this machine: a registry,
    package repositories and file servers with made-up content under real names. Needs no network.
    """
    from builder.pipeline import demo

    demo.run(folder, console)
