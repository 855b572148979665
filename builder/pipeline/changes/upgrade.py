"""Another Kubernetes version, with the runtime, Calico and images that go with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.change import Findings, Stage
from builder.model.demand import KUBEADM
from builder.model.version import Version
from builder.pipeline import running as record

if TYPE_CHECKING:
    from builder.model.change import Running
    from builder.pipeline.changes.kind import Wanted
    from builder.render.plan import Plan

PLAN = "upgrade"
TAKES = (
    "kubernetes",
    "cni",
    "nodes.*.kubernetes",
    "documents.ClusterConfiguration.kubernetesVersion",
    "documents.ClusterConfiguration.imageRepository",
    "documents.ClusterConfiguration.dns.image*",
    "documents.ClusterConfiguration.etcd.local.image*",
)
_FIRST = ("kubeadm", "cri-tools")
"""Packages that are there before the machine is drained; all others move with kubelet."""
_DISTURBANCE = {
    "control-plane": "its API server and etcd restart, pods move away and may come back",
    "worker": "pods move away and may come back",
}


def changes(running: Running, wanted: Wanted) -> Findings:
    """Go minor by minor from what runs to what is wanted."""
    here, there = Version.parse(running.kubernetes), Version.parse(wanted.state.kubernetes)
    if here == there:
        return Findings()
    faults = [*_refused(here, there)]
    if faults:
        return Findings(faults=tuple(faults))
    stages: list[Stage] = []
    for hop in (there,):
        plan, before = wanted.plan, running.kubernetes
        name = running.control_planes[0].runtime.partition(" ")[0]
        try:
            plan.choice.kubernetes.runtime(name)
        except NotInCatalogError as error:
            if name != plan.choice.runtime.name:
                break  # the runtime is switched first
            faults.append(Fault(where="runtime", what=error.what, expected=error.expected))
            continue
        target = record.state(plan).by_name
        nodes = tuple(
            replace(node, kubernetes=str(hop), runtime=target[node.name].runtime)
            if node.name in target
            else node
            for node in running.nodes
        )
        running = replace(
            running,
            kubernetes=str(hop),
            cni=wanted.state.cni,
            sums=wanted.state.sums,
            documents=wanted.state.documents,
            nodes=nodes,
        )
        kubeadm, others = _packages(plan)
        stages.append(
            Stage(
                plan=PLAN,
                nodes=wanted.turns(running),
                what=f"Kubernetes {before} -> {hop}",
                reason=f"cluster.yaml says kubernetes: {there}",
                disturbance=_DISTURBANCE,
                values={
                    "FROM": before,
                    "KUBEADM_PACKAGES": " ".join(kubeadm),
                    "KUBELET_PACKAGES": " ".join(others),
                },
                words=f"{PLAN}-{hop}",
                after=running,
            )
        )
    return Findings(stages=tuple(stages), faults=tuple(faults))


def _refused(here: Version, there: Version) -> list[Fault]:
    if there < here:
        what = f"{there} is older than {here}, which runs: Kubernetes has no way back"
        hint = "a snapshot of etcd that was taken before is the way back"
        return [Fault(where="kubernetes", what=what, expected=f"{here} or newer", hint=hint)]
    if there.minor > here.minor + 1:
        what = f"{here} runs, and kubeadm upgrades by one minor at a time"
        between = f"{here.major}.{here.minor + 1}"
        hint = f"changes: {{from: {here}}} in cluster.yaml has `airseed lock` take in all between"
        return [Fault(where="kubernetes", what=what, expected=f"a release of {between}", hint=hint)]
    return []


def _packages(plan: Plan) -> tuple[list[str], list[str]]:
    """Return the packages of Kubernetes as yum takes them: kubeadm's, and kubelet's."""
    wanted = [p.nevra for p in plan.lock.packages if p.requested and KUBEADM in p.needed_by]
    kubeadm = [str(name) for name in wanted if name.name in _FIRST]
    return kubeadm, [str(name) for name in wanted if name.name not in _FIRST]
