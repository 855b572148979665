"""``changes``: say what cluster.yaml means for the cluster that runs, and write what does it.

What runs is compared with what is wanted, as values of one class; every difference is taken by a
kind of change, refused with a reason, or said to be no matter of machines that run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.model.change import Change, Findings, Running, Stage
from builder.model.digest import Digest
from builder.pipeline import paths, rendering
from builder.pipeline import running as record
from builder.pipeline.changes import configure, limits, renew, runtime, upgrade
from builder.pipeline.changes import folder as folders
from builder.pipeline.changes.kind import Options, Wanted, compare, flat, taken

if TYPE_CHECKING:
    from pathlib import Path

    from builder.errors import Fault
    from builder.pipeline.workspace import Workspace
    from builder.render.plan import Plan
    from builder.report import Reporter

KINDS = (renew, runtime, upgrade, configure)
"""In the order in which their stages are gone through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hold what cluster.yaml means for what runs."""

    running: Running
    change: Change | None
    """None where nothing is to be done."""
    plans: tuple[Plan, ...] = ()
    """What renders the state after each stage."""
    remarks: tuple[Fault, ...]


def find(
    workspace: Workspace, *, seeds: Path | None = None, options: Options, reporter: Reporter
) -> Found:
    """Compare cluster.yaml with what runs; nothing is written.

    Raises:
        UsageError: nothing is known of what runs, or what is wanted can't be done; has all reasons.
        DocumentError, StorageError, VerificationError: as of :func:`builder.pipeline.rendering`.
    """
    folder = seeds or workspace.seeds
    workspace.warn(reporter)  # what is wrong with cluster.yaml comes first
    running = record.read(folder)
    if running is None:
        raise UsageError(
            "nothing is known of what runs: there is no such file",
            where=str(folder / record.NAME),
            hint="`airseed seeds`, with cluster.yaml and lock as the machines were seeded, "
            "writes it",
        )
    plan = rendering.prepare(workspace)
    wanted = Wanted(workspace=workspace, plan=plan, state=record.state(plan), options=options)
    found = _findings(running, wanted)
    if found.faults:
        raise UsageError(
            "cluster.yaml asks for what can't be done to the cluster that runs",
            where=str(workspace.path),
            faults=found.faults,
        )
    change = _change(running, found) if found.stages else None
    plans = tuple(wanted.at(stage.after) for stage in found.stages)
    return Found(running=running, change=change, plans=plans, remarks=found.remarks)


def write(workspace: Workspace, found: Found) -> Path | None:
    """Write the folder of what was found; return it. Raise StorageError."""
    if found.change is None:
        return None
    return folders.write(paths.changes(workspace.path), found.change, found.plans)


def _findings(running: Running, wanted: Wanted) -> Findings:
    differing = compare(running, wanted.state)
    left = limits.apart(d for d in differing if not any(taken(d, k.TAKES) for k in KINDS))
    stages: list[Stage] = []
    faults, remarks = [*left.faults], [*left.remarks]
    for kind in KINDS:
        found = kind.changes(running, wanted)
        stages += found.stages
        faults += found.faults
        remarks += found.remarks
        running = found.stages[-1].after if found.stages else running
    if stages:  # they bring the bundle
        remarks = [remark for remark in remarks if remark.where != "sums"]
    return Findings(stages=tuple(stages), faults=tuple(faults), remarks=tuple(remarks))


def _change(running: Running, found: Findings) -> Change:
    words = {stage.plan: stage.words for stage in found.stages}
    number = len(running.applied) + 1
    what = [[s.plan, s.nodes, dict(s.values), dict(s.own), flat(s.after)] for s in found.stages]
    text = json.dumps([running.cluster, running.authority, what], sort_keys=True, default=str)
    return Change(
        id=f"{number:03}-{'-'.join(words.values())}",
        digest=Digest.of(text.encode()).hex,
        stages=found.stages,
        at_once=1,
    )
