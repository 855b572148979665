"""``airseed changes``: say what cluster.yaml means for the cluster that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli import complete
from builder.cli.amounts import quantity
from builder.cli.verb import (
    Count,
    FilePath,
    as_json,
    ca_bundle,
    catalogs,
    cluster_argument,
    existing,
    lock_option,
    verb,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.cli.console import Console
    from builder.model.change import Change, Stage, Turn
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
    airseed changes cluster.yaml --renew 60 --write
    airseed changes cluster.yaml --from http://10.0.0.5:5000
    airseed changes cluster.yaml --results results/ --json
    airseed changes cluster.yaml --restore 20261130T010203Z-k8s01.db --write
    """,
)
@cluster_argument
@lock_option
@click.option(
    "--seeds",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the seeds are, with running.json (default: beside CLUSTER, as seeds/).",
)
@click.option("--write", is_flag=True, help="Write changes/NNN-WORDS/ with a script per machine.")
@click.option(
    "--keep-docker", is_flag=True, help="Leave docker on machines that change to containerd."
)
@click.option(
    "--renew",
    type=Count(0, 3650),
    is_flag=False,
    flag_value=RENEW,
    metavar="[DAYS]",
    help=f"Renew certificates that end within DAYS ({RENEW}); repair what has ended.",
)
@click.option(
    "--restore",
    type=existing(),
    metavar="SNAPSHOT",
    help="Begin the cluster again from a snapshot of its etcd, NAME.db.",
)
@click.option(
    "--results",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Result files of machines (NODE.json), beside those in the change's own results/.",
)
@click.option(
    "--from",
    "server",
    metavar="URL",
    help="Ask an airseed serve --boots, to which the machines post their results.",
)
@click.option(
    "--applied",
    metavar="NNN",
    shell_complete=complete.offering(complete.changes),
    help="Record that every machine is through this change, whatever they have reported.",
)
@click.option(
    "--instead",
    is_flag=True,
    help="Take the place of a change that was written and can't be finished.",
)
@catalogs
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    cluster: Path,
    lock: Path | None,
    seeds: Path | None,
    results: Path | None,
    server: str | None,
    applied: str | None,
    restore: Path | None,
    *,
    renew: int | None,
    keep_docker: bool,
    instead: bool,
    ca_bundle: Path | None,
    catalogs: tuple[Path, ...],
    write: bool,
    as_json: bool,
) -> int:
    """Say what cluster.yaml means for the cluster that runs.

    Compares CLUSTER (default: cluster.yaml) and its lock with what runs, as it was seeded and
    changed since (seeds/running.json), and shows what each machine has to go through, in which
    order, why, and what is disturbed. Nothing is asked of the machines, and nothing is written
    but by --write.

    A change that was written is known to be through by the results of its machines: in its own
    folder results/, where the playbook puts them, in a DIR, or from airseed serve --boots.

    Exits with 0 when nothing is to be done, with 5 when something is, and with 2 when it can't be
    done; the reasons are all said.
    """
    from builder.pipeline import changes
    from builder.pipeline.changes.kind import Options
    from builder.pipeline.workspace import Workspace

    workspace = Workspace(cluster, lock=lock, seeds=seeds, catalogs=catalogs)
    found = changes.find(
        workspace,
        reports={**_posted(server, ca_bundle), **_files(results)},
        applied=applied,
        instead=instead,
        options=Options(keep_docker=keep_docker, renew=renew, restore=restore),
        reporter=console,
    )
    folder = changes.write(workspace, found) if write and found.change else None
    if as_json:
        console.json(_value(found, folder))
    else:
        _show(found, folder, console)
        if folder:
            console.info(f"wrote {folder}; its README.md says how to run it")
        if found.given_up:
            console.warn(
                f"{found.given_up.id} may be under way on machines, which refuse another one",
                hint="run every script with --instead; the playbook: -e airseed_option=--instead",
            )
    return SOMETHING if found.change or found.written else 0


def _files(folder: Path | None) -> dict[str, bytes]:
    from builder.formats.result import LARGEST
    from builder.formats.text import read_content

    files = sorted(folder.glob("*.json")) if folder else []
    return {path.stem: read_content(path, largest=LARGEST) for path in files}


def _posted(url: str | None, ca_bundle: Path | None) -> dict[str, bytes]:
    if url is None:
        return {}
    from builder.pipeline import status

    boots = status.ask(url, ca_bundle=ca_bundle)
    return {name: json.dumps(dict(one.posted)).encode() for name, one in boots.heard.items()}


def _show(found: Found, folder: Path | None, console: Console) -> None:
    for remark in found.remarks:
        console.info(str(remark))
        if remark.hint:
            console.info(f"  hint: {remark.hint}")
    from builder.pipeline.changes import progress

    change, written = found.change, found.written
    if written and written.begun:
        done, count = len(written.done), len(written.nodes)
        console.info(f"{written.id} is under way: {done} of {count} machines are through")
    elif written and not folder:
        other = "" if change and change.digest == written.digest else ", for something else"
        console.info(f"{written.folder} is written{other}; no machine has said anything of it yet")
        if other:
            console.info(f"  hint: {progress.ways_on(written)}")
    elif change is None:
        end = " on machines that run" if found.remarks else ": what cluster.yaml says is what runs"
        console.info(f"nothing to do{end}")
    if change is None:
        return
    _show_stages(found, change, console)
    if not written and not folder:
        machines = quantity(len(change.nodes), "machines")
        console.info(f"{change.id}: {machines}; --write writes what they run")


def _show_stages(found: Found, change: Change, console: Console) -> None:
    states = _states(found)
    head: tuple[str, ...] = ("STAGE", "TURN", "NODE", "ROLE", "WHAT", "DISTURBANCE")
    rows: list[tuple[str, ...]] = [
        (str(at), str(turn.number), turn.node, turn.role, stage.what, turn.disturbance)
        for at, stage, turn in _turns(found, change)
    ]
    if states:
        said = {name: _said(state) for name, state in states.items()}
        for stage in change.stages:
            for old, new in stage.becomes.items():
                said[old] = said.get(new) or said.get(old) or ("not begun" if new else "-")
        head, rows = (*head, "STATE"), [(*row, said.get(row[2], "not begun")) for row in rows]
    console.table(head, rows, colors={"done": "green"})
    for name, state in states.items():
        if state["hint"]:
            console.note(f"{name}: hint: {state['hint']}")
    for at, stage in enumerate(change.stages, 1):
        console.note(f"stage {at}: {stage.reason}")


def _states(found: Found) -> dict[str, dict[str, Any]]:
    """Say how machines stand in a change that was written, as far as they said it."""
    written = found.written
    if written is None:
        return {}
    done = frozenset(written.done)
    return {
        name: {
            "through": name in done,
            "stage": int(one.stage) if one.stage.isdecimal() else None,
            "state": one.state,
            "step": one.step,
            "waitingFor": one.waiting_for,
            "message": one.message,
            "hint": one.hint,
        }
        for name, one in written.results.items()
    }


def _said(state: Mapping[str, Any]) -> str:
    if state["through"]:
        return "done"
    waits = f"waiting for {state['waitingFor']}" if state["waitingFor"] else ""
    words = waits or ", ".join(filter(None, (state["state"], state["message"])))
    return f"stage {state['stage']}: {words}"


def _turns(found: Found, change: Change) -> Iterator[tuple[int, Stage, Turn]]:
    planes = {node.name for node in found.running.control_planes}
    for at, stage in enumerate(change.stages, 1):
        for turn in stage.turns(planes, change.at_once):
            yield at, stage, turn


def _value(found: Found, folder: Path | None) -> dict[str, Any]:
    change, written = found.change, found.written
    lies = folder or (written.folder if written else None)
    return {
        "change": change.id if change else written and written.id,
        "digest": change and change.digest,
        "folder": lies and str(lies),
        "recorded": found.recorded or None,
        "running": {"cluster": found.running.cluster, "kubernetes": found.running.kubernetes},
        "stages": [
            {"plan": stage.plan, "what": stage.what, "reason": stage.reason}
            for stage in (change.stages if change else ())
        ],
        "nodes": [
            {
                "stage": at,
                "turn": turn.number,
                "node": turn.node,
                "role": turn.role,
                "what": stage.what,
                "disturbance": turn.disturbance,
            }
            for at, stage, turn in (_turns(found, change) if change else ())
        ],
        "states": _states(found),
        "remarks": [str(remark) for remark in found.remarks],
    }
