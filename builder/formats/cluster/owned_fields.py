"""What kubeadm's documents may not say in cluster.yaml, and how to say what one wants.

Two things that say the same may contradict each other; where airseed acts on a value (opens a
port, waits for a name, bundles an image), cluster.yaml has one place for it (:data:`OWNED`). First
boot, its guard against a second cluster and the resumption after a power cut stand on one shape of
a cluster, which no document may change (:data:`REFUSED`, :data:`LIMITED`, :data:`SKIPPABLE`).
"""

from __future__ import annotations

import re
from typing import Any

_NAME = "a node is called by its name in nodes"
_SOCKET = "say which one with runtime"
_KEY = "airseed secrets makes it, the same for all control planes"
_PORT = "the nodes look for each other's API servers at 6443, where say nodes[].address"
_LOCKED = "the lock has this image; say where it comes from with registry"
_SERVICES = "say it with network.services"
_PODS = "say it with network.pods"
_DRIVER = "airseed sets the container runtime up for systemd; the two must agree"

_DNS = "say it with network.domain"
_TAINTS = "say it with nodes[].taints, or with nodeRegistration.taints for a role"

_KUBELET_ARGUMENTS = {
    "cluster-domain": _DNS,
    "register-with-taints": _TAINTS,
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
        (
            "etcd",
            "local",
            "dataDir",
        ): "first boot tells by /var/lib/etcd whether there is a cluster; "
        "mount a disk of its own there",
        ("apiServer", "extraArgs", "secure-port"): _PORT,
        ("apiServer", "extraArgs", "advertise-address"): "say it with nodes[].address",
        ("apiServer", "extraArgs", "service-cluster-ip-range"): _SERVICES,
        ("controllerManager", "extraArgs", "service-cluster-ip-range"): _SERVICES,
        ("controllerManager", "extraArgs", "cluster-cidr"): _PODS,
    },
    "KubeletConfiguration": {
        ("cgroupDriver",): _DRIVER,
        ("clusterDomain",): _DNS,
        ("containerRuntimeEndpoint",): _SOCKET,
        ("registerWithTaints",): _TAINTS,
    },
    "KubeProxyConfiguration": {("clusterCIDR",): _PODS},
}
"""By kind, then by the way to the field: the advice."""


def owner(kind: str, way: tuple[str, ...]) -> str:
    """Return the advice for a field of airseed's, or for the first one inside of it."""
    return next(why for field, why in OWNED[kind].items() if field[: len(way)] == way)


_MEMBER = (
    "first boot's guard against a second cluster, and what it does after a power cut, rely on a "
    "member of etcd on each control plane"
)
_FOUND = "first boot looks for it where kubeadm has it"
_PROVEN = "nodes know the API server by a certificate of the cluster's own authority"
_MANIFESTS = "first boot starts and checks the control plane in /etc/kubernetes/manifests"
_LISTENS = "kubeadm and first boot ask for its health at its usual port"
_FILES = (
    "cert-file", "key-file", "trusted-ca-file", "client-cert-auth",
    "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "peer-client-cert-auth",
    "wal-dir",
)  # fmt: skip
_MEMBERSHIP = (
    "name", "data-dir", "listen-client-urls", "advertise-client-urls", "listen-peer-urls",
    "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state",
    "initial-cluster-token", "discovery", "discovery-srv", "discovery-endpoints",
    "discovery-token", "force-new-cluster", "proxy", "config-file",
)  # fmt: skip


def etcd_variable(argument: str) -> str:
    return f"ETCD_{argument.upper().replace('-', '_')}"


_SERVING = ("tls-cert-file", "tls-private-key-file", "client-ca-file")
_ETCD_OF_API = (
    "etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "etcd-servers-overrides",
    "etcd-prefix",
)  # fmt: skip
_KUBELET_FILES = ("pod-manifest-path", "config", "kubeconfig", "bootstrap-kubeconfig", "root-dir")
_KUBELET_REFUSED: dict[tuple[str, ...], str] = {
    ("nodeRegistration", "kubeletExtraArgs", argument): why
    for argument, why in (
        *((name, _FOUND) for name in (*_KUBELET_FILES, "cert-dir")),
        ("manifest-url", _MANIFESTS),
        ("client-ca-file", _PROVEN),
        ("port", _LISTENS),
        ("healthz-port", _LISTENS),
        ("healthz-bind-address", _LISTENS),
    )
}
REFUSED: dict[str, dict[tuple[str, ...], str]] = {
    "InitConfiguration": {("dryRun",): "nothing would be made", **_KUBELET_REFUSED},
    "JoinConfiguration": {("dryRun",): "nothing would be made", **_KUBELET_REFUSED},
    "ClusterConfiguration": {
        ("etcd", "external"): _MEMBER,
        **{("etcd", "local", "extraArgs", name): _MEMBER for name in _MEMBERSHIP},
        **{("etcd", "local", "extraArgs", name): _FOUND for name in _FILES},
        **{("etcd", "local", "extraEnvs", etcd_variable(name)): _MEMBER for name in _MEMBERSHIP},
        **{("etcd", "local", "extraEnvs", etcd_variable(name)): _FOUND for name in _FILES},
        **{("apiServer", "extraArgs", name): _MEMBER for name in _ETCD_OF_API},
        **{("apiServer", "extraArgs", name): _PROVEN for name in _SERVING},
        **{
            (one, "extraArgs", f"{use}kubeconfig"): _FOUND
            for one in ("controllerManager", "scheduler")
            for use in ("", "authentication-", "authorization-")
        },
        ("controllerManager", "extraArgs", "secure-port"): _LISTENS,
        ("scheduler", "extraArgs", "secure-port"): _LISTENS,
        **{
            ("controllerManager", "extraArgs", name): "it signs with the cluster's own authority"
            for name in ("cluster-signing-cert-file", "cluster-signing-key-file", "root-ca-file")
        },
    },
    "KubeletConfiguration": {
        ("staticPodPath",): _MANIFESTS,
        ("staticPodURL",): _MANIFESTS,
        ("port",): _LISTENS,
        ("healthzPort",): _LISTENS,
        ("healthzBindAddress",): _LISTENS,
        ("authentication", "x509", "clientCAFile"): _PROVEN,
    },
    "KubeProxyConfiguration": {("clientConnection", "kubeconfig"): "kubeadm gives it one"},
}
"""By kind, then by the way to the field: why first boot cannot do with it."""

_OFF = re.compile(r"(?i)0|f|false")
_ON = re.compile(r"(?i)1|t|true")


def _is_open(value: str) -> bool:
    return value in {"0.0.0.0", "::"}  # noqa: S104 -- compared, not bound


def _authorizes(value: str) -> bool:
    return {"Node", "RBAC"} <= {mode.strip() for mode in value.split(",")}


def _admits(value: str) -> bool:
    names = {name.strip() for name in value.split(",")}
    signs = {"csrapproving", "csrsigning"}
    if "*" in names:
        return "bootstrapsigner" in names and not names & {f"-{name}" for name in signs}
    return {"bootstrapsigner", *signs} <= names


_ANONYMOUS = "kubelet's probes and joining nodes ask without credentials"
_JOINING = "nodes join by a bootstrap token"
_SEEN = "first boot asks each API server at its node's address"
_KNOWN = "first boot waits until the cluster knows the node"
_ENDS = "kubelet would end when it has started its pods"
_KUBELET_LIMITED: dict[tuple[str, ...], tuple[Any, str, str]] = {
    ("nodeRegistration", "kubeletExtraArgs", argument): limit
    for argument, limit in (
        ("register-node", (_ON.fullmatch, "true", _KNOWN)),
        ("enable-server", (_ON.fullmatch, "true", _LISTENS)),
        ("runonce", (_OFF.fullmatch, "false", _ENDS)),
    )
}
_LOCAL_MODE = "first boot does not know the phases in which kubeadm joins with it"
LIMITED: dict[str, dict[tuple[str, ...], tuple[Any, str, str]]] = {
    "InitConfiguration": _KUBELET_LIMITED,
    "JoinConfiguration": _KUBELET_LIMITED,
    "ClusterConfiguration": {
        ("apiServer", "extraArgs", "bind-address"): (_is_open, "0.0.0.0 or ::", _SEEN),
        ("apiServer", "extraArgs", "allow-privileged"): (
            _ON.fullmatch,
            "true",
            "kube-proxy and network plugins are privileged",
        ),
        ("apiServer", "extraArgs", "anonymous-auth"): (_ON.fullmatch, "true", _ANONYMOUS),
        ("apiServer", "extraArgs", "enable-bootstrap-token-auth"): (
            _ON.fullmatch,
            "true",
            _JOINING,
        ),
        ("apiServer", "extraArgs", "authorization-mode"): (
            _authorizes,
            "Node,RBAC among others",
            "kubelets and first boot need these two",
        ),
        ("controllerManager", "extraArgs", "controllers"): (
            _admits,
            "*,bootstrapsigner,tokencleaner, and more",
            "without the bootstrap signer and those for CSRs no node can join",
        ),
        ("apiServer", "extraArgs", "endpoint-reconciler-type"): (
            frozenset(("lease", "master-count")).__contains__,
            "lease",
            "without it pods find no API server",
        ),
        ("featureGates", "ControlPlaneKubeletLocalMode"): (_OFF.fullmatch, "false", _LOCAL_MODE),
        ("featureGates", "SelfHosting"): (_OFF.fullmatch, "false", _MANIFESTS),
        ("featureGates", "RootlessControlPlane"): (
            _OFF.fullmatch,
            "false",
            "what first boot puts back after a power cut belongs to root",
        ),
    },
    "KubeletConfiguration": {
        ("registerNode",): (_ON.fullmatch, "true", _KNOWN),
        ("address",): (_is_open, "0.0.0.0 or ::", "all nodes read the same document"),
        ("enableServer",): (_ON.fullmatch, "true", _LISTENS),
        ("runOnce",): (_OFF.fullmatch, "false", _ENDS),
    },
    "KubeProxyConfiguration": {},
}
"""The same: what a value must fit, in words, and why."""

SKIPPABLE = {
    "InitConfiguration": (
        "preflight", "kubelet-finalize", "addon", "addon/coredns", "addon/kube-proxy",
    ),
    "JoinConfiguration": ("preflight", "check-etcd"),
}  # fmt: skip
"""Phases of kubeadm that first boot can go without."""
