"""``airseed kubeconfig``: mint a kubeconfig offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.verb import Count, FilePath, as_json, cluster_argument, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.cli.console import Console

LONGEST = 3650
"""Days; as long as the CA of ``airseed secrets`` lives."""


@verb(
    "kubeconfig",
    examples="""
    airseed kubeconfig
    airseed kubeconfig cluster.yaml -o ~/.kube/config
    airseed kubeconfig --user jane --group developers --days 30 -o jane.conf
    """,
)
@cluster_argument
@click.option(
    "-o",
    "--output",
    type=FilePath(path_type=Path),
    metavar="FILE",
    help="Where it goes, at 0600 (default: admin.conf among the secrets of CLUSTER); - is standard "
    "output.",
)
@click.option("--user", metavar="NAME", help="Who it is for (default: kubernetes-admin).")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME",
    help="A group of the user's; may be repeated (default, for kubernetes-admin alone: "
    "system:masters).",
)
@click.option(
    "--days",
    type=Count(1, LONGEST),
    metavar="DAYS",
    help="How long it is valid (default: 365, or as long as the CA is valid).",
)
@click.option(
    "--server", metavar="HOST[:PORT]", help="The API server, where not what cluster.yaml says."
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    output: Path | None,
    user: str | None,
    groups: tuple[str, ...],
    days: int | None,
    server: str | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Mint a kubeconfig, offline.

    Signs a client certificate with the CA of CLUSTER (default: cluster.yaml), which airseed
    secrets made or you brought; no cluster is asked. Kubernetes can't revoke a certificate, so
    keep days few where it is not your own.
    """
    from builder.pipeline import kubeconfig
    from builder.pipeline.workspace import Workspace

    if user is not None and user != kubeconfig.USER and not groups:
        raise UsageError(
            f"--group is required for {user}",
            hint="--group system:masters makes an administrator whom no policy stops",
        )
    to_stdout = output is not None and str(output) == "-"
    if to_stdout and as_json:
        raise UsageError("--json and -o - both write to standard output")
    minted = kubeconfig.mint(
        Workspace(cluster),
        output,
        user=user or kubeconfig.USER,
        groups=groups or kubeconfig.GROUPS,
        days=days,
        server=server,
        write=not to_stdout,
        force=force,
    )
    if to_stdout:
        click.echo(minted.text, nl=False)
    elif as_json:
        console.json(
            {
                "kubeconfig": str(minted.path),
                "server": minted.server,
                "user": minted.user,
                "groups": list(minted.groups),
                "end": minted.end.isoformat(),
            }
        )
    console.info(
        f"{f'wrote {minted.path}' if minted.path else 'minted'}: {minted.user} at {minted.server}, "
        f"until {minted.end:%Y-%m-%d}"
    )
