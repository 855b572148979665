"""What each machine runs for a change: one script with all that it needs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from builder.model.digest import Digest
from builder.render import kubeadm
from builder.render.cloudinit import files as seed_files
from builder.render.cloudinit import values
from builder.render.engine import quoted, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.model.change import Change, Stage
    from builder.model.cluster import Node
    from builder.render.plan import Plan

_BODY = "actions/change.sh"
_END = "END_OF_FILE"
_AS_IT_RUNS = {"configure", "renew"}
"""Plans that read what a node that runs is to be like, and nothing of how it came in."""
_HEAD = """\
#!/bin/bash
# {node}'s part in the change {id} of the cluster {cluster}. It has secrets of this machine in it.
"""
_TAIL = """
main "$@"
"""
_FOLLOWS = {"images.map", "manifests.edits"}
"""Of a seed's files, those that follow the lock; what is said of the machine stays as it was."""
_PRIVATE = "0600"


def script(change: Change, plans: Sequence[Plan], node: Node) -> str:
    """Return the script of a node; ``plans`` render the state after each stage."""
    plan = plans[-1]
    authority = plan.secrets.authority
    named = {
        "CHANGE": change.id,
        "DIGEST": change.digest,
        "CLUSTER": plan.cluster.name,
        "NODE": node.name,
        "AUTHORITY": Digest.of(authority.certificate.encode()).hex if authority else "",
    }
    head = _HEAD.format(node=node.name, id=change.id, cluster=plan.cluster.name)
    lines = "".join(f"{name}={quoted(value)}\n" for name, value in named.items())
    body = plan.once("change's body", lambda: source(_BODY))
    scripts = plan.once("laid scripts", lambda: "".join(_scripts()))
    own = "".join(_laid("change", *file) for file in _files(change, plans, node))
    return f"{head}{lines}\n{body}\nfiles() {{\n{scripts}{own}}}\n{_TAIL}"


def _scripts() -> Iterator[str]:
    for file in seed_files.scripts(all_of_them=True):
        if file.path.startswith(seed_files.LIBEXEC):
            name = file.path.removeprefix(f"{seed_files.LIBEXEC}/")
            yield _laid("scripts", name, file.content, file.permissions)


def _files(change: Change, plans: Sequence[Plan], node: Node) -> Iterator[tuple[str, str | bytes]]:
    """Yield what goes into the change's folder, by name."""
    stages = [
        (number, stage, plan)
        for number, (stage, plan) in enumerate(zip(change.stages, plans, strict=True), 1)
        if node.name in stage.nodes
    ]
    yield "stages", "".join(f"{number} {stage.plan}\n" for number, stage, _ in stages)
    for number, stage, plan in stages:
        yield f"{number}.env", _env(change, number, stage, plan, node)
        yield f"{number}.yaml", _documents(stage, plan, node)
        for file in seed_files.files(plan, node, plan.cluster.machine_of(node)):
            if (name := file.path.rpartition("/")[2]) in _FOLLOWS:
                yield f"{number}.d/{name}", file.content
        for name, content in stage.files.get(node.name, {}).items():
            yield f"{number}.d/{name}", content


def _documents(stage: Stage, plan: Plan, node: Node) -> str:
    if stage.plan in _AS_IT_RUNS:
        return kubeadm.running_text(plan, node, admits=stage.plan == "renew")
    return kubeadm.text(plan, node, whole=True)


def _env(change: Change, number: int, stage: Stage, plan: Plan, node: Node) -> str:
    """Return what the stage's steps read: all of node.env, and what is the change's own."""
    planes = {state.name for state in stage.after.control_planes}
    before = change.stages[number - 2].nodes if number > 1 else ()
    more: Mapping[str, str] = {
        "CHANGE": change.id,
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


def _laid(where: str, name: str, content: str | bytes, mode: str = _PRIVATE) -> str:
    """Lay a file down by a here-document of which bash expands nothing."""
    raw = content.encode() if isinstance(content, str) else content
    if (
        raw.isascii()
        and b"\0" not in raw
        and raw.endswith(b"\n")
        and _END.encode() not in raw.split(b"\n")
    ):
        return f"lay {mode} {where} {name} <<'{_END}'\n{raw.decode()}{_END}\n"
    encoded = base64.encodebytes(raw).decode()
    return f"lay64 {mode} {where} {name} <<'{_END}'\n{encoded}{_END}\n"
