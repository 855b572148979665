"""``airseed completion``: print what makes the shell complete verbs, options and files."""

from __future__ import annotations

import click

from builder.cli.console import Console
from builder.cli.verb import verb


@verb(
    "completion",
    examples="""
    airseed completion bash > ~/.local/share/bash-completion/completions/airseed
    airseed completion zsh > ~/.zfunc/_airseed
    airseed completion fish > ~/.config/fish/completions/airseed.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a shell's completion script."""
    from click.shell_completion import get_completion_class

    from builder.cli import bash

    bash.register()
    writer = get_completion_class(shell)
    if writer is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    root = ctx.find_root()
    script = writer(root.command, {}, "airseed", "_AIRSEED_COMPLETE").source()
    ctx.ensure_object(Console).result(script.strip())
