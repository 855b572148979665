"""``airseed help``: show how airseed, or one of its verbs, is used."""

from __future__ import annotations

import click

from builder.cli import complete
from builder.cli.verb import all_verbs, verb


@verb(
    "help",
    examples="""
    airseed help
    airseed help bundle
    """,
)
@click.argument("name", default="", metavar="[VERB]", shell_complete=complete.offering(all_verbs))
@click.pass_context
def command(ctx: click.Context, name: str) -> None:
    """Show how a verb is used.

    The same as airseed VERB --help; without VERB, as airseed --help.
    """
    root = ctx.find_root()
    if name:
        wanted = all_verbs(ctx, name)[name]
        root = click.Context(wanted, info_name=name, parent=root, **wanted.context_settings)
    click.echo(root.get_help())
