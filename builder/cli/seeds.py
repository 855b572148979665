"""``airseed seeds``: write what each node boots from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import complete
from builder.cli.amounts import quantity
from builder.cli.passphrase import asking, passphrase_file
from builder.cli.verb import (
    FilePath,
    as_json,
    catalogs,
    cluster_argument,
    existing,
    lock_option,
    verb,
)
from builder.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.cli.console import Console
    from builder.pipeline.seed_diff import FileDifference
    from builder.pipeline.seeds import WrittenSeeds

_FEW = 3
"""New or changed nodes that are listed by name."""


@verb(
    "seeds",
    examples="""
    airseed seeds cluster.yaml
    airseed seeds cluster.yaml --node k8s06
    airseed seeds cluster.yaml --diff
    airseed seeds cluster.yaml --node k8s06 --full
    airseed seeds cluster.yaml --sign secrets/signing-key.asc
    airseed seeds cluster.yaml --check --key secrets/signing-key.pub.asc
    """,
)
@cluster_argument
@click.option(
    "-o",
    "--output",
    type=FilePath(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the seeds go (default: beside CLUSTER, as seeds/, or NAME.seeds/ for NAME.yaml).",
)
@lock_option
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.offering(complete.nodes),
    help="Only this node; may be repeated.",
)
@click.option("--no-iso", is_flag=True, help="Write no NODE.iso beside the folders.")
@click.option(
    "--diff",
    is_flag=True,
    help="Write nothing; say what would change, secrets hidden (exit with 1 if anything would).",
)
@click.option("--full", is_flag=True, help="As --diff, but show every line, as diff -u does.")
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; compare what was written with its SHA256SUMS (exit with 1 if it differs). "
    "`airseed doctor CLUSTER --site` checks what registry and seed.url have.",
)
@click.option(
    "--sign",
    type=existing(),
    metavar="KEYFILE",
    help="Sign SHA256SUMS with this OpenPGP secret key; the signature is SHA256SUMS.asc.",
)
@passphrase_file
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE",
    help="With --check: one of these OpenPGP keys must have signed SHA256SUMS; may be repeated.",
)
@click.option(
    "--not-booted",
    is_flag=True,
    help="No machine has booted yet: forget what earlier seeds said of them (running.json).",
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
    full: bool,
    check: bool,
    sign: Path | None,
    not_booted: bool,
    passphrase_file: Path | None,
    keys: tuple[str, ...],
    as_json: bool,
) -> int:
    """Write one cloud-init seed per node.

    Reads CLUSTER (default: cluster.yaml), its lock, and the secrets beside it. For every node
    there is a folder with user-data and meta-data (and network-config, where CLUSTER says which
    card), and NODE.iso with the same, to be attached to the machine; admit.sh lets it into a
    cluster that is up already; inventory.yaml is for Ansible; images.map has the names that
    images need in CLUSTER's registry, if it has one; running.json keeps what each machine was
    seeded with, for `airseed changes`. They hold secrets: files are 0600,
    and a machine's seed is for that machine alone. SHA256SUMS lists all of it and holds no
    secret: its digest, which is printed, is what to review and to compare.
    """
    from builder.pipeline import seeds
    from builder.pipeline.workspace import Workspace

    workspace = Workspace(cluster, lock=lock, seeds=output, catalogs=catalogs)
    diff = diff or full
    _refuse_together(nodes, diff=diff, check=check, sign=sign, keys=keys)
    if check:
        return _check(workspace.seeds, keys, console, as_json=as_json)
    if diff:
        changes = seeds.compare(workspace, nodes=nodes, reporter=console)
        return _diff(changes, console, full=full, as_json=as_json)
    signer = None
    if sign is not None:
        from builder.pipeline import signature

        signer = signature.load_signer(sign, asking(passphrase_file))
    written = seeds.write(
        workspace,
        nodes=nodes,
        images=not no_iso,
        signer=signer,
        not_booted=not_booted,
        reporter=console,
    )
    _report(written, cluster, catalogs, console, as_json=as_json)
    return 0


def _diff(changes: Sequence[FileDifference], console: Console, *, full: bool, as_json: bool) -> int:
    from builder.cli import seed_diff

    if as_json:
        console.json(seed_diff.value(changes))
    elif full:
        for change in changes:
            for line in change.diff():
                console.result(line)
    elif changes:
        seed_diff.show(changes, console)
    if not changes:
        console.info("nothing would change")
    return 1 if changes else 0


def _report(
    written: WrittenSeeds,
    cluster: Path,
    catalogs: Sequence[Path],
    console: Console,
    *,
    as_json: bool,
) -> None:
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
                "digest": str(written.digest),
                "signature": str(written.signature) if written.signature else None,
            }
        )
    else:
        count = quantity(len(written.nodes), "nodes")
        changed = [name for name in written.changed if name not in written.new]
        new = f", {_counted(written.new, 'new')}" if written.new else ""
        console.info(f"wrote {written.folder}: {count}{new}, {_counted(changed, 'changed')}")
        console.info(f"{written.folder / 'SHA256SUMS'} lists them: {written.digest}")
        if written.signature:
            console.info(f"{written.signature} is its signature")
        if written.registry:
            given = "".join(f" --catalog {catalog}" for catalog in catalogs)
            console.info(
                f"the machines pull from {written.registry}: fill it first (airseed publish), "
                f"and see whether it has all: airseed doctor {cluster} --site{given}"
            )
        for name in written.late:
            console.info(
                f"to let {name} into a cluster that is up: "
                f"ssh CONTROL-PLANE sudo bash -s < {written.folder / name / 'admit.sh'}"
            )


def _refuse_together(
    nodes: Sequence[str], *, diff: bool, check: bool, sign: Path | None, keys: Sequence[str]
) -> None:
    if diff + check + (sign is not None) > 1:
        raise UsageError("only one of --diff, --check and --sign is possible at a time")
    if check and nodes:
        raise UsageError("--check looks at all nodes, so it can't be given with --node")
    if keys and not check:
        raise UsageError("--key goes with --check", hint="--sign KEYFILE is what signs")


def _check(folder: Path, keys: Sequence[str], console: Console, *, as_json: bool) -> int:
    from builder.pipeline import seed_sums
    from builder.pipeline.signature import pins

    pinned = pins(keys)
    if pinned.fingerprints:
        raise UsageError(
            "a fingerprint is not enough here",
            where=pinned.fingerprints[0],
            expected="the file that has the key",
        )
    verdict = seed_sums.check(folder, pinned.keys)
    if as_json:
        console.json(
            {
                "seeds": str(folder),
                "right": not verdict.faults,
                "digest": str(verdict.digest),
                "signedBy": verdict.signed_by,
                "faults": [asdict(fault) for fault in verdict.faults],
            }
        )
        return 1 if verdict.faults else 0
    if verdict.faults:
        raise VerificationError(
            quantity(len(verdict.faults), "faults"), where=str(folder), faults=verdict.faults
        )
    console.info(f"{folder} is as it was written: {quantity(verdict.count, 'files')}")
    if verdict.signed_by:
        console.info(f"it is signed by {verdict.signed_by}")
    console.result(str(verdict.digest))
    return 0


def _counted(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}" + (f" ({', '.join(names)})" if 0 < len(names) <= _FEW else "")
