"""What kubelet would not start with, or a node not work with: its arguments and its document."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from builder.formats.cluster.labels import label_misfit
from builder.formats.cluster.machine_rules import remark_unlaid, whole_machines
from builder.formats.cluster.setting import ARGUMENT_PLACES, argument_of
from builder.formats.cluster.terms import LABEL_KEY, LABEL_VALUE
from builder.formats.reading import WRONG
from builder.model.allowed import AMOUNT
from builder.model.arguments import TRUE
from builder.model.catalog.paths import real
from builder.model.choice import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.formats.cluster.setting import Setting
    from builder.model.cluster import Cluster

_MOST_PODS = 2**31 - 1
_USUAL_PODS = "110, for example"
_RESERVED = 3
"""Of a node's range: network, broadcast, and the node's own."""
_SIGNALS = {
    "memory.available", "allocatableMemory.available", "pid.available",
    *(f"{fs}.{what}" for fs in ("nodefs", "imagefs") for what in ("available", "inodesFree")),
}  # fmt: skip
_SHARE = re.compile(rf"{AMOUNT.pattern}|[0-9]+(?:\.[0-9]*)?%")
_GRACE = "evictionSoftGracePeriod"
_THRESHOLDS = ("evictionHard", "evictionSoft", _GRACE, "evictionMinimumReclaim")
_AMOUNTS = {
    **dict.fromkeys(("evictionHard", "evictionSoft", "evictionMinimumReclaim"), _SHARE),
    **dict.fromkeys(("kubeReserved", "systemReserved"), AMOUNT),
}
"""Fields of KubeletConfiguration that hold amounts."""
_LOW, _HIGH = "imageGCLowThresholdPercent", "imageGCHighThresholdPercent"
_CPUS = "reservedSystemCPUs"
_STARTS = "kubelet would not start with it"
_ENFORCED = "enforceNodeAllocatable"
_CGROUPS = {"kube-reserved": "kubeReservedCgroup", "system-reserved": "systemReservedCgroup"}
"""Which field says whose cgroup it is."""
_SLICE = ".slice"
_HIERARCHIES = "/sys/fs/cgroup/{cpu,cpuset,memory,pids,hugetlb,systemd}"
"""Where kubelet looks for a cgroup."""
_DROP_IN = re.compile(r"/kubelet\.service(?:\.d/|$)|\.(?:sh|service|slice)$")
"""Files that may make a cgroup; what is in a file beside cluster.yaml is not known here."""
_RESOLVER = "/etc/resolv.conf"
_RESOLVED = "/run/systemd/resolve/"
_KERNEL = {"vm.overcommit_memory": 1, "kernel.panic": 10}
"""What kubelet wants of the kernel (pkg/util/sysctl) and EL7 has otherwise."""
_SYSCTL = re.compile(r"^/etc/sysctl\.(?:d/|conf$)")


def _labels(setting: Setting) -> None:
    for pair in filter(None, setting.words):
        key, _, value = pair.partition("=")
        misfit = label_misfit(key)
        if not re.fullmatch(LABEL_KEY, key) or not re.fullmatch(LABEL_VALUE, value):
            setting.wrong(f"{pair[:80]!r} is not a label", expected="KEY=VALUE,...")
        elif misfit:
            setting.wrong(f"{key}: {misfit[0]}", hint=misfit[1])


def _pairs(setting: Setting, *, mark: str, form: re.Pattern[str]) -> None:
    for pair in filter(None, setting.words):
        if not form.fullmatch(pair.partition(mark)[2]):
            what = f"{_STARTS}: {pair[:80]!r} has no amount"
            setting.wrong(what, expected=f"NAME{mark}AMOUNT,...")


def dns_servers(setting: Setting) -> None:
    """A DNS server of pods is a Service, or a cache on the node under a link-local address."""
    network = setting.cluster.network
    listed = isinstance(setting.value, list)
    for at, text in setting.entries if listed else (("", word) for word in setting.words):
        try:
            server = ip_address(str(text).strip())
        except ValueError:
            setting.wrong(f"{str(text)[:60]!r} is not an IP address", at=at)
            continue
        if network is WRONG or server.is_link_local or server == network.dns:
            continue
        if not any(server.version == one.version and server in one for one in network.services):
            setting.wrong(
                f"{server} is in no service subnet, so no DNS answers there",
                at=at,
                expected=f"{network.dns}, which is the cluster's DNS",
                hint="leave it out, or set network.services",
            )


def most_pods(setting: Setting) -> None:
    """As many pods as a node may have need addresses."""
    text, cluster = str(setting.value), setting.cluster
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PODS):
        setting.wrong(f"{text[:40]!r} is not a number of pods", expected=_USUAL_PODS)
    elif cluster.network is not WRONG and cluster.network.pods:
        pods = cluster.network.pods[0]
        room = pods.num_addresses // max(len(cluster.nodes), 1) - _RESERVED
        if int(text) > room:
            setting.wrong(
                f"{int(text):,} pods on each of {len(cluster.nodes)} nodes do not fit into "
                f"network.pods ({pods})",
                expected=f"{max(room, 1):,} or fewer",
                hint="take a larger range for network.pods",
            )


def _node_ip(setting: Setting) -> None:
    """Whoever says it for one node says that node's address."""
    nodes = setting.cluster.nodes
    if place := re.match(r"nodes\[([0-9]+)\]\.", setting.path):
        nodes = (nodes[int(place[1])],)
    if WRONG in nodes:
        return
    own = {str(address.ip) for node in nodes for address in node.addresses}
    for text in setting.words:
        if text not in own:
            what = f"{text[:60]!r} is not an address of the node"
            setting.wrong(what, hint="say it with nodes[].address")


def document(setting: Setting) -> None:
    """Check what kubelet compares when it starts, and ends at."""
    given = {key: value for key, value in setting.value.items() if isinstance(value, dict)}
    for name in _THRESHOLDS:
        for signal in sorted(map(str, given.get(name, {}).keys() - _SIGNALS)):
            what = f"{_STARTS}: it watches nothing of this name"
            setting.wrong(what, at=f".{name}.{signal}", expected=", ".join(sorted(_SIGNALS)))
    for name, form in _AMOUNTS.items():
        for what, amount in sorted(given.get(name, {}).items()):
            if amount is not None and not form.fullmatch(str(amount)):
                setting.wrong(
                    f"{_STARTS}: {str(amount)[:40]!r} is not an amount",
                    at=f".{name}.{what}",
                    expected="a number with or without a unit, like 500Mi",
                )
    soft, grace = given.get("evictionSoft", {}), given.get(_GRACE, {})
    for signal in sorted(map(str, soft.keys() - grace.keys())):
        setting.wrong(f"{_STARTS}: {_GRACE} has no time for {signal}", at=f".evictionSoft.{signal}")
    _image_collection(setting)
    _reserved(setting)
    reserved = any(given.get(key, {}).get("cpu") for key in ("kubeReserved", "systemReserved"))
    if setting.value.get("cpuManagerPolicy") == "static" and not (
        reserved or setting.value.get(_CPUS)
    ):
        setting.wrong(
            f"{_STARTS}: the static policy has to know which processors are the system's",
            at=".cpuManagerPolicy",
            expected=f"{_CPUS}, or cpu in kubeReserved or systemReserved",
        )


def _reserved(setting: Setting) -> None:
    """Check the cgroups of what is reserved, as far as no argument says otherwise."""
    given = setting.value
    enforced = given.get(_ENFORCED)
    if given.get("cgroupsPerQOS") is False and enforced not in ([], ["none"]):
        what = f"{_STARTS}: {_ENFORCED} needs it"
        setting.wrong(what, at=".cgroupsPerQOS", expected=f"{_ENFORCED}: [none] beside it")
    for number, one in enumerate(enforced if isinstance(enforced, list) else ()):
        field = _CGROUPS.get(str(one).removesuffix("-compressible"))
        if field and given.get(field):
            cgroup(replace(setting, value=given[field], path=f"{setting.path}.{field}"))
        elif field and not _is_argument(field, setting.cluster):
            what = f"{_STARTS}: it does not say which cgroup that is"
            setting.wrong(what, at=f".{_ENFORCED}[{number}]", expected=f"{field} beside it")
    taken = [field for field in _CGROUPS.values() if given.get(field)]
    if given.get(_CPUS) and taken:
        what = f"{_STARTS}: processors are not reserved beside {taken[0]}"
        setting.wrong(what, at=f".{_CPUS}", expected="one of the two")
    if given.get("systemCgroups") and not given.get("cgroupRoot"):
        what = f"{_STARTS}: that needs cgroupRoot"
        setting.wrong(what, at=".systemCgroups", expected="cgroupRoot beside it")


def _is_argument(field: str, cluster: Cluster) -> bool:
    name = argument_of(field)
    return any(
        cluster.argument(node, kind, place, name)
        for node in cluster.nodes
        if node is not WRONG and WRONG not in (node.kubeadm, cluster.roles, cluster.kubeadm)
        for kind, place in ARGUMENT_PLACES["kubelet"]
    )


def cgroup(setting: Setting) -> None:
    """A cgroup has to be there in every hierarchy, and systemd 219 makes slices in some of them."""
    name = str(setting.value).strip("/").removesuffix(_SLICE)
    for node, machine in whole_machines(setting.cluster) if name else ():
        texts = [*machine.before, *(one.content or "" for one in machine.files)]
        unread = any(one.source and _DROP_IN.search(one.path) for one in machine.files)
        if not unread and not any(name in text for text in texts):
            setting.wrong(
                f"{_STARTS}: nothing makes the cgroup {str(setting.value)[:80]!r} on {node}",
                hint="lay a drop-in for kubelet.service with machine.files: ExecStartPre=/bin/bash "
                f"-c 'mkdir -p {_HIERARCHIES}/{name[:80]}{_SLICE}'",
            )
            return


def on_machine(setting: Setting) -> None:
    """Remark where nothing lays a file, or a folder with files: the image has to have it."""
    if setting.value:
        remark_unlaid(str(setting.value), setting.path, setting.cluster, setting.reading)


def resolver(setting: Setting) -> None:
    """EL7 has no systemd-resolved, whose file others name here."""
    if str(setting.value).startswith(_RESOLVED):
        what = "no pod would start: these machines have no systemd-resolved"
        setting.wrong(what, expected=_RESOLVER)
    elif real(str(setting.value)) not in {_RESOLVER, "/run/NetworkManager/resolv.conf"}:
        on_machine(setting)


def _network(setting: Setting, *, usual: str) -> None:
    cni = setting.cluster.cni
    if cni is not WRONG and cni.name != NONE and usual not in setting.words:
        what = "kubelet would not find the network plugin, and the node not be Ready"
        setting.wrong(what, expected=usual)


def kernel(setting: Setting) -> None:
    """Check what kubelet compares with the kernel when it may not set it itself."""
    if str(setting.value).lower() not in TRUE:
        return
    for node, machine in whole_machines(setting.cluster):
        texts = [*machine.before, *(one.content or "" for one in machine.files)]
        if any(one.source and _SYSCTL.search(one.path) for one in machine.files):
            continue  # what is in it is not known here
        lacking = [name for name in _KERNEL if not any(name in text for text in texts)]
        if lacking:
            setting.wrong(
                f"{_STARTS}: the kernel of {node} has another {' and '.join(lacking)}",
                hint="lay a file into /etc/sysctl.d with machine.files: "
                + ", ".join(f"{name} = {value}" for name, value in _KERNEL.items()),
            )
            return


def _image_collection(setting: Setting) -> None:
    usual = setting.release.programs.image_gc
    low: Any = setting.value.get(_LOW, usual.get("low"))
    high: Any = setting.value.get(_HIGH, usual.get("high"))
    if isinstance(low, int) and isinstance(high, int) and low >= high:
        setting.wrong(
            f"{_STARTS}: it begins to take images at {high} % and ends at {low} %",
            at=f".{_HIGH if _HIGH in setting.value else _LOW}",
            expected=f"{_LOW} below {_HIGH}",
        )


ARGUMENTS: dict[str, Callable[[Setting], None]] = {
    "node-labels": _labels,
    "eviction-hard": partial(_pairs, mark="<", form=_SHARE),
    "eviction-soft": partial(_pairs, mark="<", form=_SHARE),
    "eviction-minimum-reclaim": partial(_pairs, mark="=", form=_SHARE),
    "kube-reserved": partial(_pairs, mark="=", form=AMOUNT),
    "system-reserved": partial(_pairs, mark="=", form=AMOUNT),
    "cluster-dns": dns_servers,
    "max-pods": most_pods,
    "node-ip": _node_ip,
    "cgroup-root": cgroup,
    "kube-reserved-cgroup": cgroup,
    "system-reserved-cgroup": cgroup,
    "resolv-conf": resolver,
    "network-plugin": partial(_network, usual="cni"),
    "cni-conf-dir": partial(_network, usual="/etc/cni/net.d"),
    "cni-bin-dir": partial(_network, usual="/opt/cni/bin"),
    "tls-cert-file": on_machine,
    "tls-private-key-file": on_machine,
    "protect-kernel-defaults": kernel,
}
