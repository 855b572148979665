"""The ``airseed`` command: finds its verbs when they are asked for."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import click

from builder.cli import failure
from builder.cli.console import Console
from builder.cli.verb import SETTINGS, Advised, common_options
from builder.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = (
    "init",
    "lock",
    "bundle",
    "verify",
    "inspect",
    "publish",
    "mirror",
    "serve",
    "export",
    "inventory",
    "secrets",
    "seeds",
    "changes",
    "packer",
    "kubeconfig",
    "status",
    "versions",
    "doctor",
    "find-images",
    "demo",
    "explain",
    "schema",
    "completion",
    "help",
)
"""In the order of the work, which is also the order of ``airseed --help``."""

EXIT_CODES = """\
Exit codes:
  0   success
  1   failed, or faults were found
  2   wrong use of the command line; a change that can't be done
  3   a document (cluster.yaml, a catalog, a lock) is wrong
  4   a delta is right, but nothing shows that what it leaves out is elsewhere
  5   there is something to do
  70  unexpected: a bug in airseed
  130 interrupted; whatever was fetched is kept for the next run
"""


_COMPLETION = "_AIRSEED_COMPLETE"
"""In the environment when a shell asks what may follow."""


class Root(Advised, click.Group):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(common_options())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"builder.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], VERBS) or "airseed --help lists them"
            if args[0] == "version":
                hint = "airseed --version"
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Add the exit codes, which click would re-wrap."""
        formatter.write(f"\n{EXIT_CODES}")


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 -- click's signature
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"airseed {version('airseed')}")
        ctx.exit()


@click.group(cls=Root, context_settings=SETTINGS, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def root(ctx: click.Context) -> None:
    """Turn one cluster.yaml into an offline Kubernetes cluster.

    The usual way: init, lock, bundle, then carry the bundle over the air gap and verify it there.
    `airseed demo DIR` shows all of it without any network.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line; give the exit code instead of raising."""
    console = Console()
    words = list(arguments)
    # looked for by hand: the command line may be what is wrong
    console.wants_json = "--json" in words[: words.index("--") if "--" in words else None]
    try:
        if _COMPLETION in os.environ:
            from builder.cli import bash

            bash.register()
        code = root.main(args=words, prog_name="airseed", standalone_mode=False, obj=console)
    except BaseException as error:  # noqa: BLE001 -- the one place where every end of the program is put into words
        return failure.report(error, console)
    return code if isinstance(code, int) else 0
