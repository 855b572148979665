"""``airseed status``: show how first boot stands on many nodes."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from builder.cli.amounts import quantity
from builder.cli.verb import as_json, ca_bundle, existing, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.model.result import Result

SOON = 60
"""Days before a certificate's end from which on it is said."""
RENEW = "airseed changes --renew renews what ends soon, and repairs what has ended"
_DAY = 86400
_COLORS = {"failed": "red", "unknown": "yellow", "done": "green"}


@verb(
    "status",
    examples="""
    airseed status results/*.json
    airseed status consoles/k8s01.log consoles/k8s02.log
    airseed status results/*.json --json
    airseed status --from http://10.0.0.5:5000
    """,
)
@click.argument("files", type=existing(folder=True), nargs=-1, metavar="[FILE...]")
@click.option(
    "--from",
    "server",
    metavar="URL",
    help="Ask an airseed serve --boots, to which the nodes post their results.",
)
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    files: tuple[Path, ...],
    *,
    server: str | None,
    ca_bundle: Path | None,
    as_json: bool,
) -> int:
    """Show how first boot stands on many nodes.

    Each FILE is a node's /var/lib/airseed/result.json (or what it posted home), the text of its
    console or journal, or a folder of such results (NODE.json). What wants attention comes first;
    a node whose FILE tells nothing is unknown. A console that does not name its node is called
    after its file (k8s01.log), or after its folder (k8s01/console.log).

    Collect results with scp NODE:/var/lib/airseed/result.json results/NODE.json; or let every node
    post its own to airseed serve --boots (seed.phone-home in cluster.yaml), and ask that with
    --from. Where it wants a password, docker's config.json is looked into.

    Of a machine that went through a change, that change and its stage are named.

    Warns of certificates that end within 60 days, as the nodes recorded them.

    Exits with 1 when a node failed or is in trouble, else with 3 when one is unknown.
    """
    from builder.errors import DocumentError, UsageError
    from builder.pipeline import status

    if bool(files) == bool(server):
        raise UsageError(
            "files and --from are two ways: give one of them" if files else "no FILE is given",
            expected="FILE... or --from URL",
            hint="airseed status --help",
        )
    results, faults = (
        (status.ask(server, ca_bundle=ca_bundle).results, []) if server else status.read(files)
    )
    if as_json:
        console.json([asdict(result) for result in results])
    else:
        _show(results, console)
        _warn_of_ends(results, console)
    for fault in faults:
        console.warn(str(fault), hint=fault.hint)
    if any(result.state == "failed" or result.trouble for result in results):
        return 1
    unknown = any(result.state == "unknown" for result in results)
    return DocumentError.exit_code if unknown else 0


def _show(results: list[Result], console: Console) -> None:
    console.table(
        ("NODE", "ROLE", "STATE", "STEP", "SECONDS", "WHAT"),
        [
            (
                result.node,
                result.role or "-",
                result.state,
                result.step or "-",
                "-" if result.seconds is None else str(result.seconds),
                _what(result),
            )
            for result in results
        ],
        colors=_COLORS,
    )
    for result in results:
        for hint in filter(None, (result.hint, result.trouble_hint)):
            console.note(f"{result.node}: hint: {hint}")


def _warn_of_ends(results: list[Result], console: Console) -> None:
    for result in results:
        if result.first_end is None:
            continue
        name, end = result.first_end
        days = int(end - time.time()) // _DAY
        if days < SOON:
            left = f"ends in {quantity(days, 'days')}" if days >= 0 else "has ended"
            console.warn(
                f"{result.node}: the certificate of {name} {left}",
                hint=RENEW,
            )


def _what(result: Result) -> str:
    change = f"{result.change}, stage {result.stage}" if result.change else ""
    return ": ".join(filter(None, (change, _said(result))))


def _said(result: Result) -> str:
    if result.trouble and result.state != "failed":
        return f"trouble: {result.trouble}"
    if result.state == "failed":
        return f"{result.message} (exit code {result.exit_code}, attempt {result.attempt})"
    if result.state == "unknown":
        return result.message
    if result.state == "done" and result.first_end:
        return f"certificates until {datetime.fromtimestamp(result.first_end[1], UTC):%Y-%m-%d}"
    waits = f"waiting for {result.waiting_for}" if result.waiting_for else ""
    if result.state in {"running", "waiting"}:
        since = f"for {result.since} s" if waits and result.since is not None else ""
        said = f"last: {result.last_said}" if result.last_said else ""
        return "; ".join(filter(None, (" ".join(filter(None, (waits, since))), said)))
    return waits
