"""Certificates that end soon are renewed, and nodes repaired whose certificates have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.model.change import Findings, Stage

if TYPE_CHECKING:
    from builder.model.change import Running
    from builder.pipeline.changes.kind import WantedState

PLAN = "renew"
TAKES: tuple[str, ...] = ()
_DAY = 86400
_DISTURBANCE = {
    "control-plane": "etcd, API server, controller manager and scheduler restart",
    "worker": "kubelet restarts, pods go on",
}


def changes(running: Running, wanted: WantedState) -> Findings:
    """Renew what ends within the days that were asked for; each machine knows what that is."""
    days = wanted.options.renew
    if days is None:
        return Findings()
    nodes = wanted.turns(running)
    stage = Stage(
        plan=PLAN,
        nodes=nodes,
        what=f"certificates that end within {days} days",
        reason=f"--renew {days}",
        disturbance=_DISTURBANCE,
        values={"RENEW": str(days * _DAY)},
        words=f"{PLAN}-{days}-days",
        after=running,
    )
    return Findings(stages=(stage,))
