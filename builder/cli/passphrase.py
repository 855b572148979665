"""How a signing key's passphrase is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from builder.cli.verb import existing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

passphrase_file = click.option(
    "--passphrase-file",
    type=existing(),
    metavar="FILE",
    help="Read the key's passphrase from the first line of FILE; without it a terminal is asked.",
)


def asking(file: Path | None) -> Callable[[], str] | None:
    from builder.pipeline import signature

    if file is not None:
        lines = signature.private(file).decode("utf-8", "replace").splitlines()
        return lambda: lines[0] if lines else ""
    if not sys.stdin.isatty():
        return None
    return lambda: str(
        click.prompt("Passphrase", hide_input=True, err=True, default="", show_default=False)
    )
