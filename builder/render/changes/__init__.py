"""What each machine runs for a change: one script with all that it needs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from builder.render import kubeadm
from builder.render.cloudinit import files as seed_files
from builder.render.cloudinit import values
from builder.render.engine import quoted, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.model.change import Change, Stage
    from builder.model.cluster import Node
    from builder.render.plan import Plan

ETC = f"{seed_files.ETC}/change"
_BODY = "actions/change.sh"
_END = "AIRSEED_END"
_HEAD = """\
#!/bin/bash
# Take {node} through the change {id} of the cluster {cluster}: run this on {node}, as root; on all
# machines at once, or in any order. A second run goes on, or says that it is done.
# It has secrets of this machine in it.
"""


def script(change: Change, plans: Sequence[Plan], node: Node) -> str:
    """Return the script of a node; ``plans`` render the state after each stage."""
    plan = plans[-1]
    authority = plan.secrets.authority
    named = {
        "CHANGE": change.id,
        "DIGEST": change.digest,
        "CLUSTER": plan.cluster.name,
        "NODE": node.name,
        "AUTHORITY": authority.digest if authority else "",
    }
    head = _HEAD.format(node=node.name, id=change.id, cluster=plan.cluster.name)
    lines = "".join(f"{name}={quoted(value)}\n" for name, value in named.items())
    laid = "".join(
        _laid(file.path, file.content, file.permissions) for file in _files(change, plans, node)
    )
    shared = plan.once("laid scripts", _scripts)
    body = plan.once("change's body", lambda: source(_BODY))
    return f"{head}\n{lines}\nlay_files() {{\n{shared}{laid}}}\n\n{body}"


def _scripts() -> str:
    return "".join(
        _laid(file.path, file.content, file.permissions)
        for file in seed_files.scripts(all_of_them=True)
    )


def _files(change: Change, plans: Sequence[Plan], node: Node) -> Iterator[seed_files.SeedFile]:
    stages = [
        (number, stage, plan)
        for number, (stage, plan) in enumerate(zip(change.stages, plans, strict=True), 1)
        if node.name in stage.nodes
    ]
    yield _file("id", f"{change.id}\n")
    yield _file("digest", f"{change.digest}\n")
    yield _file("stages", "".join(f"{number} {stage.plan}\n" for number, stage, _ in stages))
    for number, stage, plan in stages:
        yield _file(f"{number}.env", _env(change, number, stage, plan, node))
        yield _file(f"{number}.yaml", kubeadm.text(plan, node))
        for name, content in stage.files.get(node.name, {}).items():
            yield _file(name, content)
    machine = plans[-1].cluster.machine_of(node)
    for file in seed_files.files(plans[-1], node, machine):
        name = file.path.rpartition("/")[2]
        if name in {"images.map", "manifests.edits"}:
            yield _file(name, file.content)


def _file(name: str, content: str | bytes) -> seed_files.SeedFile:
    return seed_files.SeedFile(
        path=f"{ETC}/{name}", content=content, permissions="0600", kind="settings"
    )


def _env(change: Change, number: int, stage: Stage, plan: Plan, node: Node) -> str:
    """Return what the stage's steps read: all of node.env, and what is the change's own."""
    planes = {state.name for state in stage.after.control_planes}
    before = change.stages[number - 2].nodes if number > 1 else ()
    more: Mapping[str, str] = {
        "CHANGE": change.id,
        "CHANGE_DIGEST": change.digest,
        "STAGE": str(number),
        "STAGES": str(len(change.stages)),
        "PLANES": " ".join(name for name in stage.nodes if name in planes),
        "COUNT": str(len(stage.nodes)),
        "COUNT_BEFORE": str(len(before)),
        "AT_ONCE": str(change.at_once),
        **stage.values,
        **stage.own.get(node.name, {}),
    }
    env = values.env(plan, node)
    return env + "".join(f"AIRSEED_{name}={quoted(value)}\n" for name, value in more.items())


def _laid(path: str, content: str | bytes, mode: str) -> str:
    """Write a file as a here-document of which bash expands nothing."""
    raw = content.encode() if isinstance(content, str) else content
    text = raw.decode("ascii", "replace") if raw.isascii() and b"\0" not in raw else ""
    if text.endswith("\n") and _END not in text:
        return f"file {mode} {path} <<'{_END}'\n{text}{_END}\n"
    encoded = base64.encodebytes(raw).decode()
    return f"binary {mode} {path} <<'{_END}'\n{encoded}{_END}\n"
