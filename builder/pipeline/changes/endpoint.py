"""Another endpoint, something else that keeps it up, or other control planes behind it.

What keeps the next one up comes first, beside the one that is asked at; then all move there, one
after another; and what nobody asks at any more goes last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.change import Findings, Stage
from builder.pipeline import running as record
from builder.pipeline.changes import membership
from builder.pipeline.changes.kind import adopt, compare, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.model.change import Difference, Running
    from builder.pipeline.changes.kind import WantedState

PLAN, MOVE = "endpoint", "move"
_PLACE = ("endpoint", "documents.ClusterConfiguration.controlPlaneEndpoint")
_KEEPER = ("keeper.**",)
TAKES = (*_PLACE, *_KEEPER)
_LAID = {"control-plane": "nothing: the API server reads its certificate again"}
_MOVED = {
    "control-plane": "controller manager, scheduler and kubelet restart, pods go on",
    "worker": "kubelet restarts, pods go on",
}


def changes(running: Running, wanted: WantedState) -> Findings:
    """Bring up, move, take away: as many stages as that takes."""
    target = wanted.state
    differing = compare(running, target)
    moves = any(taken(d, _PLACE) for d in differing)
    kept = [d for d in differing if taken(d, _KEEPER)]
    if not moves and kept and _members_change(running, differing):
        return Findings(remarks=tuple(_remark(d) for d in kept))
    if not moves and not kept:
        return Findings()
    if faults := tuple(_refused(running, target, moves=moves)):
        return Findings(faults=faults)
    names = wanted.turns(running)
    planes = tuple(name for name in names if running.by_name[name].role == "control-plane")
    ends = bool(running.keeper) and not target.keeper
    everywhere = names if _is_everywhere(running, wanted) else planes
    if not moves and running.keeper.get("by") == target.keeper.get("by"):
        # who was seeded for it knows it already, and may wait for this to be started
        new = record.unheard(running, running.by_name)
        everywhere = tuple(name for name in everywhere if name not in new)
    words = str(target.keeper.get("by", "outside")) if moves or ends else ""
    laid = running if ends and moves else adopt(running, target, (*_KEEPER, "sums"))
    carry = Stage(
        plan=PLAN,
        nodes=names if moves else everywhere,
        what=_what(running, target),
        reason=_reason(running, target),
        disturbance=_LAID if moves else {},
        values={"ENDPOINT": running.endpoint, "ENDPOINT_NEXT": target.endpoint},
        own={name: {"PARTS": "certificate"} for name in planes} if moves else {},
        words=f"{PLAN}-{words}".removesuffix("-"),
        after=laid,
    )
    if not moves:
        return Findings(stages=(carry,))
    moved = adopt(laid, target, (*_PLACE, "sums"))
    move = Stage(
        plan=MOVE,
        nodes=names,
        what=f"all ask at {target.endpoint}",
        reason=f"cluster.yaml has the endpoint {target.endpoint}, and {running.endpoint} is asked",
        disturbance=_MOVED,
        own_disturbance={names[0]: f"{_MOVED['control-plane']}; kube-proxy restarts everywhere"},
        own={names[0]: {"PARTS": "kube-proxy"}},
        words=MOVE,
        after=moved,
    )
    remark = Fault(
        where="kubeconfigs",
        what=f"those in use point to {running.endpoint}",
        hint="`airseed kubeconfig` makes others, when this is applied",
    )
    if not ends:
        return Findings(stages=(carry, move), remarks=(remark,))
    drop = replace(
        carry,
        what=f"{running.keeper['by']} goes",
        nodes=everywhere,
        disturbance={},
        values={"ENDPOINT_NEXT": target.endpoint},
        own={},
        after=adopt(moved, target, _KEEPER),
    )
    return Findings(stages=(carry, move, drop), remarks=(remark,))


def _members_change(running: Running, differing: Sequence[Difference]) -> bool:
    """Tell whether machines that run leave or are made anew, which is a change of its own."""
    members = (d for d in differing if taken(d, membership.TAKES))
    return any(d.path[1] in running.by_name for d in members)


def _is_everywhere(running: Running, wanted: WantedState) -> bool:
    """Tell whether workers do something for an endpoint that is kept up, too."""
    known = wanted.workspace.catalog.endpoints.keepers
    said = (str(one.keeper.get("by", "")) for one in (running, wanted.state))
    return any("worker" in known[by].roles for by in said if by in known)


def _what(running: Running, target: Running) -> str:
    if running.keeper and not target.keeper and running.endpoint == target.endpoint:
        return f"{running.keeper['by']} goes"
    if not target.keeper:
        return f"certificates for {target.endpoint}, which all try"
    if running.keeper.get("by") != target.keeper["by"]:
        return f"{target.keeper['by']} keeps up {target.endpoint}"
    return f"{target.keeper['by']} for {', '.join(target.keeper['planes'])}"


def _reason(running: Running, target: Running) -> str:
    """Say what differs: the settings, or the control planes alone."""
    before, after = (dict(one.keeper) for one in (running, target))
    before["planes"] = after.get("planes")
    if (before, running.endpoint) == (after, target.endpoint):
        return "other control planes are behind the endpoint in cluster.yaml"
    return "cluster.yaml says otherwise of endpoint"


def _refused(running: Running, target: Running, *, moves: bool) -> Iterator[Fault]:
    before, after = running.keeper, target.keeper
    if not target.endpoint:
        what = "the endpoint can't be taken away: every kubelet and kubeconfig has it"
        yield Fault(where="endpoint", what=what, expected=running.endpoint, hint="write it again")
    elif before and after and (moves or before["by"] != after["by"]):
        what = f"{before['by']} keeps up {running.endpoint}, and no machine has two that do so"
        hint = "go by way of an address that is there already: that of a control plane, say"
        yield Fault(where="endpoint", what=what, expected=running.endpoint, hint=hint)


def _remark(one: Difference) -> Fault:
    what = "the machines that stay learn of it afterwards, by a change of its own"
    return Fault(where=one.where, what=what, hint="`airseed changes`, when this one is applied")
