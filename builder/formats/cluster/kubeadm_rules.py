"""What ``kubeadm:`` says, checked like the same thing in a key of cluster.yaml.

An argument is checked in either form: in a mapping, and in a list of names and values.
"""

from __future__ import annotations

import re
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from builder.formats.cluster.labels import label_misfit
from builder.formats.cluster.terms import DNS_NAME, LABEL_KEY, LABEL_VALUE, taint
from builder.formats.reading import WRONG, MisfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster

_EXTRA = ("nodeRegistration", "kubeletExtraArgs")
_ADDRESS = re.compile(r"[0-9.]+")
_MOST_PODS = 2**31 - 1
_USUAL_PODS = "110, for example"
_USERSPACE_ENDS = 26
_SIGNALS = {
    "memory.available", "allocatableMemory.available", "pid.available",
    *(f"{fs}.{what}" for fs in ("nodefs", "imagefs") for what in ("available", "inodesFree")),
}  # fmt: skip
_AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?")
_SHARE = re.compile(rf"{_AMOUNT.pattern}|[0-9]+(?:\.[0-9]*)?%")
_VOLUME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FILE_TYPES = (
    "", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice",
    "BlockDevice",
)  # fmt: skip
_OWN_VOLUMES = {
    "apiServer": {"/etc/kubernetes/pki": "k8s-certs", "/etc/ssl/certs": "ca-certs"},
    "controllerManager": {
        "/etc/kubernetes/pki": "k8s-certs",
        "/etc/ssl/certs": "ca-certs",
        "/etc/kubernetes/controller-manager.conf": "kubeconfig",
    },
    "scheduler": {"/etc/kubernetes/scheduler.conf": "kubeconfig"},
}
"""What kubeadm mounts: one of its name takes its place, one at its place makes the pod invalid."""
_GRACE = "evictionSoftGracePeriod"
_THRESHOLDS = ("evictionHard", "evictionSoft", _GRACE, "evictionMinimumReclaim")
_AMOUNTS = {
    **dict.fromkeys(("evictionHard", "evictionSoft", "evictionMinimumReclaim"), _SHARE),
    **dict.fromkeys(("kubeReserved", "systemReserved"), _AMOUNT),
}
"""Fields of KubeletConfiguration that hold amounts."""
_CPUS = "reservedSystemCPUs"
_STARTS = "kubelet would not start with it"
_RESERVED = 3
"""Of a node's range: network, broadcast, and the node's own."""


def check(
    kind: str, way: tuple[str, ...], said: Any, path: str, cluster: Cluster, reading: Reading
) -> None:
    """Check one value at its way through a document of a kind."""
    rule = _RULES.get((kind, way))
    if rule is not None:
        rule(said, path, cluster, reading)


def _labels(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    del cluster  # the rules of all have one form
    for pair in str(said).split(","):
        key, _, value = pair.strip().partition("=")
        if not pair.strip():
            continue
        misfit = label_misfit(key)
        if not re.fullmatch(LABEL_KEY, key) or not re.fullmatch(LABEL_VALUE, value):
            reading.wrong(path, f"{pair.strip()[:80]!r} is not a label", expected="KEY=VALUE,...")
        elif misfit:
            reading.wrong(path, f"{key}: {misfit[0]}", hint=misfit[1])


def _amounts(
    said: Any, path: str, cluster: Cluster, reading: Reading, *, mark: str, form: re.Pattern[str]
) -> None:
    del cluster
    for pair in filter(None, str(said).split(",")):
        if not form.fullmatch(pair.strip().partition(mark)[2]):
            what = f"{_STARTS}: {pair.strip()[:80]!r} has no amount"
            reading.wrong(path, what, expected=f"NAME{mark}AMOUNT,...")


def _servers(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """A DNS server of pods is a Service, or a cache on the node under a link-local address."""
    network = cluster.network
    servers = said if isinstance(said, list) else str(said).split(",")
    for number, text in enumerate(servers):
        where = f"{path}[{number}]" if isinstance(said, list) else path
        try:
            server = ip_address(str(text).strip())
        except ValueError:
            reading.wrong(where, f"{str(text)[:60]!r} is not an IP address")
            continue
        if network is WRONG or server.is_link_local or server == network.dns:
            continue
        if not any(server.version == one.version and server in one for one in network.services):
            reading.wrong(
                where,
                f"{server} is in no service subnet, so no DNS answers there",
                expected=f"{network.dns}, which is the cluster's DNS",
                hint="leave it out, or set network.services",
            )


def _pods(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """As many pods as a node may have need addresses."""
    text = str(said)
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PODS):
        reading.wrong(path, f"{text[:40]!r} is not a number of pods", expected=_USUAL_PODS)
    elif cluster.network is not WRONG and cluster.network.pods:
        pods = cluster.network.pods[0]
        room = pods.num_addresses // max(len(cluster.nodes), 1) - _RESERVED
        if int(text) > room:
            reading.wrong(
                path,
                f"{int(text):,} pods on each of {len(cluster.nodes)} nodes do not fit into "
                f"network.pods ({pods})",
                expected=f"{max(room, 1):,} or fewer",
                hint="take a larger range for network.pods",
            )


def _sans(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """Addresses and names, of which the first part may be ``*``, are what kubeadm takes."""
    del cluster
    for number, name in enumerate(said if isinstance(said, list) else ()):
        if name is None:
            continue  # said elsewhere
        try:
            ip_address(str(name))
        except ValueError:
            if not re.fullmatch(rf"(?:\*\.)?{DNS_NAME}", str(name)) or _ADDRESS.fullmatch(
                str(name)
            ):
                reading.wrong(
                    f"{path}[{number}]",
                    f"{str(name)[:60]!r} is not a name for a certificate",
                    expected="an address, or a name without scheme and port",
                )


def _volumes(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """Check what a pod is invalid with, or would lack."""
    del cluster
    own = _OWN_VOLUMES[path.split(".")[-2]]
    places, names = dict.fromkeys(own, "kubeadm"), dict.fromkeys(own.values(), "kubeadm")
    for number, one in enumerate(said if isinstance(said, list) else ()):
        where = f"{path}[{number}]"
        if not isinstance(one, dict):
            continue
        name, host, place, kind = (
            str(one.get(key) or "") for key in ("name", "hostPath", "mountPath", "pathType")
        )
        for key, value, seen in (("name", name, names), ("mountPath", place.rstrip("/"), places)):
            if value in seen:
                reading.wrong(f"{where}.{key}", f"{value[:80]!r} is {seen[value]}'s already")
            elif value:
                seen[value] = where
        if name and not _VOLUME.fullmatch(name):
            reading.wrong(
                f"{where}.name", f"{name[:80]!r} is not a name for a volume",
                expected="lower-case letters, digits and dashes",
            )  # fmt: skip
        if host and (not host.startswith("/") or ".." in host.split("/")):
            reading.wrong(f"{where}.hostPath", f"{host[:80]!r} is not an absolute path")
        if kind not in _FILE_TYPES:
            expected = " or ".join(_FILE_TYPES[1:])
            reading.wrong(f"{where}.pathType", f"there is no {kind[:80]!r}", expected=expected)


def _taints(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    del cluster
    for number, one in enumerate(said if isinstance(said, list) else ()):
        if isinstance(one, dict) and all(isinstance(text, str) for text in one.values()):
            value = f"={one['value']}" if one.get("value") else ""
            try:
                taint(f"{one.get('key', '')}{value}:{one.get('effect', '')}")
            except MisfitError as misfit:
                reading.wrong(f"{path}[{number}]", str(misfit), hint=misfit.hint)


def _node_ip(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    # at a node it is that node's
    place = re.match(r"nodes\[([0-9]+)\]\.", path)
    nodes = (cluster.nodes[int(place[1])],) if place else cluster.nodes
    if WRONG in nodes:
        return
    own = {str(address.ip) for node in nodes for address in node.addresses}
    for text in str(said).split(","):
        if text.strip() not in own:
            reading.wrong(
                path,
                f"{text.strip()[:60]!r} is not an address of the node",
                hint="say it with nodes[].address",
            )


def _admission(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    if cluster.registry is None and "AlwaysPullImages" in str(said).split(","):
        reading.wrong(
            path,
            "AlwaysPullImages has each image pulled, and without registry nothing serves any",
            hint="leave it out, or set registry",
        )


def _mode(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """Name what kube-proxy does here: nftables needs a newer kernel than these systems have."""
    old = cluster.kubernetes is not WRONG and (cluster.kubernetes.minor < _USERSPACE_ENDS)
    if str(said) not in {"", "iptables", "ipvs", *(("userspace",) if old else ())}:
        reading.wrong(
            path,
            f"{str(said)[:40]!r} does not go with first boot: kube-proxy knows no such mode here",
            expected="iptables or ipvs",
        )


def _kubelet(said: Any, path: str, cluster: Cluster, reading: Reading) -> None:
    """Check what kubelet compares when it starts, and ends at."""
    del cluster

    def given(name: str) -> dict[str, Any]:
        return value if isinstance(value := said.get(name), dict) else {}

    for name in _THRESHOLDS:
        for signal in sorted(map(str, given(name).keys() - _SIGNALS)):
            reading.wrong(
                f"{path}.{name}.{signal}",
                f"{_STARTS}: it watches nothing of this name",
                expected=", ".join(sorted(_SIGNALS)),
            )
    for name, form in _AMOUNTS.items():
        for what, amount in sorted(given(name).items()):
            if amount is not None and not form.fullmatch(str(amount)):
                reading.wrong(
                    f"{path}.{name}.{what}",
                    f"{_STARTS}: {str(amount)[:40]!r} is not an amount",
                    expected="a number with or without a unit, like 500Mi",
                )
    for signal in sorted(map(str, given("evictionSoft").keys() - given(_GRACE).keys())):
        reading.wrong(
            f"{path}.evictionSoft.{signal}", f"{_STARTS}: {_GRACE} has no time for {signal}"
        )
    low, high = (
        said.get(f"imageGC{which}ThresholdPercent", usual)
        for which, usual in (("Low", 80), ("High", 85))
    )
    if isinstance(low, int) and isinstance(high, int) and low >= high:
        reading.wrong(
            f"{path}.imageGCHighThresholdPercent"
            if "imageGCHighThresholdPercent" in said
            else f"{path}.imageGCLowThresholdPercent",
            f"{_STARTS}: it begins to take images at {high} % and ends at {low} %",
            expected="imageGCLowThresholdPercent below imageGCHighThresholdPercent",
        )
    reserved = given("kubeReserved").get("cpu") or given("systemReserved").get("cpu")
    if said.get("cpuManagerPolicy") == "static" and not (reserved or said.get(_CPUS)):
        reading.wrong(
            f"{path}.cpuManagerPolicy",
            f"{_STARTS}: the static policy has to know which processors are the system's",
            expected=f"{_CPUS}, or cpu in kubeReserved or systemReserved",
        )


_RULES: dict[tuple[str, tuple[str, ...]], Callable[[Any, str, Cluster, Reading], None]] = {
    **{
        (kind, (*_EXTRA, name)): rule
        for kind in ("InitConfiguration", "JoinConfiguration")
        for name, rule in (
            ("node-labels", _labels),
            ("eviction-hard", partial(_amounts, mark="<", form=_SHARE)),
            ("eviction-soft", partial(_amounts, mark="<", form=_SHARE)),
            ("eviction-minimum-reclaim", partial(_amounts, mark="=", form=_SHARE)),
            ("kube-reserved", partial(_amounts, mark="=", form=_AMOUNT)),
            ("system-reserved", partial(_amounts, mark="=", form=_AMOUNT)),
            ("cluster-dns", _servers),
            ("max-pods", _pods),
            ("node-ip", _node_ip),
        )
    },
    ("ClusterConfiguration", ("apiServer", "extraArgs", "enable-admission-plugins")): _admission,
    ("ClusterConfiguration", ("apiServer", "extraArgs", "admission-control")): _admission,
    **{
        (kind, ("nodeRegistration", "taints")): _taints
        for kind in ("InitConfiguration", "JoinConfiguration")
    },
    **{
        ("ClusterConfiguration", place): _sans
        for place in (
            ("apiServer", "certSANs"),
            ("etcd", "local", "serverCertSANs"),
            ("etcd", "local", "peerCertSANs"),
        )
    },
    **{("ClusterConfiguration", (one, "extraVolumes")): _volumes for one in _OWN_VOLUMES},
    ("KubeletConfiguration", ("clusterDNS",)): _servers,
    ("KubeletConfiguration", ("maxPods",)): _pods,
    ("KubeletConfiguration", ()): _kubelet,
    ("KubeProxyConfiguration", ("mode",)): _mode,
}
