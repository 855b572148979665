"""Plans of other releases than the catalog has, for every version of kubeadm's documents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import plans

from builder.model.catalog.kubernetes import DualStack, RuntimeSupport
from builder.model.configuration import Configuration
from builder.model.version import Version

if TYPE_CHECKING:
    from builder.render.plan import Plan

API = {22: "v1beta3", 30: "v1beta3", 31: "v1beta4", 36: "v1beta4"}
SOCKET = "unix:///run/containerd/containerd.sock"


def of_release(plan: Plan, minor: int) -> Plan:
    """Return the same plan for another minor version, with what facts say of that one."""
    version = Version(1, minor, 0)
    release = plan.choice.kubernetes
    series = replace(
        release.of,
        series=version.series,
        kubeadm=API[minor],
        registry={0: "registry.k8s.io"},
        components=tuple(
            replace(one, path="coredns/coredns") if one.name == "coredns" else one
            for one in release.of.components
        ),
        runtimes={name: RuntimeSupport(socket=SOCKET) for name in release.of.runtimes},
        taints=("node-role.kubernetes.io/control-plane",),
        dual_stack=DualStack(),
    )
    tables = tuple(plans.catalog().configurations[name] for name in series.configurations)
    kubernetes = replace(
        release,
        version=version,
        of=series,
        tags={"pause": "3.9", "etcd": "3.5.12-0", "coredns": "v1.11.1"},
        configuration=Configuration((1, minor), tables),
    )
    return replace(
        plan,
        cluster=replace(plan.cluster, kubernetes=version),
        choice=replace(plan.choice, kubernetes=kubernetes),
    )
