"""``airseed secrets``: make and keep token, certificate key, CA and signing key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli.verb import as_json, existing, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.secrets import Held, Holding

SOON = 400
"""Days; kubeadm's own certificates live for a year, and none may outlive its CA."""


@verb(
    "secrets",
    examples="""
    airseed secrets
    airseed secrets production/cluster.yaml --json
    airseed secrets --rotate token --rotate certificate-key
    """,
)
@click.argument("cluster", type=existing(), default="cluster.yaml", metavar="[CLUSTER]")
@click.option(
    "--rotate",
    multiple=True,
    metavar="NAME",
    help="Make this anew: token or certificate-key; may be repeated.",
)
@as_json
@click.pass_obj
def command(console: Console, cluster: Path, rotate: tuple[str, ...], *, as_json: bool) -> None:
    """Make and keep what lets nodes into their cluster.

    Makes token, certificate key, CA and a key that signs packages and bundles in the folder
    secrets/ beside CLUSTER (default: cluster.yaml; for NAME.yaml it is NAME.secrets/), where they
    are missing; what is there is checked and kept. Shows what there is and when it ends, never a
    secret itself. Keep a backup of this folder: whoever has it controls the cluster. One
    file in it is for others: signing-key.pub.asc, with which they check what signing-key.asc
    signed.
    """
    from builder.pipeline import secrets
    from builder.pipeline.workspace import Workspace

    held = secrets.make(Workspace(cluster), rotate=rotate)
    if as_json:
        console.json(_value(held))
    else:
        _show(held, console)
    for holding in held.holdings:
        if holding.end is not None and (left := secrets.remaining(holding.end)) < SOON:
            console.warn(
                f"the {holding.name} ends in {left} days",
                hint="no certificate that it signs can outlive it",
            )
    _report(held, console)


def _show(held: Held, console: Console) -> None:
    console.table(
        ("SECRET", "FILE", "STATE", "ENDS"),
        [
            (holding.name, str(holding.path or "-"), holding.state, _ends(holding, held.first))
            for holding in held.holdings
        ],
    )
    if held.digest is not None:
        console.result(f"\njoiners pin {held.digest}")


def _report(held: Held, console: Console) -> None:
    """Report what this run did and what follows from it."""
    made = [holding.name for holding in held.holdings if holding.state in {"made", "rotated"}]
    console.info(f"made {', '.join(made)} in {held.folder}" if made else "nothing was missing")
    for holding in held.holdings:
        if holding.state == "replaced":
            console.info(
                f"replaced the {holding.name}: {holding.path} did not match the signing key"
            )
    if not any(holding.state == "rotated" for holding in held.holdings):
        return
    console.info(
        "nodes get it from their seeds: render them again. For a cluster that is up, run a "
        "node's admit.sh: airseed seeds --node NAME prints the command"
    )


def _ends(holding: Holding, first: str) -> str:
    from builder.pipeline.secrets import remaining

    if holding.window is not None:
        return f"{_hours(holding.window)} after kubeadm init on {first}"
    if holding.end is not None:
        return f"{holding.end:%Y-%m-%d}, in {remaining(holding.end)} days"
    return "never" if holding.path is not None else "-"


def _hours(count: int) -> str:
    return "1 hour" if count == 1 else f"{count} hours"


def _value(held: Held) -> dict[str, Any]:
    return {
        "folder": str(held.folder),
        "caCertHash": held.digest,
        "firstNode": held.first,
        "secrets": [
            {
                "name": holding.name,
                "file": str(holding.path) if holding.path else None,
                "state": holding.state,
                "end": holding.end.isoformat() if holding.end else None,
                "hoursAfterInit": holding.window,
            }
            for holding in held.holdings
        ],
    }
