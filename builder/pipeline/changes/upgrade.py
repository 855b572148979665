"""Another Kubernetes version, with the runtime, Calico and images that go with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from builder.errors import Fault, few
from builder.model.change import Findings, Stage
from builder.model.choice import CALICO
from builder.model.demand import KUBEADM
from builder.model.version import Version
from builder.pipeline.changes.kind import adopt
from builder.pipeline.changes.refusals import FEW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.model.change import Running
    from builder.pipeline.changes.kind import WantedState
    from builder.render.plan import Plan

PLAN = "upgrade"
TAKES = (
    "kubernetes",
    "cni",
    "nodes.*.kubernetes",
    "documents.ClusterConfiguration.kubernetesVersion",
    "documents.ClusterConfiguration.featureGates.*",
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


def changes(running: Running, wanted: WantedState) -> Findings:
    """Go minor by minor from what runs to what is wanted."""
    here, there = Version.parse(running.kubernetes), Version.parse(wanted.state.kubernetes)
    way = [Version.parse(hop.release) for hop in wanted.workspace.hops]
    way = [hop for hop in way if hop > here]
    faults = [*_other_plugin(running, wanted), *_ahead(running, there)]
    if here == there:
        return Findings(faults=tuple(faults or _alone(running, wanted)))
    if fault := _refused(here, there, way):
        faults.append(fault)
    if faults:
        return Findings(faults=tuple(faults))
    moves = _moves(running, way, wanted)
    if fault := _between(running, way, wanted, moves):
        return Findings(faults=(fault,))
    stages: list[Stage] = []
    for hop in way:
        stages.append(_stage(running, hop, wanted, moves=hop == moves))
        running = stages[-1].after
    return Findings(stages=tuple(stages))


def _stage(running: Running, hop: Version, wanted: WantedState, *, moves: bool) -> Stage:
    before, release, cni = running.kubernetes, str(hop), wanted.state.cni
    last = release == wanted.state.kubernetes
    if last:
        after = adopt(running, wanted.state, (*TAKES, "sums"))
    else:
        document = {**running.documents["ClusterConfiguration"], "kubernetesVersion": f"v{hop}"}
        after = replace(
            running,
            kubernetes=release,
            documents={**running.documents, "ClusterConfiguration": document},
            cni=cni if moves else running.cni,
        )
    after = replace(after, nodes=tuple(replace(node, kubernetes=release) for node in after.nodes))
    kubeadm, others = _packages(wanted.at(after))
    said = f"cluster.yaml says kubernetes: {wanted.state.kubernetes}"
    return Stage(
        plan=PLAN,
        nodes=wanted.turns(running),
        what=f"Kubernetes {before} -> {release}{f', {cni}' if moves else ''}",
        reason=said if last else f"{said}, on the way",
        disturbance=_DISTURBANCE,
        values={
            "FROM": before,
            "KUBEADM_PACKAGES": " ".join(kubeadm),
            "KUBELET_PACKAGES": " ".join(others),
            "ADDONS": " ".join(_manifests(wanted, last=last) if last or moves else ()),
        },
        own={  # where a change was given up, some are further than others
            node.name: {"FROM": node.kubernetes}
            for node in running.nodes
            if node.kubernetes not in {before, release}
        },
        words=f"{PLAN}-{release}",
        after=after,
    )


def _other_plugin(running: Running, wanted: WantedState) -> Iterator[Fault]:
    """Refuse what would leave one network plugin in place beside another one, or without images."""
    before, after = running.cni.split(), wanted.state.cni.split()
    if (before[:1], before[2:]) != (after[:1], after[2:]):
        yield Fault(
            where="cni",
            what="a cluster that runs keeps its network plugin, and how that was installed: pods "
            "have addresses of it, and nothing takes it away",
            expected=running.cni,
            hint="write the old one again; to have another one: seed a new cluster",
        )


def _ahead(running: Running, there: Version) -> Iterator[Fault]:
    """Refuse what is older than what some machines run, by a change that was given up."""
    newer = [node for node in running.nodes if Version.parse(node.kubernetes) > there]
    if newer and Version.parse(running.kubernetes) <= there:
        newest = max(Version.parse(node.kubernetes) for node in newer)
        yield Fault(
            where="kubernetes",
            what=f"{few([node.name for node in newer], FEW)}, by a change that was given up, went "
            f"as far as {newest}: Kubernetes has no way back",
            expected=f"{newest} or newer",
            hint=f"write kubernetes: {newest}; machines that run it take no part in getting there",
        )


def _refused(here: Version, there: Version, way: Sequence[Version]) -> Fault | None:
    if there < here:
        return Fault(
            where="kubernetes",
            what=f"{there} is older than {here}, which runs: Kubernetes has no way back",
            expected=f"{here} or newer",
            hint="a snapshot of etcd that was taken before is the way back",
        )
    steps = [here, *way]
    skips = any(later.minor > one.minor + 1 for one, later in pairwise(steps))
    if skips or there not in way:
        return Fault(
            where="kubernetes",
            what=f"{here} runs, and kubeadm goes from one minor to the next",
            expected=f"a release of {here.major}.{here.minor + 1}, or a way there",
            hint=f"`changes: {{from: {here}}}` in cluster.yaml, and `airseed lock`: lock and bundle"
            " then have all that is between",
        )
    return None


def _moves(running: Running, way: Sequence[Version], wanted: WantedState) -> Version | None:
    """Return the release with which the new Calico comes: the first one that it takes."""
    calico = wanted.plan.choice.calico
    if running.cni == wanted.state.cni:
        return None
    return next((hop for hop in way if calico and hop.series in calico.of.kubernetes), way[-1])


def _between(
    running: Running, way: Sequence[Version], wanted: WantedState, moves: Version | None
) -> Fault | None:
    """Refuse a release on the way that neither Calico takes: the one that runs or the new one."""
    catalog = wanted.workspace.catalog
    name, _, release = (
        running.cni.removesuffix(" operator").removesuffix(" manifest").partition(" ")
    )
    runs = catalog.calico_series.get(release.rpartition(".")[0])
    if name != CALICO or runs is None:
        return None
    alone = takewhile(lambda hop: hop != moves, way)
    hop = next((hop for hop in alone if hop.series not in runs.kubernetes), None)
    if hop is None:
        return None
    fitting = (f"{CALICO.title()} {series}" for series in catalog.calicos_for(hop.series))
    return Fault(
        where="cni",
        what=f"neither {CALICO.title()} {release}, which runs, nor {wanted.plan.choice.calico}"
        f" supports Kubernetes {hop.series}, which is on the way",
        expected=" or ".join(fitting) or None,
        hint=f"go in two changes, the first one to Kubernetes {hop} with such a Calico",
    )


def _manifests(wanted: WantedState, *, last: bool) -> Iterator[str]:
    """Return the bundle's manifests that a stage applies; on the way it is the network plugin's."""
    for file in wanted.plan.lock.files:
        if file.kind == "manifest" and (last or CALICO in file.needed_by):
            yield file.path


def _alone(running: Running, wanted: WantedState) -> Iterator[Fault]:
    """Another network plugin without another Kubernetes."""
    if running.cni != wanted.state.cni:
        yield Fault(
            where="cni",
            what="the network plugin is changed along with an upgrade of Kubernetes, not alone",
            expected=running.cni,
            hint="apply its manifests out of the bundle by hand: `airseed export --manifests-only`",
        )


def _packages(plan: Plan) -> tuple[list[str], list[str]]:
    """Return the packages of Kubernetes as yum takes them: kubeadm's, and kubelet's."""
    wanted = [p.nevra for p in plan.lock.packages if p.requested and KUBEADM in p.needed_by]
    kubeadm = [str(name) for name in wanted if name.name in _FIRST]
    return kubeadm, [str(name) for name in wanted if name.name not in _FIRST]
