"""How far a change is that was written: what its machines said of themselves, checked and kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from builder import disk, owners
from builder.errors import DocumentError, Fault, UsageError
from builder.formats import result as result_format
from builder.formats import running as running_format
from builder.pipeline.changes import folder as folders
from builder.pipeline.changes.kind import flat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from builder.model.change import Running
    from builder.model.result import Result

    _Report = tuple[Result, bytes]
    """As it was read, and as the machine wrote it."""

_LARGEST = 1 << 20
"""Bytes of one result.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChange:
    """Hold a change that was written before, and what is known of its machines."""

    folder: Path
    id: str
    digest: str
    stages: tuple[tuple[str, ...], ...]
    """The machines of each stage."""
    becomes: tuple[Mapping[str, str], ...]
    """New names by the old ones that each stage gives; none to who leaves in it."""
    after: Running
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options by which it was asked for."""
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def number(self) -> str:
        return self.id.partition("-")[0]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for nodes in self.stages for name in nodes))

    @property
    def done(self) -> tuple[str, ...]:
        """Return the machines that are through all stages that they take part in."""
        last = {name: n for n, nodes in enumerate(self.stages, 1) for name in nodes}
        return tuple(name for name, stage in last.items() if self._is_past(name, stage))

    @property
    def moved(self) -> dict[str, str]:
        """Return new names by the old ones, as far as machines have them; none for who has left.

        Who leaves says nothing of itself: those do that take it out.
        """
        return {
            old: new
            for number, (nodes, becomes) in enumerate(
                zip(self.stages, self.becomes, strict=True), 1
            )
            for old, new in becomes.items()
            if all(self._is_past(name, number) for name in ((new,) if new else nodes))
        }

    @property
    def begun(self) -> bool:
        return bool(self.results)

    def _is_past(self, name: str, stage: int) -> bool:
        result = self.results.get(name)
        if result is None or not result.stage.isdecimal():
            return False
        at = int(result.stage)
        return at > stage or (at == stage and result.state == "done")


def latest(folder: Path, applied: Sequence[str]) -> WrittenChange | None:
    """Return the last change in a folder of changes that is not applied yet, with its results.

    Raise DocumentError for a ``change.json`` that is damaged, StorageError for one that can't be
    read.
    """
    for path in reversed(folders.written(folder)):
        content = owners.read_own(path, running_format.LARGEST)
        given_up = (path.parent / folders.GIVEN_UP).exists()
        if content is None or given_up or path.parent.name in applied:
            continue
        fields, after = running_format.read_change(content, str(path))
        if fields["id"] != path.parent.name:
            what = f"is of the change {fields['id']}"
            hint = "call the folder as it was, or move it out of this one"
            fault = Fault(where="id", what=what, expected=path.parent.name, hint=hint)
            raise DocumentError(str(path), [fault])
        written = WrittenChange(
            folder=path.parent,
            id=fields["id"],
            digest=fields["digest"],
            stages=tuple(stage["nodes"] for stage in fields["stages"]),
            becomes=tuple(stage["becomes"] for stage in fields["stages"]),
            after=after,
            asked=fields["asked"],
        )
        own = {
            file.stem: owners.read_own(file, _LARGEST) or b""
            for file in folders.results(path.parent)
        }
        return _with(written, _own(written, own))
    return None


def heard(written: WrittenChange, reports: Mapping[str, bytes]) -> WrittenChange:
    """Add what was heard elsewhere of a change to its results; raise StorageError."""
    own = _own(written, reports)
    for name, (_, content) in own.items():
        path = written.folder / folders.RESULTS / f"{name}.json"
        disk.put(path, content, mode=disk.PRIVATE, sync=False)
    return _with(written, own)


def check(
    running: Running, reports: Mapping[str, bytes], written: WrittenChange | None
) -> list[Fault]:
    """Say where machines are not what is recorded of them."""
    faults, known = [], running.by_name
    for name, (result, _) in _read(reports).items():
        node = known.get(name)
        if result.cluster and result.cluster != running.cluster:
            what = f"this is a machine of the cluster {result.cluster}"
            hint = "take its result away, or give the cluster.yaml of that cluster"
            faults.append(Fault(where=name, what=what, expected=running.cluster, hint=hint))
        elif node is None or (written is not None and result.change == written.id):
            continue
        elif result.kubernetes and result.kubernetes != node.kubernetes:
            faults.append(
                Fault(
                    where=name,
                    what=f"the machine says that it runs Kubernetes {result.kubernetes}",
                    expected=f"{node.kubernetes}, as it is recorded",
                    hint="ask the machine again, if that is old; if its seed was written again "
                    "before it booted: `airseed seeds --not-booted`, as cluster.yaml was then",
                )
            )
    return faults


def named(reports: Mapping[str, bytes]) -> list[str]:
    """Return the ids of changes that machines have heard of; raise DocumentError."""
    return [result.change for result, _ in _read(reports).values()]


def applied(running: Running, written: WrittenChange) -> Running:
    """Return what runs when a change is through."""
    return replace(written.after, applied=(*running.applied, written.id), written=running.written)


def so_far(running: Running, written: WrittenChange) -> Running:
    """Return what runs where a change is given up; who is through is as it made them."""
    after, moved = written.after.by_name, written.moved
    done = {name: after[name] for name in written.done if name in after}
    names = ((node, moved.get(node.name, node.name)) for node in running.nodes)
    nodes = (done.get(name, replace(node, name=name)) for node, name in names if name)
    return replace(running, nodes=tuple(nodes))


def refuse_begun(written: WrittenChange, running: Running, *, alone: bool) -> None:
    """Raise UsageError where a change is half applied, and something else is asked for.

    One that leaves all as cluster.yaml has it, such as renewing, may go on where it is ``alone``.
    """
    lasting = flat(written.after) == flat(running)
    if written.begun and not (alone and lasting):
        raise UsageError(
            f"{written.id} is half applied: {len(written.done)} of {len(written.nodes)} machines "
            "are through, and cluster.yaml asks for something else",
            where=str(written.folder),
            hint="finish it: cluster.yaml and lock as they were, and the scripts of the machines "
            "that are not through; where it can't be finished, `--instead` makes another of it",
        )


def refuse_beside(written: WrittenChange) -> None:
    """Raise UsageError where a change would be written beside one that may be under way."""
    raise UsageError(
        f"{written.id} was written before, and nothing is known of its machines",
        where=str(written.folder),
        hint=f"{ways_on(written)}; if it can't be finished: `--write --instead`",
    )


def ways_on(written: WrittenChange) -> str:
    """Say how a change that was written comes to an end here."""
    return (
        f"if it is through: `--results DIR`, `--from URL` or `--applied {written.number}`; if it "
        "was started nowhere, delete this folder"
    )


def _with(written: WrittenChange, own: Mapping[str, _Report]) -> WrittenChange:
    return replace(
        written, results={**written.results, **{name: result for name, (result, _) in own.items()}}
    )


def _own(written: WrittenChange, reports: Mapping[str, bytes]) -> dict[str, _Report]:
    """Return the reports that are about a change, by node."""
    # who is renamed or leaves may say something before
    names = {*written.nodes, *(old for becomes in written.becomes for old in becomes)}
    return {
        name: (result, content)
        for name, (result, content) in _read(reports).items()
        if result.change == written.id
        and name in names
        and result.cluster in {"", written.after.cluster}
    }


def _read(reports: Mapping[str, bytes]) -> dict[str, _Report]:
    """Read reports by the name of their nodes; raise DocumentError for what is none.

    What is empty says nothing: a shell leaves it where it did not reach the machine.
    """
    faults: list[Fault] = []
    found: dict[str, _Report] = {}
    for name, content in reports.items():
        if not content.strip():
            continue
        try:
            result = result_format.read(content, name, node=name)
        except DocumentError as error:
            faults += [fault.inside(name) for fault in error.faults]
        else:
            found[result.node] = (result, content)
    if faults:
        raise DocumentError("the results of machines", faults)
    return found
