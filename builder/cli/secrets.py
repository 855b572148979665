"""``airseed secrets``: make and keep tokens, certificate key, CA and signing key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli import complete
from builder.cli.amounts import quantity
from builder.cli.verb import as_json, cluster_argument, verb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.cli.console import Console
    from builder.pipeline.secrets import SecretState, SecretStates

SOON = 400
"""Days; kubeadm's own certificates live for a year, and none may outlive its CA."""
_MACHINES = "on the machines"
_MOST = 10
"""Machines that are shown; the first to end come first."""


@verb(
    "secrets",
    examples="""
    airseed secrets
    airseed secrets production/cluster.yaml --json
    airseed secrets --rotate token --rotate certificate-key
    """,
)
@cluster_argument
@click.option(
    "--rotate",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.offering(complete.secrets),
    help="Make this anew: token, certificate-key or phone-home-token; may be repeated.",
)
@as_json
@click.pass_obj
def command(console: Console, cluster: Path, rotate: tuple[str, ...], *, as_json: bool) -> None:
    """Make and keep what lets nodes into their cluster.

    Makes token, certificate key, a token for seed.phone-home, CA and a key that signs packages and
    bundles in the folder secrets/ beside CLUSTER (default: cluster.yaml; for NAME.yaml it is
    NAME.secrets/), where they are missing; what is there is checked and kept. Shows what there is
    and when it ends, never a secret itself; of machines' certificates as the results of changes
    have it. Keep a backup of this folder: whoever has it controls the cluster. One file in it is
    for others: signing-key.pub.asc, with which they check what signing-key.asc signed.
    """
    from builder.cli import status
    from builder.pipeline import paths, secrets
    from builder.pipeline.workspace import Workspace

    result = secrets.make(Workspace(cluster), rotate=rotate)
    if as_json:
        console.json(_value(result))
    else:
        _show(result, console)
    for secret in result.states:
        if secret.end is None:
            continue
        left = secrets.remaining(secret.end)
        if secret.state == _MACHINES and left < status.SOON:
            console.warn(
                f"{secret.name} ends in {left} days" if left >= 0 else f"{secret.name} has ended",
                hint=status.RENEW,
            )
        elif secret.state != _MACHINES and left < SOON:
            console.warn(
                f"the {secret.name} ends in {left} days",
                hint="no certificate that it signs can outlive it",
            )
    _report(result, console)
    made = any(secret.state == "made" for secret in result.states)
    for folder in paths.left_behind(cluster) if made else ():
        console.warn(
            f"{folder} is beside it, and no cluster.yaml of that name: what was made is another "
            "cluster's",
            hint=f"if {cluster} was renamed: rm -r {result.folder}; mv {folder} {result.folder}; "
            "rename lock, lock.d, seeds and changes in the same way",
        )


def _show(result: SecretStates, console: Console) -> None:
    console.table(
        ("SECRET", "FILE", "STATE", "ENDS"),
        [
            (secret.name, str(secret.path or "-"), secret.state, _ends(secret, result.first))
            for secret in _shown(result.states)
        ],
    )
    if result.digest is not None:
        console.prose(
            f"\nhash of the authority's public key, which joining nodes check: {result.digest}"
        )


def _shown(states: Iterable[SecretState]) -> list[SecretState]:
    """Leave out all but those machines whose certificates end first."""
    machines = sorted(
        (one for one in states if one.state == _MACHINES), key=lambda one: str(one.end)
    )
    return [*(one for one in states if one.state != _MACHINES), *machines[:_MOST]]


def _report(result: SecretStates, console: Console) -> None:
    made = [secret.name for secret in result.states if secret.state in {"made", "rotated"}]
    console.info(f"made {', '.join(made)} in {result.folder}" if made else "nothing was missing")
    for secret in result.states:
        if secret.state == "replaced":
            console.info(f"replaced the {secret.name}: {secret.path} did not match the signing key")
    rotated = [secret for secret in result.states if secret.state == "rotated"]
    if rotated:
        console.info("nodes get it from their seeds: render them again")
    if any(secret.window is not None for secret in rotated):
        console.info(
            "for a cluster that is up, run a node's admit.sh: airseed seeds --node NAME prints the "
            "command"
        )
    if any(secret.window is None for secret in rotated):
        console.info(
            "nodes that are up send the old one until /etc/airseed/phone-home.curl has the new one"
        )


def _ends(secret: SecretState, first: str) -> str:
    from builder.pipeline.secrets import remaining

    if secret.window is not None:
        return f"{quantity(secret.window, 'hours')} after kubeadm init on {first}"
    if secret.end is not None:
        return f"{secret.end:%Y-%m-%d}, in {remaining(secret.end)} days"
    return "never" if secret.path is not None else "-"


def _value(result: SecretStates) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "caCertHash": result.digest,
        "firstNode": result.first,
        "secrets": [
            {
                "name": secret.name,
                "file": str(secret.path) if secret.path else None,
                "state": secret.state,
                "end": secret.end.isoformat() if secret.end else None,
                "hoursAfterInit": secret.window,
            }
            for secret in result.states
        ],
    }
