"""Another container runtime: from docker to containerd, back, or another release of the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.change import Findings, Stage
from builder.model.demand import RUNTIME
from builder.model.version import Version, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.catalog.runtimes import RuntimeRelease
    from builder.model.change import Running
    from builder.pipeline.changes.kind import WantedState

PLAN = "runtime"
TAKES = ("nodes.*.runtime",)
_DISTURBANCE = {
    "control-plane": "its API server and etcd are away for a minute or two, pods move away",
    "worker": "pods move away and may come back",
}


def changes(running: Running, wanted: WantedState) -> Findings:
    """Switch all nodes, before any upgrade: the release that runs has to take both runtimes."""
    target = wanted.state.by_name
    moved = {n.name: n.runtime for n in running.nodes if n.name in target}
    moved = {name: before for name, before in moved.items() if before != target[name].runtime}
    idle = Fault(where="--keep-docker", what="does nothing here: no machine leaves docker")
    remarks = (idle,) if wanted.options.keep_docker else ()
    if not moved:
        return Findings(remarks=remarks)
    catalog = wanted.workspace.catalog
    after = wanted.plan.choice.runtime
    before = catalog.runtime(*next(iter(moved.values())).split(" ", 1))
    release = catalog.kubernetes(Version.parse(running.kubernetes))
    faults = tuple(_refused(release, before, after, wanted))
    if faults:
        return Findings(faults=faults)
    nodes = tuple(
        replace(node, runtime=str(after)) if node.name in moved else node for node in running.nodes
    )
    own = _names(before, wanted).keys() - _names(after, wanted).keys()
    left = () if wanted.options.keep_docker or before.name == after.name else own
    values = {"RUNTIME_BEFORE": before.name, "LEAVE": " ".join(sorted(left))}
    if running.kubernetes != wanted.state.kubernetes:  # whose packages come later
        values["PACKAGES"] = " ".join(_packages(wanted))
    stage = Stage(
        plan=PLAN,
        nodes=tuple(name for name in wanted.turns(running) if name in moved),
        what=f"{before} -> {after}",
        reason=f"cluster.yaml says runtime: {after}",
        words=f"{PLAN}-{after.name}-{after.version}",
        disturbance=_DISTURBANCE,
        values=values,
        after=replace(running, nodes=nodes, sums=wanted.state.sums),
    )
    return Findings(stages=(stage,), remarks=() if before.name != after.name else remarks)


def _refused(
    release: KubernetesRelease, before: RuntimeRelease, after: RuntimeRelease, wanted: WantedState
) -> Iterator[Fault]:
    where = "runtime"
    try:
        support = release.runtime(after.name)
    except NotInCatalogError as error:
        yield Fault(where=where, what=error.what, expected=error.expected, hint=error.hint)
        return
    if numbers(support.oldest or "") > numbers(after.version):
        what = f"Kubernetes {release.version}, which runs, does not take {after}"
        yield Fault(where=where, what=what, expected=f"{after.name} {support.oldest} or newer")
    was, will = _names(before, wanted), _names(after, wanted)
    for name in was.keys() & will.keys():
        if numbers(will[name]) < numbers(was[name]):
            what = f"{before} came with {name} {was[name]}, and {after} comes with {will[name]}"
            hint = f"choose a {after.name} that comes with {name} {was[name]} or a newer one"
            yield Fault(where=where, what=f"{what}: yum goes no way back", hint=hint)
    known = {hop.release for hop in wanted.workspace.hops}
    bundled = wanted.plan.cluster.registry is None and before.name != after.name
    if bundled and str(release.version) not in known:
        what = f"the runtime is changed first, and the bundle has no images of {release.version}"
        hint = f"set changes: {{from: {release.version}}}, then airseed lock and airseed bundle"
        yield Fault(where=where, what=what, expected="a lock that leads from there", hint=hint)


def _names(release: RuntimeRelease, wanted: WantedState) -> Mapping[str, str]:
    """Return the versions of a runtime's packages by name."""
    system = wanted.plan.choice.os
    return {
        package.name: (package.evr or "").rpartition(":")[2].partition("-")[0]
        for package in release.packages(system)
    }


def _packages(wanted: WantedState) -> Iterator[str]:
    names = _names(wanted.plan.choice.runtime, wanted)
    for package in wanted.plan.lock.packages:
        if RUNTIME in package.needed_by and package.nevra.name in names:
            yield str(package.nevra)
