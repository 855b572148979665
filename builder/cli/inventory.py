"""``airseed inventory``: write down what the other side of the gap has already."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import complete
from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, ca_bundle, destination, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "inventory",
    examples="""
    airseed inventory registry.example.com:5000/k8s /srv/yum
    airseed inventory bundle.tar -o inventory.json
    airseed inventory registry.example.com --repository k8s/pause
    """,
)
@click.argument(
    "places",
    nargs=-1,
    required=True,
    metavar="PLACE...",
    shell_complete=complete.offering(complete.nothing, files=True),
)
@click.option(
    "-o",
    "--output",
    type=destination(),
    default="inventory.json",
    show_default=True,
    metavar="FILE",
    help="Where the inventory goes.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="NAME",
    help="Look at this repository, in a registry that lists none; may be repeated.",
)
@click.option(
    "--plain-http",
    is_flag=True,
    help="Ask registries over plain http; those on loopback are anyway.",
)
@click.option("--force", is_flag=True, help="Replace an inventory that is there already.")
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    places: tuple[str, ...],
    *,
    output: Path,
    repositories: tuple[str, ...],
    plain_http: bool,
    force: bool,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Write down what the other side has.

    PLACE is a registry (HOST[:PORT][/PREFIX]), a folder with RPMs below it, or a bundle. Every
    blob is asked for and every file hashed. Carry the file to where bundles are made: there
    `airseed bundle --have FILE` leaves out what it lists.
    """
    from builder.pipeline import inventory

    there = [
        name
        for name in places
        if name and (Path(name).exists() or Path(f"{name}.sha256").is_file())  # a bundle's parts
    ]
    folders = [Path(name) for name in there]
    registries = [name for name in places if name not in there]
    for name in registries:
        host = name.partition("/")[0]
        is_file = name.endswith((".tar", ".sha256"))  # which no domain does
        if is_file or (host != "localhost" and not {".", ":"} & {*host}):
            raise UsageError(
                "there is no such file or folder",
                where=name,
                hint="a registry's name has a dot or a port in it: HOST[:PORT][/PREFIX]",
            )
    holdings = inventory.take(
        output=output,
        registries=registries,
        repositories=repositories,
        folders=folders,
        ca_bundle=ca_bundle,
        force=force,
        plain_http={name.partition("/")[0] for name in registries} if plain_http else (),
        reporter=console,
    )
    stored = {holding.digest: holding for holding in holdings if holding.kind != "image"}
    total = sum(holding.size for holding in stored.values())
    counts = Counter[str](holding.kind for holding in stored.values())
    if as_json:
        console.json(
            {"inventory": str(output), "size": total, "counts": dict(sorted(counts.items()))}
        )
        return
    nouns = {"blob": "blobs", "rpm": "RPMs", "file": "files"}
    parts = [quantity(counts[kind], word) for kind, word in nouns.items() if counts[kind]]
    console.info(f"wrote {output}: {', '.join(parts) or 'nothing'}, {size(total)}")
