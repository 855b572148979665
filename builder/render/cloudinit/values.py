"""The env file: all values that the node's scripts know, and nothing secret.

The scripts are the same on every node, byte for byte; what differs stands in ``node.env``, which
they read with bash's ``source``.
"""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.model.allowed import port_range
from builder.model.choice import CALICO, NONE
from builder.model.image_names import ImageNames
from builder.model.machine import NOTHING_SAID
from builder.render.cloudinit import network, packages
from builder.render.engine import quoted
from builder.render.kubeadm import eviction
from builder.render.kubeadm.start import CGROUP_DRIVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster, Node
    from builder.model.machine import Machine
    from builder.render.plan import Plan

_HOUR = 3600
_MIB = 1 << 20
_LEAST_ROOM = 4096
"""MiB that a node needs whatever its bundle holds."""
_ROOM_OF_IMAGES, _ROOM_OF_PACKAGES = 5, 4
"""What a compressed byte takes until all is in place: a layer's copy on the node, the runtime's own
while it loads, and some three times as much unpacked; a package once less."""
_OF_IMAGES = (
    "KUBERNETES",
    "RUNTIME",
    "KUBEADM_FILES",
    "CRI_SOCKET",
    "CGROUP_DRIVER",
    "SUMS",
    "MADE_BYTES",
    "REGISTRY",
    "SANDBOX_IMAGE",
    "REPOSITORIES",
    "POD_SUBNETS",
)
"""Values of the cluster that an image is made by."""
_YUM = "yum/"
_JOIN = "JoinConfiguration"
_KINDS = {"init": "InitConfiguration"}
_KUBERNETES = "/etc/kubernetes/"


def env(plan: Plan, node: Node, more: Mapping[str, str] | None = None) -> str:
    """Return the text of ``node.env``: one ``NAME='value'`` a line.

    Every name is always there, but for those of an endpoint that nodes don't keep up themselves.
    What a change has ``more`` comes behind, or in the place of what it says otherwise.
    """
    machine = plan.cluster.machine_of(node)
    values = {
        **_node(plan, node),
        **plan.once("env", lambda: _cluster(plan)),
        **_endpoint(plan, node),
        "PACKAGES": " ".join(packages.of(plan, machine, node.role)),
        **_outside(plan, node, machine),
        **_snapshots(node, machine),
        **(more or {}),
    }
    return "".join(f"AIRSEED_{name}={quoted(value)}\n" for name, value in values.items())


def image_env(plan: Plan, *, url: str) -> str:
    """Return the text of ``image.env``, from which an image is baked: nothing of one machine.

    What only some machines ask for is not in it; ``url`` is where the guest finds the bundle.
    """
    machine = plan.cluster.machine
    shared = plan.once("env", lambda: _cluster(plan))
    values = {
        "CLUSTER": plan.cluster.name,
        **{name: shared[name] for name in _OF_IMAGES},
        "PAYLOAD_URL": url,
        "IMAGES": images(plan, "control-plane"),
        "PACKAGES": " ".join(packages.of(plan, machine)),
        "HELD": " ".join(packages.held(plan, machine)),
        "KEEP": "1" if plan.cluster.image.keep else "",
        "SELINUX": machine.selinux or "permissive",
        "FIREWALL": machine.firewall or "off",
    }
    return "".join(f"AIRSEED_{name}={quoted(value)}\n" for name, value in values.items())


def _node(plan: Plan, node: Node) -> Mapping[str, str]:
    cluster, part = plan.cluster, plan.part(node)
    planes = cluster.control_planes if part == "init" else ()
    peers = (str(plane.address) for plane in planes if plane.name != node.name and plane.address)
    kind = _KINDS.get(part, _JOIN)
    lone = len(cluster.nodes) == 1 and not cluster.is_tainted(node, kind)
    return {
        "CLUSTER": cluster.name,
        "NODE": node.name,
        "ROLE": part,
        "IMAGES": images(plan, node.role),
        "GENERATION": str(node.generation),
        "ADDRESS": str(node.address or ""),
        "ADDRESSES": " ".join(str(address.ip) for address in node.addresses),
        # others need no list: they join whoever answers at the endpoint
        "PEERS": " ".join(peers),
        "CONTROL_PLANES": " ".join(plane.name for plane in planes),
        "WINDOW": str(cluster.seed.window * _HOUR) if part == "init" else "",
        "CNI_REACH": _words(_reached(plan)) if part == "init" else "",
        "SKIP_PHASES": ",".join(cluster.skipped_phases(node, kind)),
        "UNTAINT": "1" if lone else "",
        "KEEP_FREE": " ".join(eviction.kept_free(plan, node)),
        "NEED_MIB": str(plan.once(("room", node.role), lambda: _room(plan, node.role))),
    }


def _endpoint(plan: Plan, node: Node) -> Mapping[str, str]:
    """Say what keeps the endpoint up; of no node's concern where something else does."""
    endpoint = plan.cluster.endpoint
    if endpoint is None or endpoint.by is None:
        return {}
    keeper = plan.choice.keeper
    image = keeper.image if keeper and node.role in keeper.roles else None
    return {
        "ENDPOINT_BY": endpoint.by,
        "ENDPOINT_CARD": endpoint.interface or "",
        "ENDPOINT_PLANES": _words(plane.address for plane in plan.cluster.control_planes),
        "ENDPOINT_IMAGE": ImageNames(plan.cluster.registry).name(image) if image else "",
    }


def images(plan: Plan, role: str) -> str:
    """Return where the bundle has the lists of the images that a role starts."""
    subject = plan.lock.subject
    return f"{subject.kubernetes}/{role}" if subject.is_between else role


def _room(plan: Plan, role: str) -> int:
    """Return the MiB that must be free on a node before its packages and images arrive."""
    sizes = {blob.digest: blob.size for blob in plan.lock.blobs}
    images = 0
    for platform in plan.cluster.platforms:
        layers = {
            layer
            for image in plan.lock.images
            if role in image.roles
            for part in image.manifests
            if part.platform == platform
            for layer in part.layers
        }
        images = max(images, sum(sizes[layer] for layer in layers))
    packages = sum(package.size for package in plan.lock.packages)
    needed = _ROOM_OF_IMAGES * images + _ROOM_OF_PACKAGES * packages
    return max(_LEAST_ROOM, needed // _MIB)


def _cluster(plan: Plan) -> Mapping[str, str]:
    cluster, choice = plan.cluster, plan.choice
    return {
        "KUBERNETES": str(choice.kubernetes.version),
        "RUNTIME": choice.runtime.name,
        "KUBEADM_FILES": _words(_kubeadm_files(choice.kubernetes)),
        "CRI_SOCKET": choice.kubernetes.runtime(choice.runtime.name).socket,
        "CGROUP_DRIVER": CGROUP_DRIVER,
        "ENDPOINT": str(plan.endpoint or ""),
        "PKI": cluster.pki.kind,
        "SUMS": plan.sums.hex,
        "MADE_BYTES": str(plan.made_bytes),
        "PAYLOAD_URL": cluster.seed.url or "",
        "REGISTRY": str(cluster.registry or ""),
        "SANDBOX_IMAGE": ImageNames(cluster.registry).sandbox(choice.kubernetes.images),
        "REPOSITORIES": " ".join(repositories(plan)),
        "POD_SUBNETS": _words(cluster.network.pods),
        "SERVICE_SUBNETS": _words(cluster.network.services),
        "DOMAIN": cluster.network.domain,
        "CNI": f"{CALICO}-{choice.install}" if choice.calico else NONE,
        "PHONE_HOME": cluster.seed.phone_home or "",
    }


def _kubeadm_files(release: KubernetesRelease) -> Iterable[str]:
    """What is kubeadm's in /etc/kubernetes; all else there is the user's."""
    files = (path for path in release.files if path.startswith(_KUBERNETES))
    return (path.removeprefix(_KUBERNETES) for path in files)


def _reached(plan: Plan) -> Iterable[object]:
    """Yield whom Calico asks the way to where a machine has more addresses than the node's.

    By itself it takes the first one of a card, which may be the endpoint's.
    """
    cluster, endpoint = plan.cluster, plan.cluster.endpoint
    carried = endpoint and endpoint.by and endpoint.address
    if carried or any(cluster.machine_of(node).network.cards for node in cluster.nodes):
        families = {subnet.version for subnet in cluster.network.pods}
        yield from (one.ip for one in plan.first.addresses if one.ip.version in families)


def repositories(plan: Plan) -> Iterable[str]:
    """Return the names of the bundle's folders of packages."""
    folders = (file.path for file in plan.lock.files if file.kind == "repodata")
    return sorted({path.removeprefix(_YUM).partition("/")[0] for path in folders})


def _outside(plan: Plan, node: Node, machine: Machine) -> Mapping[str, str]:
    proxy = machine.proxy
    direct = _direct(plan, node, proxy.no) if proxy.http or proxy.https else ()
    return {
        "NTP": " ".join(machine.ntp),
        "HTTP_PROXY": proxy.http or "",
        "HTTPS_PROXY": proxy.https or "",
        "NO_PROXY": ",".join(dict.fromkeys(direct)),
        "SELINUX": machine.selinux or "permissive",
        "FIREWALL": machine.firewall or "off",
        "FIREWALL_PORTS": _words(_ports(plan, node)) if machine.firewall == "ports" else "",
        "ON_LINK": network.on_link(node, machine.network),
    }


_EVERY = "every"
"""The ports of Services, which each node has."""


def _snapshots(node: Node, machine: Machine) -> Mapping[str, str]:
    wanted = machine.snapshots if node.role == "control-plane" else NOTHING_SAID.snapshots
    return {
        "SNAPSHOTS_EVERY": wanted.every or "",
        "SNAPSHOTS_KEEP": str(wanted.keep or ""),
        "SNAPSHOTS_TO": wanted.to or "",
    }


def _ports(plan: Plan, node: Node) -> Iterable[str]:
    plugin = f"{CALICO}-{plan.choice.install}" if plan.choice.calico else NONE
    ports = plan.choice.kubernetes.ports
    keeper = plan.choice.keeper
    keys = (keeper.name,) if keeper and node.role in keeper.roles else ()
    ports = {**ports, _EVERY: _node_ports(plan) or ports[_EVERY]}
    return dict.fromkeys(port for key in (node.role, _EVERY, plugin, *keys) for port in ports[key])


def _node_ports(plan: Plan) -> tuple[str, ...]:
    """Return the ports of Services where ``kubeadm:`` has others than the usual ones."""
    place = ("apiServer", "extraArgs")
    said = plan.cluster.argument(
        plan.first, "ClusterConfiguration", place, "service-node-port-range"
    )
    if said is None:
        return ()
    first, last = port_range(said[2])
    return tuple(f"{first}-{last}/{protocol}" for protocol in ("tcp", "udp"))


def _direct(plan: Plan, node: Node, extra: Iterable[str]) -> Iterable[str]:
    """What no proxy may stand before; the nodes' networks, so that a new node changes no other."""
    yield from ("localhost", "127.0.0.1", "::1")
    yield from (str(address.ip) for address in node.addresses)
    others = plan.cluster.machine_of(node).network.cards
    yield from (str(ip_interface(str(a)).network) for card in others for a in card.addresses or ())
    yield from plan.once("direct", lambda: tuple(_direct_of_all(plan.cluster, plan.first)))
    yield from extra


def _direct_of_all(cluster: Cluster, first: Node) -> Iterable[str]:
    yield from (str(address.ip) for address in first.addresses)
    if cluster.endpoint:
        yield cluster.endpoint.host
    if cluster.registry:
        yield urlsplit(f"//{cluster.registry.host}").hostname or ""
    networks = {
        ip_network(str(address), strict=False)
        for node in cluster.nodes
        for address in node.addresses
        if address.prefix is not None
    }
    yield from sorted(map(str, networks))
    yield from map(str, (*cluster.network.pods, *cluster.network.services))
    yield from (".svc", f".{cluster.network.domain}")


def _words(values: Iterable[object]) -> str:
    return " ".join(map(str, values))
