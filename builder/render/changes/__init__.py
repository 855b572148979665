"""What each machine runs for a change: one script with all that it needs."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.render import admit, kubeadm
from builder.render.cloudinit import files as seed_files
from builder.render.cloudinit import values
from builder.render.engine import quoted, source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from builder.model.change import Change, Stage
    from builder.model.cluster import Node
    from builder.render.plan import Plan

_BODY = "actions/change.sh"
_END = "END_OF_FILE"
_AS_IT_RUNS = {"configure", "renew", "endpoint", "move"}
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
_RESTORE = "restore"
"""The plan of machines that may have been lost: their scripts take a bare one, too."""


def script(change: Change, plans: Sequence[Plan], name: str) -> str:
    """Return the script of a machine, as it is called before the change.

    ``plans`` render the state after each stage.
    """
    plan = plans[-1]
    renamed = {old: new for stage in change.stages for old, new in stage.renamed.items()}
    lost = any(stage.anew and stage.plan_of(name) == _RESTORE for stage in change.stages)
    authority = plan.secrets.authority
    named = {
        "CHANGE": change.id,
        "DIGEST": change.digest,
        "CLUSTER": plan.cluster.name,
        "NODE": name,
        "RENAMED": renamed.get(name, ""),
        "LOST": "1" if lost else "",
        "AUTHORITY": Digest.of(authority.certificate.encode()).hex if authority else "",
    }
    head = _HEAD.format(node=name, id=change.id, cluster=plan.cluster.name)
    lines = "".join(f"{name}={quoted(value)}\n" for name, value in named.items())
    body = plan.once("change's body", lambda: source(_BODY))
    scripts = plan.once("laid scripts", lambda: "".join(_scripts()))
    own = "".join(_laid("change", *file) for file in _files(change, plans, name))
    return f"{head}{lines}\n{body}\nfiles() {{\n{scripts}{own}}}\n{_TAIL}"


def _scripts() -> Iterator[str]:
    for file in seed_files.all_scripts():
        if file.path.startswith(seed_files.LIBEXEC):
            name = file.path.removeprefix(f"{seed_files.LIBEXEC}/")
            yield _laid("scripts", name, file.content, file.permissions)


def _files(change: Change, plans: Sequence[Plan], name: str) -> Iterator[tuple[str, str | bytes]]:
    """Yield what goes into the change's folder, by name."""
    stages = [
        (number, stage, plan)
        for number, (stage, plan) in enumerate(zip(change.stages, plans, strict=True), 1)
        if name in stage.nodes
    ]
    yield "stages", "".join(f"{number} {stage.plan_of(name)}\n" for number, stage, _ in stages)
    for number, stage, shared in stages:
        plan, node = _as(shared, stage, name)
        yield f"{number}.env", _env(change, number, stage, plan, node, name)
        yield f"{number}.yaml", _documents(stage, plan, node)
        follows = _FOLLOWS | ({"hosts", "ca.crt"} if stage.anew else set())
        for file in seed_files.files(plan, node, plan.cluster.machine_of(node)):
            own = file.path.removeprefix(f"{seed_files.ETC}/")
            if own.rpartition("/")[2] in follows:
                yield f"{number}.d/{own}", file.content
        for old, new in stage.renamed.items() if name not in stage.renamed else ():
            joiner, admitted = _as(shared, stage, old)
            yield f"admit-{new}.sh", admit.script(joiner, admitted) or ""


def _documents(stage: Stage, plan: Plan, node: Node) -> str:
    if stage.plan in _AS_IT_RUNS:
        host = _asked(stage)
        return kubeadm.running_text(plan, node, admits=stage.plan == "renew", host=host)
    return kubeadm.text(plan, node, whole=not stage.anew)


def _asked(stage: Stage) -> str:
    """Return the host that all ask at still while the next endpoint is brought up."""
    old, following = (stage.values.get(name, "") for name in ("ENDPOINT", "ENDPOINT_NEXT"))
    return old.rpartition(":")[0].strip("[]") if old != following else ""


def _as(plan: Plan, stage: Stage, name: str) -> tuple[Plan, Node]:
    """Return the plan and the node by which a machine is rendered that takes part in a stage.

    One that gets another name joins, whoever started the cluster.
    """
    wanted = stage.renamed.get(name, name)
    node = next(node for node in plan.cluster.nodes if node.name == wanted)
    if name not in stage.renamed:
        return plan, node
    others = (other for other in plan.cluster.nodes if other is not node)
    return replace(plan, cluster=replace(plan.cluster, nodes=(*others, node))), node


def _env(change: Change, number: int, stage: Stage, plan: Plan, node: Node, name: str) -> str:
    """Return what the stage's steps read: all of node.env, and what is the change's own."""
    planes = {state.name for state in stage.after.control_planes}
    before = change.stages[number - 2].nodes if number > 1 else ()
    more: Mapping[str, str] = {
        "CHANGE": change.id,
        "STAGE": str(number),
        "STAGES": str(len(change.stages)),
        "LAST": str(max(n for n, one in enumerate(change.stages, 1) if name in one.nodes)),
        "PLANES": " ".join(one for one in stage.nodes if one in planes),
        "COUNT": str(len(stage.nodes)),
        # who begins waits for all of them
        "NODES": " ".join(stage.nodes) if name == stage.nodes[0] else "",
        "COUNT_BEFORE": str(len(before)),
        "AT_ONCE": str(change.at_once),
        "PULLS": plan.once(("pulls", node.role), lambda: " ".join(_pulls(plan, node))),
        **stage.values,
        **stage.own.get(name, {}),
    }
    return values.env(plan, node, more)


def _pulls(plan: Plan, node: Node) -> Iterable[str]:
    """Return the images that a registry has for a node's role, and the bundle does not load."""
    if plan.cluster.registry is None or plan.lock.subject.kubernetes != str(
        plan.choice.kubernetes.version
    ):  # a lock without a way has none of the release before
        return ()
    names = ImageNames(plan.cluster.registry)
    return (names.name(i.reference) for i in plan.lock.images if node.role in i.roles)


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
