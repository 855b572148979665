"""Who is in the cluster: nodes that get another name, that leave, and that are made anew.

Each such machine is a stage of two: itself, and a control plane that stays and takes it out of etcd
and of the API. A dead machine needs nobody on it: what stays takes it out.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.change import Findings, Stage
from builder.model.cluster import Node, NodeAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.change import NodeState, Running
    from builder.model.secrets import Secrets
    from builder.pipeline.changes.kind import WantedState
    from builder.render.plan import Plan

PLAN, LEAVE, RENAME = "dismiss", "leave", "rename"
TAKES = ("nodes.*", "nodes.*.generation")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN_ID, _TOKEN = 6, 16
_OF_STAY = "control planes stay, one of which takes it out of etcd"
_FELT = {
    "control-plane": "its etcd and API server go; clients of the endpoint may have to ask again",
    "worker": "its pods move away",
}


def changes(running: Running, wanted: WantedState) -> Findings:
    """Go machine by machine: those that get another name first, then those that go."""
    here, nodes = running.by_name, wanted.plan.cluster.nodes
    renamed = {n.was: n for n in nodes if n.was in here and n.name not in here and n.was}
    there = {node.name: node for node in nodes}
    kept = {**there, **{old: node for old, node in renamed.items() if old not in there}}
    gone = [node for node in running.nodes if node.name not in kept]
    anew = [n for n in running.nodes if n.name in there and _is_anew(n, there[n.name])]
    moving = [node for node in running.nodes if node.name in renamed]
    stay = [
        n for n in running.control_planes if n not in gone and n not in moving and n not in anew
    ]
    joining = [n for n in nodes if n.name not in here and n.was not in here]
    faults = [*_refused(running, wanted, renamed, (*gone, *anew), stay)]
    for twin in nodes:
        if twin.name not in here and (one := renamed.get(twin.was or "", twin)) is not twin:
            what = f"was: {twin.was}, and so was {one.name}"
            hint = "one machine gets one name: take one of them; a machine that is new has no was"
            faults.append(Fault(where=f"nodes.{twin.name}", what=what, hint=hint))
    if (first := wanted.plan.first) in joining or first.name in {one.name for one in anew}:
        what = "the first control plane in cluster.yaml begins a cluster, and never joins one"
        hint = "list a control plane that runs, and stays, before it"
        faults.append(Fault(where=f"nodes.{first.name}", what=what, hint=hint))
    remarks = [
        *(_late(node, "is not in the cluster yet") for node in joining),
        *(_late(there[one.name], "joins anew once the old one has left") for one in anew),
    ]
    if faults or not (gone or anew or moving):
        return Findings(faults=tuple(faults), remarks=tuple(remarks))
    stages = []
    for leaver in (*moving, *gone, *anew):
        successor = renamed[leaver.name].name if leaver in moving else ""
        running = _without(running, leaver.name, successor)
        stages.append(_stage(leaver, successor, stay[0], running, made_anew=leaver in anew))
    return Findings(stages=tuple(stages), remarks=tuple(remarks))


def _is_anew(node: NodeState, wanted: Node) -> bool:
    return wanted.generation > node.generation


def _late(node: Node, how: str) -> Fault:
    what = f"{how}: its seed and its admit.sh let it in"
    return Fault(where=f"nodes.{node.name}", what=what, hint=f"`airseed seeds --node {node.name}`")


def _refused(
    running: Running,
    wanted: WantedState,
    renamed: dict[str, Node],
    going: tuple[NodeState, ...],
    stay: list[NodeState],
) -> Iterator[Fault]:
    here = running.by_name
    there = wanted.state.by_name
    for node in wanted.plan.cluster.nodes:
        if node.was and not {node.name, node.was} & here.keys():  # else it would pass for new
            yield Fault(
                where=f"nodes.{node.name}",
                what=f"was: {node.was}, and no machine of that name runs",
                expected=" or ".join(name for name in here if name not in there) or None,
                hint="a machine that is new has no was",
            )
        addresses = tuple(str(address.ip) for address in node.addresses)
        both = [here.get(name) for name in (node.was or "", node.name)]
        if all(both) and [one.addresses == addresses for one in both if one] == [True, False]:
            what = f"was: {node.was}, and another machine that runs is called {node.name}"
            hint = "have that one leave, or get another name, by a change before this one"
            yield Fault(where=f"nodes.{node.name}", what=what, hint=hint)
    for old, node in renamed.items():
        where = f"nodes.{node.name}"
        if old in there:
            what = f"was: {old}, and a node {old} is in cluster.yaml, too"
            yield Fault(where=where, what=what, hint="one machine has one name: take one of them")
        addresses = tuple(str(address.ip) for address in node.addresses)
        if (node.role, addresses) != (here[old].role, here[old].addresses):
            what = f"{old} gets another name, and another role or address with it"
            kept = f"{here[old].role}, {' '.join(here[old].addresses)}"
            hint = "a machine that moves is another one: remove this node and add that one"
            yield Fault(where=where, what=what, expected=kept, hint=hint)
    planes = [
        one for one in (*going, *(here[old] for old in renamed)) if one.role == "control-plane"
    ]
    if planes and not stay:
        names = ", ".join(one.name for one in planes)
        what = f"no control plane would be left that takes {names} out of etcd"
        hint = "leave one as it is, and change that one afterwards; a lone one needs a second first"
        yield Fault(where="nodes", what=what, expected=f"some {_OF_STAY}", hint=hint)
    elif going and not stay:
        what = "no control plane stays as it is"
        yield Fault(where="nodes", what=what, expected=f"some {_OF_STAY}", hint="change them apart")
    yield from _asked_at(wanted, renamed, going)


def _asked_at(
    wanted: WantedState, renamed: dict[str, Node], going: tuple[NodeState, ...]
) -> Iterator[Fault]:
    """Refuse to let the machine go at which all ask, or the name by which they do."""
    endpoint = wanted.plan.endpoint
    if not endpoint:
        return
    for one in going:
        if {endpoint.host, *_led(wanted, endpoint.host)} & {one.name, *one.addresses}:
            what = f"{one.name} has the cluster's endpoint: every kubelet asks the API server there"
            hint = "move the endpoint first (endpoint: {address: ..., by: keepalived}, say)"
            yield Fault(where=f"nodes.{one.name}", what=what, hint=hint)
    if endpoint.host in renamed:
        what = f"{endpoint.host} is the cluster's endpoint, too: every kubelet asks by that name"
        hint = "move the endpoint first (to that machine's address, say)"
        yield Fault(where=f"nodes.{renamed[endpoint.host].name}", what=what, hint=hint)


def _led(wanted: WantedState, name: str) -> Iterator[str]:
    """Yield the addresses to which cluster.yaml has a name lead."""
    hosts = wanted.plan.cluster.machine_of(wanted.plan.first).hosts
    yield from (address for address, names in hosts.items() if name in names)


def _without(running: Running, name: str, successor: str) -> Running:
    nodes = (
        replace(n, name=successor) if n.name == name and successor else n for n in running.nodes
    )
    return replace(running, nodes=tuple(node for node in nodes if node.name != name))


def _stage(
    leaver: NodeState,
    successor: str,
    helper: NodeState,
    after: Running,
    *,
    made_anew: bool,
) -> Stage:
    what = f"{leaver.name} becomes {successor}" if successor else f"{leaver.name} leaves"
    reason = f"cluster.yaml says was: {leaver.name}" if successor else "it is not in cluster.yaml"
    if made_anew:
        reason = "its generation in cluster.yaml is another one"
    verb = RENAME if successor else LEAVE
    return Stage(
        plan=PLAN,
        nodes=(helper.name, leaver.name),
        plans={leaver.name: verb},
        renamed={leaver.name: successor} if successor else {},
        what=what,
        reason=reason,
        words=f"{verb}-{leaver.name}",
        own_disturbance={leaver.name: _FELT[leaver.role]},
        values={
            "LEAVER": leaver.name,
            "LEAVER_ADDRESSES": " ".join(leaver.addresses),
            "HELPER": helper.name,
            "HELPER_ADDRESS": helper.addresses[0] if helper.addresses else "",
            "SUCCESSOR": successor,
            "PLANES": helper.name,
        },
        anew=True,
        after=after,
    )


def let_in(plan: Plan, stage: Stage, running: Running) -> Plan:
    """Return what renders a stage of this kind; ``running`` is what runs before it.

    It has a token and a certificate key of its own, which nobody can guess who does not know those
    of control planes, and a node that leaves for good is among its nodes once more.
    """
    if not stage.anew:
        return plan
    known = {node.name for node in plan.cluster.nodes}
    names = set(stage.nodes) - known - set(stage.renamed)
    leaving = [_as_node(state) for state in running.nodes if state.name in names]
    message = f"{len(running.applied)} {stage.what}"
    cluster = replace(plan.cluster, nodes=(*plan.cluster.nodes, *leaving))
    return replace(plan, cluster=cluster, secrets=_own(plan.secrets, message))


def _as_node(state: NodeState) -> Node:
    addresses = tuple(NodeAddress(ip=ip_address(address)) for address in state.addresses)
    return Node(name=state.name, role=state.role, addresses=addresses)


def _own(secrets: Secrets, message: str) -> Secrets:
    def made(what: str) -> bytes:
        key = secrets.certificate_key.encode()
        return hmac.new(key, f"{what} {message}".encode(), hashlib.sha512).digest()

    letters = "".join(_LETTERS[byte % len(_LETTERS)] for byte in made("token"))
    token = f"{letters[:_TOKEN_ID]}.{letters[_TOKEN_ID : _TOKEN_ID + _TOKEN]}"
    return replace(secrets, token=token, certificate_key=made("certificate key")[:32].hex())
