"""The fields of kubeadm's documents that airseed sets itself, and how to say what one wants.

Two things that say the same may contradict each other; where airseed acts on a value (opens a
port, waits for a name, bundles an image), cluster.yaml has one place for it.
"""

from __future__ import annotations

_NAME = "a node is called by its name in nodes"
_SOCKET = "say which one with runtime"
_KEY = "airseed secrets makes it, the same for all control planes"
_PORT = "the nodes look for each other's API servers at 6443, where say nodes[].address"
_LOCKED = "the lock has this image; say where it comes from with registry"
_SERVICES = "say it with network.services"
_PODS = "say it with network.pods"
_DRIVER = "airseed sets the container runtime up for systemd; the two must agree"

_KUBELET_ARGUMENTS = {
    "hostname-override": _NAME,
    "cgroup-driver": _DRIVER,
    "container-runtime": _SOCKET,
    "container-runtime-endpoint": _SOCKET,
    "pod-infra-container-image": _LOCKED,
}
_REGISTRATION: dict[tuple[str, ...], str] = {
    ("nodeRegistration", "name"): _NAME,
    ("nodeRegistration", "criSocket"): _SOCKET,
    **{
        ("nodeRegistration", "kubeletExtraArgs", argument): why
        for argument, why in _KUBELET_ARGUMENTS.items()
    },
}
_DISCOVERY = "a node finds the cluster by endpoint, token and CA of airseed secrets"
OWNED: dict[str, dict[tuple[str, ...], str]] = {
    "InitConfiguration": {
        ("bootstrapTokens",): "airseed secrets makes the token; seed.window says how long it holds",
        ("certificateKey",): _KEY,
        ("localAPIEndpoint",): _PORT,
        **_REGISTRATION,
    },
    "JoinConfiguration": {
        ("caCertPath",): "airseed puts the CA where kubeadm looks for it",
        ("discovery", "bootstrapToken"): _DISCOVERY,
        ("discovery", "file"): _DISCOVERY,
        ("discovery", "tlsBootstrapToken"): _DISCOVERY,
        ("controlPlane", "certificateKey"): _KEY,
        ("controlPlane", "localAPIEndpoint"): _PORT,
        **_REGISTRATION,
    },
    "ClusterConfiguration": {
        ("kubernetesVersion",): "say it with kubernetes",
        ("clusterName",): "say it with name",
        ("controlPlaneEndpoint",): "say it with endpoint",
        ("networking",): "say it with network",
        ("certificatesDir",): "airseed puts the CA where kubeadm looks for it",
        ("imageRepository",): "say it with registry",
        ("useHyperKubeImage",): _LOCKED,
        ("dns", "type"): _LOCKED,
        ("dns", "imageRepository"): _LOCKED,
        ("dns", "imageTag"): _LOCKED,
        ("etcd", "local", "imageRepository"): _LOCKED,
        ("etcd", "local", "imageTag"): _LOCKED,
        ("etcd", "local", "dataDir"): "whether a cluster lives is seen by /var/lib/etcd; mount "
        "a disk of its own there",
        ("apiServer", "extraArgs", "secure-port"): _PORT,
        ("apiServer", "extraArgs", "service-cluster-ip-range"): _SERVICES,
        ("controllerManager", "extraArgs", "service-cluster-ip-range"): _SERVICES,
        ("controllerManager", "extraArgs", "cluster-cidr"): _PODS,
    },
    "KubeletConfiguration": {("cgroupDriver",): _DRIVER},
    "KubeProxyConfiguration": {},
}
"""By kind, then by the way to the field: the advice."""


def owner(kind: str, way: tuple[str, ...]) -> str:
    """Return the advice for a field of airseed's, or for the first one inside of it."""
    return next(why for field, why in OWNED[kind].items() if field[: len(way)] == way)
