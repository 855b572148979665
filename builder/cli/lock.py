"""``airseed lock``: write down every artifact of a cluster by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli import complete, found_images
from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, ca_bundle, catalogs, cluster_argument, destination, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console


@verb(
    "lock",
    examples="""
    airseed lock cluster.yaml
    airseed lock cluster.yaml --update containerd.io
    airseed lock cluster.yaml --check
    """,
)
@cluster_argument
@click.option(
    "-o",
    "--output",
    type=destination(),
    metavar="FILE",
    help="Where the lock goes (default: beside CLUSTER, as NAME.lock).",
)
@click.option(
    "--update",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.offering(complete.artifacts),
    help="Move this image, package or file (or what somebody under NEEDED BY asks for) to what "
    "upstream has now, and nothing else; may be repeated.",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; say whether upstream moved (then exit with 1)."
)
@catalogs
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    output: Path | None,
    update: tuple[str, ...],
    catalogs: tuple[Path, ...],
    ca_bundle: Path | None,
    *,
    check: bool,
    as_json: bool,
) -> int:
    """Write down every artifact by digest.

    Reads CLUSTER (default: cluster.yaml) and asks the upstreams for metadata only. What an
    existing lock names stays as it is where it still fits; --update moves things.
    """
    from dataclasses import asdict

    from builder.pipeline import inspect, lock
    from builder.pipeline.workspace import Workspace

    workspace = Workspace(cluster, lock=output, catalogs=catalogs)
    if check:
        if update:
            raise UsageError("--check writes nothing, so there is nothing to --update")
        changes = lock.check(workspace, ca_bundle=ca_bundle, reporter=console)
        if as_json:
            console.json({"changes": [asdict(change) for change in changes]})
        elif changes:
            console.result("\n".join(map(str, changes)))
        else:
            console.info("upstream has what the lock has")
        return 1 if changes else 0
    result = lock.make(workspace, update=update, ca_bundle=ca_bundle, reporter=console)
    if as_json:
        changed = [asdict(change) for change in result.changes]
        console.json(
            {"lock": str(workspace.lock_path), "changes": changed}
            | {"manifests": found_images.value(result.manifests)}
        )
    else:
        found_images.tell(result.manifests, console)
    for change in () if as_json else result.changes:
        console.result(str(change))
    totals = ", ".join(
        quantity(total.count, total.kind) for total in inspect.totals(result.lock) if total.count
    )
    did = "nothing changed in" if result.same else "wrote"
    console.info(f"{did} {workspace.lock_path}: {totals}; {size(result.lock.size)} to bundle")
    return 0
