"""What all commands have in common: options, examples in their help, and the console."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from builder.cli.console import Console
from builder.errors import UsageError
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _tune(ctx: click.Context, param: click.Parameter, value: str | bool | None) -> None:  # noqa: FBT001 -- click's signature
    """Hand an option to the console, whether it stood before or after the verb."""
    console = ctx.find_object(Console)
    if console is not None and value and param.name:
        setattr(console, param.name, value)
        ctx.color = console.colored


def common_options() -> list[click.Parameter]:
    """Make the options that are understood before and after the verb alike."""
    quiet = "Print errors, warnings and results only."
    color = "When to color; auto means on a terminal, unless NO_COLOR is set."
    modes = click.Choice(["auto", "always", "never"])
    return [
        _tuning("-v", "--verbose", is_flag=True, help="Show what caused an error, too."),
        _tuning("-q", "--quiet", is_flag=True, help=quiet),
        _tuning("--color", type=modes, help=color),
    ]


def _tuning(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, is_eager=True, expose_value=False, callback=_tune, **settings)


_FEW = 5
"""Verbs that are named where an option is theirs."""


class Advised(click.Command):
    """Say of an unknown option whose it is, where it stands, or what it may have been."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)  # click takes them away
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise UsageError(
                f"there is no option {error.option_name}",
                hint=_whose(error.option_name, ctx, words),
            ) from error


class Verb(Advised):
    """Have the common options last, and show examples word for word."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(common_options())
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Write the examples; click's own epilog would be re-wrapped."""
        lines = [line.strip() for line in self.examples.strip().splitlines()]
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in lines))


def all_verbs(ctx: click.Context, *names: str) -> dict[str, click.Command]:
    """Load verbs by name, or all of them; raise UsageError for an unknown one."""
    root = cast("click.Group", ctx.find_root().command)
    found = (root.resolve_command(ctx, [name]) for name in names or root.list_commands(ctx))
    return {name: command for name, command, _ in found if name and command}


def _whose(asked: str, ctx: click.Context, words: Sequence[str]) -> str:
    """Return what an unknown option may be: one of this command's, or one that others have."""
    root = ctx.find_root()
    others = {name: _options(command, ctx) for name, command in all_verbs(ctx).items()}
    own = _options(ctx.command, ctx)
    if ctx is not root and asked in _options(root.command, ctx):
        return f"it takes no verb: airseed {asked}"
    verb = next((word for word in words if word in others), "") if ctx is root else ""
    near = _near(asked, own, others, shorts=ctx is not root)
    if near in own:
        return f"did you mean {near!r}? {ctx.command_path} --help"
    if verb and near in others[verb]:
        return f"{near} is an option of {verb}, and goes after it: airseed {verb} {near} ..."
    having = [name for name, each in others.items() if near in each]
    having[_FEW:] = ["others"] if len(having) > _FEW else []
    said = f"{near} is an option of {', '.join(having)}; " if having and len(near) > 2 else ""  # noqa: PLR2004 -- -o is many
    return f"{said}{ctx.command_path} --help"


def _near(asked: str, own: set[str], others: Mapping[str, set[str]], *, shorts: bool) -> str:
    from difflib import get_close_matches

    if not asked.startswith("--"):
        long = [name for name in own if shorts and name.startswith(f"-{asked}")]
        return long[0] if len(long) == 1 else asked
    every = {option[2:] for each in (own, *others.values()) for option in each if option[2:]}
    return next((f"--{close}" for close in get_close_matches(asked[2:], sorted(every), n=1)), "")


def _options(command: click.Command, ctx: click.Context) -> set[str]:
    return {name for param in command.get_params(ctx) for name in param.opts if name[:1] == "-"}


def verb(name: str, *, examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command out of a function; ``examples`` has one command line a line."""
    return click.command(name, cls=Verb, context_settings=SETTINGS, examples=examples)


class FilePath(click.Path):
    """Take a path whose ~ no shell has replaced, as none does in --output=~/FILE."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_at_home(value), param, ctx)


def _at_home(value: Any) -> Any:
    if not str(value).startswith("~/"):
        return value
    return os.path.expanduser(value)  # noqa: PTH111 -- it leaves the path where there is no home


class Existing(FilePath):
    """Take a path that is there; for one that is not, name the verb that makes such a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from builder import disk
        from builder.model.source import SCHEME

        path = Path(_at_home(value))
        try:
            path.lstat()
        except PermissionError as error:
            denied = disk.failure(error, path).fault
            raise UsageError(denied.what, where=denied.where, hint=denied.hint) from error
        except (OSError, ValueError) as error:
            if SCHEME.match(str(value)):
                raise UsageError(
                    "a URL is no file of this machine",
                    where=redact(str(value)),
                    hint="fetch it first (curl -LO URL), and name the file",
                ) from error
            if str(value) != "-":
                hint = _maker(path, ctx)
                raise UsageError("there is no such file", where=str(path), hint=hint) from error
        return super().convert(value, param, ctx)


class ExistingBundle(Existing):
    """Take a bundle, be it there as one file, as a folder or in parts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(_at_home(value))
        # the tar's own name stands for its parts; they are looked at when they are opened
        if (
            path.name
            and not os.path.lexists(path)
            and path.with_name(f"{path.name}.sha256").is_file()
        ):
            return path
        bundle = _named(super().convert(value, param, ctx))
        if bundle.is_fifo() or bundle.is_socket() or bundle.is_char_device():
            raise UsageError(
                "is neither a file nor a folder",
                where=str(path),
                hint="save what comes through it in a file first",
            )
        if not bundle.name:
            raise UsageError(
                "this is the root of the file system", where=str(path), expected="a folder in it"
            )
        return bundle


class Count(click.IntRange):
    """Take a number between two, and say so in words."""

    name = "whole number"

    def _describe_range(self) -> str:
        return f"{self.min} to {self.max}"


class OutputFile(FilePath):
    """Take a path that is to be written; what lies beside it is named after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from builder import disk

        path = _named(cast("Path", super().convert(value, param, ctx)))
        disk.writable(path.parent)  # what fills the file may take an hour
        return path


def _named(path: Path) -> Path:
    """Return a path that has a name, which . and .. have not."""
    return path if path.name not in {"", ".."} else path.resolve()


_SIZE = re.compile(r"([1-9][0-9]{0,17})(?:([KMGT])(i?B)?)?", re.IGNORECASE)
_SMALLEST_PART = 1 << 20


def part_size(text: str) -> int:
    """Read bytes as coreutils do: ``700M`` is 700 times 1024 squared, ``4GB`` four billion."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a size (like 4GB, 700M or 1000000000).")
    step = 1000 if (match[3] or "").upper() == "B" else 1024
    size = int(match[1])
    if match[2]:
        size *= step ** ("KMGT".index(match[2].upper()) + 1)
    if size < _SMALLEST_PART:
        raise click.BadParameter(f"{text!r} is too small (at least {_SMALLEST_PART:,} bytes).")
    return size


def _maker(path: Path, ctx: click.Context | None) -> str:
    """Return the command that makes a file of this kind, as far as its name tells."""
    folder = path.parent
    usual = {
        "cluster.yaml": f"airseed init {path}",
        "cluster.lock": f"airseed lock {folder / 'cluster.yaml'}",
        "bundle.tar": f"airseed bundle {folder / 'cluster.lock'}",
    }.get(path.name)
    if usual:
        return f"{usual} makes it; or give the name of yours"
    return f"{ctx.command_path if ctx else 'airseed'} --help"


def existing(*, folder: bool = False, dash: bool = False) -> click.Path:
    """Take a file that must exist; with ``folder`` a folder, with ``dash`` standard input, too."""
    return Existing(exists=True, dir_okay=folder, allow_dash=dash, path_type=Path)


def destination() -> click.Path:
    return OutputFile(dir_okay=False, path_type=Path)


def existing_bundle() -> click.Path:
    return ExistingBundle(exists=True, dir_okay=True, path_type=Path)


def together(
    *options: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make one decorator of several options, in the order of the help."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


cluster_argument = click.argument(
    "cluster", type=existing(), default="cluster.yaml", metavar="[CLUSTER]"
)
lock_option = click.option(
    "--lock",
    type=existing(),
    metavar="FILE",
    help="The lock (default: beside CLUSTER, as NAME.lock).",
)
catalogs = click.option(
    "--catalog",
    "catalogs",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Add or override files of the built-in catalog (mirrors/); may be repeated.",
)
ca_bundle = click.option(
    "--ca-bundle",
    type=existing(),
    metavar="FILE",
    help="Trust the authorities in this PEM file, too: a proxy's or a registry's own.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
