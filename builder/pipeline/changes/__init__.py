"""``changes``: say what cluster.yaml means for the cluster that runs, and write what does it.

What runs is compared with what is wanted, as values of one class; every difference is taken by a
kind of change, refused with a reason, or said to be no matter of machines that run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.errors import Fault, UsageError
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.change import BUNDLE, Change, Findings, Running, Stage
from builder.model.digest import Digest
from builder.pipeline import fit, paths, rendering
from builder.pipeline import running as record
from builder.pipeline.changes import (
    configure,
    endpoint,
    membership,
    progress,
    refusals,
    renew,
    restore,
    runtime,
    upgrade,
)
from builder.pipeline.changes import folder as folders
from builder.pipeline.changes.kind import Options, WantedState, compare, flat, taken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.pipeline.changes.progress import WrittenChange
    from builder.pipeline.workspace import Workspace
    from builder.render.plan import Plan
    from builder.report import Reporter

_DIGITS, _MOST = 3, 999
_NUMBERED = re.compile("[0-9]{3}-")
_LONGEST = 63
"""Characters of an id, which is the value of a label in the cluster."""
KINDS = (endpoint, renew, runtime, upgrade, configure, membership)
"""In the order in which their stages are gone through; the others ask at the endpoint by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hold what cluster.yaml means for what runs."""

    running: Running
    change: Change | None
    """None where nothing is to be done."""
    plans: tuple[Plan, ...] = ()
    """What renders the state after each stage."""
    remarks: tuple[Fault, ...] = ()
    written: WrittenChange | None = None
    """The change as it was written before, with what is known of its machines."""
    recorded: str = ""
    """The id of a change that was found to be through."""
    given_up: WrittenChange | None = None
    """The change whose place this one takes."""


def find(
    workspace: Workspace,
    *,
    reports: Mapping[str, bytes] | None = None,
    applied: str | None = None,
    instead: bool = False,
    options: Options,
    reporter: Reporter,
) -> Found:
    """Compare cluster.yaml with what runs; a change that is through is recorded.

    ``reports`` are results of machines by any name, beside those in the change's own folder;
    ``applied`` is the number or id of a change that is through, whatever machines say, and with
    ``instead`` another one takes the place of what was written and not finished.

    Raises:
        UsageError: nothing is known of what runs, or what is wanted can't be done; has all reasons.
        DocumentError, StorageError, VerificationError: as of :func:`builder.pipeline.rendering`.
    """
    workspace.warn(reporter)  # what is wrong with cluster.yaml comes first
    running, written, recorded = _known(workspace, reports or {}, applied)
    if recorded:  # whatever else is wrong
        reporter.info(f"{recorded} is through: recorded")
    given_up = written if instead else None
    if instead and not (given_up or recorded):
        what = "there is no change whose place another one could take"
        hint = "leave it out: no change is written that is not recorded yet"
        raise UsageError(what, where="--instead", hint=hint)
    if given_up:
        running, written = progress.so_far(running, given_up), None
    plan = rendering.prepare(workspace, stale=True)
    wanted = WantedState(workspace=workspace, plan=plan, state=record.state(plan), options=options)
    found = _possible(running, wanted)
    fit.require(workspace)  # what can't be done anyway is not to be locked first
    heard = progress.named(reports or {})
    number = _next(running, written, heard, paths.changes(workspace.path))
    change = _change(number, running, found, wanted)
    if written and change and change.digest != written.digest:  # it may be of other options
        same = replace(wanted, options=options.filled(written.asked))
        kept = _possible(running, same)
        again = _change(number, running, kept, same)
        if again and again.digest == written.digest:
            found, change = kept, again
    if written and (change.digest if change else "") != written.digest:
        progress.refuse_begun(written, running, alone=change is None)
    befores = (running, *(stage.after for stage in found.stages))
    return Found(
        running=running,
        change=change,
        plans=tuple(
            membership.let_in(wanted.at(stage.after), stage, before)
            for before, stage in zip(befores, found.stages, strict=False)
        ),
        remarks=found.remarks,
        written=written,
        recorded=recorded,
        given_up=given_up,
    )


def _possible(running: Running, wanted: WantedState) -> Findings:
    """Return what leads from what runs to what is wanted; raise UsageError where nothing does."""
    workspace = wanted.workspace
    try:
        found = _findings(running, wanted)
    except NotInCatalogError as error:
        what = f"what runs is not known here: {error}"
        hint = "give the catalog with which the machines were seeded: --catalog DIR"
        raise UsageError(
            what, where=str(workspace.seeds / record.NAME), expected=error.expected, hint=hint
        ) from error
    if found.faults:
        raise UsageError(
            "this can't be done to the cluster that runs",
            where=str(wanted.options.restore or workspace.path),
            faults=found.faults,
        )
    return found


def _known(
    workspace: Workspace, reports: Mapping[str, bytes], applied: str | None
) -> tuple[Running, WrittenChange | None, str]:
    """Return what runs, the change that was written and is not through, and one that is now."""
    running = record.read(workspace.seeds)
    if running is None or not running.control_planes:  # seeds of some nodes alone may be there
        what = "there is no such file" if running is None else "it has no control plane"
        raise UsageError(
            f"nothing is known of what runs: {what}",
            where=str(workspace.seeds / record.NAME),
            hint="`airseed seeds`, with cluster.yaml and lock as the machines were seeded, "
            "writes it",
        )
    written = progress.latest(paths.changes(workspace.path), running.applied)
    if applied in {word for name in running.applied for word in (name, name[:_DIGITS])}:
        applied = None  # said before
    elif applied is not None and (written is None or applied not in {written.id, written.number}):
        expected = written.id if written else None
        hint = None if written else "no change is written that is not recorded yet"
        raise UsageError("there is no such change", where=applied, expected=expected, hint=hint)
    if faults := progress.check(running, reports, written):
        raise UsageError("machines are not what is recorded of them", faults=faults)
    if written is None:
        return running, None, ""
    written = progress.heard(written, reports)
    if applied is None and set(written.done) != set(written.nodes):
        return running, written, ""
    running = progress.applied(running, written)
    record.write(workspace.seeds, running)
    return running, None, written.id


def write(workspace: Workspace, found: Found) -> Path | None:
    """Write the folder of what was found; return it.

    Raise StorageError, and UsageError where another change was written of which nothing is known.
    """
    if found.change is None:
        return None
    if found.written and found.written.digest != found.change.digest:
        progress.refuse_beside(found.written)
    folder = folders.write(
        paths.changes(workspace.path), found.change, found.plans, document=workspace.path.name
    )
    record.write(workspace.seeds, replace(found.running, written=found.change.id))
    if found.given_up:
        folders.give_up(found.given_up.folder, found.change.id)
    return folder


def _findings(running: Running, wanted: WantedState) -> Findings:
    if wanted.options.restore:
        return restore.changes(running, wanted, wanted.options.restore)
    differing = compare(running, wanted.state)
    left = refusals.apart(d for d in differing if not any(taken(d, k.TAKES) for k in KINDS))
    stages: list[Stage] = []
    faults, remarks = [*left.faults], [*left.remarks]
    for kind in KINDS:
        found = kind.changes(running, wanted)
        stages += found.stages
        faults += found.faults
        remarks += found.remarks
        running = found.stages[-1].after if found.stages else running
    if len({stage.anew for stage in stages}) > 1:
        what = "names and members change apart from everything else: no machine does both"
        hint = "make this change in cluster.yaml first, and the other one when it is applied"
        faults.append(Fault(where="nodes", what=what, hint=hint))
    if not faults:  # what a kind takes and leaves as it is must not pass for done
        told = {remark.where for remark in remarks}
        still = (one for one in compare(running, wanted.state) if one.where not in told)
        faults += refusals.left(d for d in still if not taken(d, configure.AT_REGISTRATION))
    if stages:  # they bring the bundle
        remarks = [remark for remark in remarks if remark.where != BUNDLE]
    return Findings(stages=tuple(stages), faults=tuple(faults), remarks=tuple(remarks))


def _next(running: Running, written: WrittenChange | None, heard: list[str], folder: Path) -> int:
    """Return the number of the next change; one that was written and is not through keeps its.

    No other one that was ever given is given again: machines would take another change of the
    same name for done.
    """
    if written:
        return int(written.number)
    written_ones = (path.parent.name for path in folders.written(folder))
    names = [*running.applied, running.written, *heard, *written_ones]
    # what a machine says that it has heard of may be anything
    number = max((int(n[:_DIGITS]) for n in names if _NUMBERED.match(n)), default=0) + 1
    if number > _MOST:
        what = f"there is no number left for a change: {_MOST} is taken"
        hint = "if a result of a machine alone says so, take that result away"
        raise UsageError(what, where=str(folder), hint=hint)
    return number


def _change(number: int, running: Running, found: Findings, wanted: WantedState) -> Change | None:
    if not found.stages:
        return None
    words = {stage.words if stage.anew else stage.plan: stage.words for stage in found.stages}
    what = [[s.plan, s.nodes, dict(s.values), dict(s.own), flat(s.after)] for s in found.stages]
    text = json.dumps([running.cluster, running.authority, what], sort_keys=True, default=str)
    name = f"{number:0{_DIGITS}}-{'-'.join(words.values())}"
    return Change(
        id=name[:_LONGEST].rstrip("-."),
        digest=Digest.of(text.encode()).hex,
        stages=found.stages,
        at_once=wanted.plan.cluster.changes.at_once,
        asked=wanted.options.asked,
    )
