"""``airseed seeds``: write what each node boots from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.amounts import quantity
from builder.cli.verb import as_json, catalogs, existing, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.cli.console import Console

_FEW = 3
"""New or changed nodes that are listed by name."""


@verb(
    "seeds",
    examples="""
    airseed seeds cluster.yaml
    airseed seeds cluster.yaml --node k8s06
    airseed seeds cluster.yaml --diff
    """,
)
@click.argument("cluster", type=existing(), default="cluster.yaml", metavar="[CLUSTER]")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the seeds go (default: beside CLUSTER, as seeds/, or NAME.seeds/ for NAME.yaml).",
)
@click.option(
    "--lock",
    type=existing(),
    metavar="FILE",
    help="The lock (default: beside CLUSTER, as NAME.lock).",
)
@click.option(
    "--node", "nodes", multiple=True, metavar="NAME", help="Only this node; may be repeated."
)
@click.option("--no-iso", is_flag=True, help="Write no NODE.iso beside the folders.")
@click.option(
    "--diff",
    is_flag=True,
    help="Write nothing; show what would change, secrets hidden (exit with 1 if anything would).",
)
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    output: Path | None,
    lock: Path | None,
    nodes: tuple[str, ...],
    catalogs: tuple[Path, ...],
    *,
    no_iso: bool,
    diff: bool,
    as_json: bool,
) -> int:
    """Write one cloud-init seed per node.

    Reads CLUSTER (default: cluster.yaml), its lock, and the secrets beside it. For every node
    there is a folder with user-data and meta-data (and network-config, where CLUSTER says which
    card), and NODE.iso with the same, to be attached to the machine; admit.sh lets it into a
    cluster that is up already; inventory.yaml is for Ansible; images.map has the names that
    images need in CLUSTER's registry, if it has one. They hold secrets: files are 0600,
    and a machine's seed is for that machine alone.
    """
    from builder.pipeline import seeds
    from builder.pipeline.workspace import Workspace

    workspace = Workspace(cluster, lock=lock, catalogs=catalogs)
    if diff:
        lines = list(seeds.compare(workspace, output=output, nodes=nodes, reporter=console))
        if as_json:
            console.json({"diff": lines})
        for line in () if as_json else lines:
            console.result(line)
        if not lines:
            console.info("nothing would change")
        return 1 if lines else 0
    written = seeds.write(
        workspace, output=output, nodes=nodes, images=not no_iso, reporter=console
    )
    if written.again:
        console.warn(
            f"{written.again} is the first control plane of {cluster} and is made anew: it will "
            "start a new cluster",
            hint="if the cluster is up, list another control plane before it, so that it joins",
        )
    if len(written.locked_out) == len(written.nodes):
        console.warn(
            "no seed has ssh-keys or users: nobody can log in, unless the image has an account",
            hint="machine.ssh-keys in cluster.yaml",
        )
    if as_json:
        console.json(
            {
                "seeds": str(written.folder),
                "nodes": list(written.nodes),
                "changed": list(written.changed),
                "stale": list(written.stale),
            }
        )
    else:
        count = quantity(len(written.nodes), "nodes")
        changed = [name for name in written.changed if name not in written.new]
        new = f", {_counted(written.new, 'new')}" if written.new else ""
        console.info(f"wrote {written.folder}: {count}{new}, {_counted(changed, 'changed')}")
        if written.registry:
            console.info(
                f"the machines pull from {written.registry}: "
                f"fill it first, by the names in {written.folder / 'images.map'}"
            )
        for name in written.late:
            console.info(
                f"to let {name} into a cluster that is up: "
                f"ssh CONTROL-PLANE sudo bash -s < {written.folder / name / 'admit.sh'}"
            )
    return 0


def _counted(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}" + (f" ({', '.join(names)})" if 0 < len(names) <= _FEW else "")
