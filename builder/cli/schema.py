"""``airseed schema``: print the JSON Schema of cluster.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.verb import verb

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "schema",
    examples="""
    airseed schema > cluster.schema.json
    """,
)
@click.pass_obj
def command(console: Console) -> None:
    """Print the JSON Schema of cluster.yaml.

    Editors complete and check YAML with it. Put `# yaml-language-server:
    $schema=cluster.schema.json` at the top of cluster.yaml.
    """
    from builder.pipeline import init

    console.result(init.schema_text().rstrip())
