"""``airseed changes``: say what cluster.yaml means for the cluster that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import quantity
from builder.cli.verb import as_json, catalogs, existing, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.cli.console import Console
    from builder.model.change import Change
    from builder.pipeline.changes import Found

RENEW = 90
"""Days; kubeadm's certificates live for 365."""
SOMETHING = 5
"""The exit code where there is something to do."""


@verb(
    "changes",
    examples="""
    airseed changes cluster.yaml
    airseed changes cluster.yaml --write
    airseed changes cluster.yaml --json
    airseed changes cluster.yaml --renew 60 --write
    """,
)
@click.argument("cluster", type=existing(), default="cluster.yaml", metavar="[CLUSTER]")
@click.option(
    "--lock",
    type=existing(),
    metavar="FILE",
    help="The lock (default: beside CLUSTER, as NAME.lock).",
)
@click.option(
    "--seeds",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the seeds are, with running.json (default: beside CLUSTER, as seeds/).",
)
@click.option(
    "--keep-docker", is_flag=True, help="Leave docker on machines that change to containerd."
)
@click.option(
    "--renew",
    type=click.IntRange(min=0),
    is_flag=False,
    flag_value=RENEW,
    metavar="[DAYS]",
    help=f"Renew certificates that end within DAYS ({RENEW}); repair what has ended.",
)
@click.option("--write", is_flag=True, help="Write changes/NNN-WORDS/ with a script per machine.")
@catalogs
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    lock: Path | None,
    seeds: Path | None,
    renew: int | None,
    catalogs: tuple[Path, ...],
    *,
    keep_docker: bool,
    write: bool,
    as_json: bool,
) -> int:
    """Say what cluster.yaml means for the cluster that runs.

    Compares CLUSTER (default: cluster.yaml) and its lock with what runs, as it was seeded and
    changed since (seeds/running.json), and shows what each machine has to go through, in which
    order, why, and what is disturbed. Nothing is asked of the machines, and nothing is written.

    Exits with 0 when nothing is to be done, with 5 when something is, and with 2 when it can't be
    done; the reasons are all said.
    """
    from builder.pipeline import changes
    from builder.pipeline.changes.kind import Options
    from builder.pipeline.workspace import Workspace

    workspace = Workspace(cluster, lock=lock, catalogs=catalogs)
    options = Options(keep_docker=keep_docker, renew=renew)
    found = changes.find(workspace, seeds=seeds, options=options, reporter=console)
    folder = changes.write(workspace, found) if write and found.change else None
    if as_json:
        console.json(_value(found, folder))
    else:
        _show(found, console)
        if folder:
            console.info(f"wrote {folder}; its README.md says how to run it")
    return SOMETHING if found.change else 0


def _show(found: Found, console: Console) -> None:
    for remark in found.remarks:
        console.info(str(remark))
    change = found.change
    if change is None:
        console.info("nothing to do: what cluster.yaml says is what runs")
        return
    console.table(("STAGE", "TURN", "NODE", "ROLE", "WHAT", "DISTURBANCE"), _rows(found, change))
    for number, stage in enumerate(change.stages, 1):
        console.note(f"stage {number}: {stage.reason}")
    console.info(f"{change.id}: {quantity(len(change.nodes), 'machines')}")


def _rows(found: Found, change: Change) -> Iterator[tuple[str, ...]]:
    roles = {node.name: node.role for node in found.running.nodes}
    planes = {name for name, role in roles.items() if role == "control-plane"}
    for number, stage in enumerate(change.stages, 1):
        for turn, name in stage.turns(planes, change.at_once):
            role = roles.get(name, "worker")
            felt = stage.disturbance.get(role, "nothing")
            yield str(number), str(turn), name, role, stage.what, felt


def _value(found: Found, folder: Path | None) -> dict[str, Any]:
    change = found.change
    return {
        "change": change and change.id,
        "digest": change and change.digest,
        "folder": folder and str(folder),
        "running": {"cluster": found.running.cluster, "kubernetes": found.running.kubernetes},
        "stages": [
            {"plan": stage.plan, "what": stage.what, "reason": stage.reason}
            for stage in (change.stages if change else ())
        ],
        "nodes": [
            dict(zip(("stage", "turn", "node", "role", "what", "disturbance"), row, strict=True))
            for row in (_rows(found, change) if change else ())
        ],
        "remarks": [str(remark) for remark in found.remarks],
    }
