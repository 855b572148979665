"""What a program of the control plane is to read must be in its pod, and on its machine."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from builder.formats.cluster.machine_rules import remark_unlaid
from builder.formats.cluster.network_rules import said
from builder.formats.cluster.setting import ARGUMENT_PLACES
from builder.formats.reading import WRONG
from builder.model.allowed import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.reading import Reading
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster, Node

_KIND = "ClusterConfiguration"
_PKI = "/etc/kubernetes/pki"
_CERTIFICATES = "/etc/ssl/certs"
_MORE = ("/etc/pki", "/usr/share/ca-certificates")
"""What kubeadm mounts beside certificates where the machine has it."""
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_ROLE = "control-plane"
_MADE = ("DirectoryOrCreate", "FileOrCreate")


def check(cluster: Cluster, release: KubernetesRelease, reading: Reading) -> None:
    nodes = [(i, node) for i, node in enumerate(cluster.nodes) if node is not WRONG]
    for program in _PROGRAMS:
        ((_, place),) = ARGUMENT_PLACES[program]
        key = place[0]
        mounted = {*release.programs.volumes.get(key, ())}
        mounted |= {*_MORE} if _CERTIFICATES in mounted else set()
        for name, values in release.allowed.get(program, {}).items():
            found = said(cluster, nodes, _KIND, place, name)
            if values.form != FILE or found is None or not found[1].startswith("/"):
                continue
            path, file = found
            if any(_is_in(file, volume) for volume in mounted):
                if _is_in(file, _PKI) and file not in release.files:
                    remark_unlaid(file, path, cluster, reading, role=_ROLE)
                continue
            own = [one for one in _volumes(cluster, nodes, key) if _is_in(file, one[1])]
            if not own:
                reading.wrong(
                    path,
                    f"{program} would not start: its pod has no {file[:80]}",
                    hint=f"mount it with kubeadm.{_KIND}.{key}.extraVolumes, and lay it with "
                    "roles.control-plane.machine.files",
                )
            for host, inside, kind in own:
                if kind not in _MADE:
                    on_machine = host + file.removeprefix(inside)
                    remark_unlaid(on_machine, path, cluster, reading, role=_ROLE)


def _is_in(file: str, place: str) -> bool:
    return place in {file, *map(str, PurePosixPath(file).parents)}


def _volumes(
    cluster: Cluster, nodes: list[tuple[int, Node]], key: str
) -> Iterator[tuple[str, str, str]]:
    """Yield place on the machine, place in the pod and type of what the user has mounted."""
    first = next((node for _, node in nodes if node.role == "control-plane"), None)
    volumes: Any = ()
    for overrides in cluster.kubeadm_of(first) if first else ():
        component = overrides.get(_KIND, {}).get(key)
        volumes = component.get("extraVolumes", volumes) if isinstance(component, dict) else volumes
    for one in volumes if isinstance(volumes, list) else ():
        if isinstance(one, dict):
            host, place, kind = (
                str(one.get(name) or "") for name in ("hostPath", "mountPath", "pathType")
            )
            yield host.rstrip("/"), place.rstrip("/"), kind
