"""What the user's files say on a node: kubelet's arguments, and where static pods listen."""

from __future__ import annotations

from typing import Any

import plans
import pytest
import yaml

from builder.errors import DocumentError
from builder.formats import cluster as cluster_format

KUBELET = "/etc/sysconfig/kubelet"
NODES = [
    {"name": "cp1", "role": "control-plane", "address": "192.0.2.11/24"},
    {"name": "w1", "role": "worker", "address": "192.0.2.21/24"},
]


def found(files: dict[str, str], version: str = "1.18.5", **more: Any) -> list[str]:
    machine = {"files": [{"path": path, "content": text} for path, text in files.items()]}
    text = yaml.safe_dump(
        {
            "kubernetes": version,
            "runtime": "containerd",
            "cni": "none",
            "nodes": NODES,
            **(more or {"machine": machine}),
        }
    )
    try:
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    except DocumentError as error:
        return [fault.what for fault in error.faults]
    return []


def pod(*ports: dict[str, Any], host: bool = True, name: str = "lb") -> str:
    container = {"name": name, "image": "haproxy:2.0", "ports": [*ports]}
    spec = {"hostNetwork": host, "containers": [container]}
    metadata = {"name": name}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def static(name: str, text: str) -> dict[str, str]:
    return {f"/etc/kubernetes/manifests/{name}.yaml": text}


@pytest.mark.parametrize(
    "said",
    [
        "KUBELET_EXTRA_ARGS=\n",
        "KUBELET_EXTRA_ARGS=--max-pods=50 --v=4\n",
        "KUBELET_EXTRA_ARGS='--max-pods 50 -v 4'\n",
        'KUBELET_EXTRA_ARGS="--fail-swap-on --max-pods=50" \n',
        "KUBELET_EXTRA_ARGS=--max-pods=50 \\\n  --v=4\n",
        "# KUBELET_EXTRA_ARGS=--no-such\n",
        "KUBELET_EXTRA_ARGS=--no-such\nKUBELET_EXTRA_ARGS=--v=4\n",
        "HTTP_PROXY=http://192.0.2.1:3128\n",
    ],
)
def test_what_kubelet_starts_with(said: str) -> None:
    assert found({KUBELET: said}) == []


@pytest.mark.parametrize(
    ("said", "version", "faults"),
    [
        (
            "KUBELET_EXTRA_ARGS=--max-pod=50 --fail-swap-on=maybe --feature-gates=Foo=true",
            "1.18.5",
            [
                "kubelet knows no argument --max-pod",
                "kubelet would not start with 'maybe'",
                "Kubernetes knows no feature gate Foo",
            ],
        ),
        (
            "KUBELET_EXTRA_ARGS=--network-plugin=cni",
            "1.24.17",
            ["kubelet has no argument --network-plugin since 1.24"],
        ),
        (
            "KUBELET_EXTRA_ARGS=--fail-swap-on false",
            "1.18.5",
            ["kubelet would not start: 'false' is no argument"],
        ),
        (
            "KUBELET_EXTRA_ARGS=--cgroup-driver=cgroupfs --hostname-override=x",
            "1.18.5",
            ["airseed sets this itself", "airseed sets this itself"],
        ),
        (
            "KUBELET_EXTRA_ARGS=--node-labels=node-role.kubernetes.io/x=",
            "1.18.5",
            ["node-role.kubernetes.io/x: kubelet may not give itself a role"],
        ),
        (
            "KUBELET_KUBEADM_ARGS=--v=4",
            "1.18.5",
            ["KUBELET_KUBEADM_ARGS is kubelet's own unit's"],
        ),
        (
            "KUBELET_EXTRA_ARGS=--read-only-port=10256",
            "1.18.5",
            ["10256 is where kube-proxy listens on cp1"],
        ),
    ],
)
def test_what_kubelet_would_not_start_with(said: str, version: str, faults: list[str]) -> None:
    assert found({KUBELET: said}, version) == faults


DROP_IN = "/etc/systemd/system/kubelet.service.d/20-site.conf"
ALL = "$KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS"
ITSELF = "airseed sets this itself"


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        ('Environment="KUBELET_EXTRA_ARGS=--max-pods=50 --v=4"', []),
        ('Environment="KUBELET_EXTRA_ARGS=--cgroup-driver=cgroupfs --v=4"', [ITSELF]),
        ("Environment=A=b 'KUBELET_EXTRA_ARGS=--hostname-override=x'", [ITSELF]),
        (
            "Environment=A=b \\\n  KUBELET_EXTRA_ARGS=--no-such=1",
            ["kubelet knows no argument --no-such"],
        ),
        ("Environment=KUBELET_CONFIG_ARGS=", ["KUBELET_CONFIG_ARGS is kubelet's own unit's"]),
        ("# Environment=KUBELET_EXTRA_ARGS=--no-such=1", []),
        ("[Unit]\nEnvironment=KUBELET_EXTRA_ARGS=--no-such=1", []),
        ("Environment=\n", ["kubelet would start without Environment= of kubeadm's"]),
        ("EnvironmentFile=\n", ["kubelet would start without EnvironmentFile= of kubeadm's"]),
        ("MemoryHigh=1G\nExecStartPre=/bin/mkdir -p /x", []),
        (f"ExecStart=\nExecStart=/usr/bin/kubelet {ALL}", []),
        (f"ExecStart=\nExecStart=/usr/bin/kubelet {ALL} --v=4", []),
        (f"ExecStart=\nExecStart=/usr/bin/kubelet {ALL} --cgroup-driver=cgroupfs", [ITSELF]),
        (
            "ExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS",
            ["kubelet would start without $KUBELET_KUBEADM_ARGS"],
        ),
        (
            "Environment=KUBELET_EXTRA_ARGS=--read-only-port=10256",
            ["10256 is where kube-proxy listens on cp1"],
        ),
    ],
)
def test_what_a_drop_in_says_is_held_against_what_the_node_needs(
    said: str, faults: list[str]
) -> None:
    assert found({DROP_IN: f"[Service]\n{said}\n"}) == faults


@pytest.mark.parametrize("mark", ["", "-"])
def test_a_file_that_a_drop_in_names_is_one_of_kubelets(mark: str) -> None:
    own = "/opt/site/kubelet"
    text = "KUBELET_EXTRA_ARGS=--cgroup-driver=cgroupfs\n"
    assert found({own: text}) == []
    named = f"[Service]\nEnvironmentFile={mark}{own}\n"
    assert found({DROP_IN: named, own: text}) == [ITSELF]


def test_what_comes_before_kubeadms_own_takes_nothing_away() -> None:
    assert found({DROP_IN.replace("20-", "05-"): "[Service]\nEnvironment=\n"}) == []


def test_an_argument_counts_on_the_node_that_has_the_file() -> None:
    """The API server's port is free on a worker."""
    files = [{"path": KUBELET, "content": "KUBELET_EXTRA_ARGS=--read-only-port=6443"}]
    machine = {"machine": {"files": files}}
    assert found({}, roles={"worker": machine}) == []
    assert found({}, roles={"control-plane": machine}) == [
        "6443 is where kube-apiserver listens on cp1"
    ]


@pytest.mark.parametrize(
    ("port", "host", "whose"),
    [
        ({"containerPort": 6443}, True, "kube-apiserver"),
        ({"containerPort": 80, "hostPort": 10250}, False, "kubelet"),
        ({"containerPort": 10257, "hostIP": "::"}, True, "kube-controller-manager"),
        ({"containerPort": 10248, "hostIP": "127.0.0.1"}, True, "kubelet"),
        ({"containerPort": 22, "protocol": "TCP"}, True, "sshd"),
        ({"containerPort": 6443}, False, None),
        ({"containerPort": 8443, "hostPort": 8443}, True, None),
        ({"containerPort": 10248, "hostIP": "127.0.0.2"}, True, None),
        ({"containerPort": 10250, "protocol": "UDP"}, True, None),
        ({"containerPort": "6443"}, True, None),
        ({"containerPort": 1 << 40}, True, None),
    ],
)
def test_where_a_static_pod_listens(port: dict[str, Any], host: bool, whose: str | None) -> None:
    expected = [f"{max(port.get('hostPort', 0), int(port['containerPort']))} is where {whose} "]
    faults = found(static("lb", pod(port, host=host)))
    assert [fault.partition("listens")[0] for fault in faults] == (expected if whose else [])


def test_two_static_pods_at_one_port() -> None:
    files = static("a", pod({"containerPort": 8443}, name="a"))
    files |= static("b", pod({"containerPort": 80, "hostPort": 8443}, host=False, name="b"))
    assert found(files) == [
        "8443 is where the static pod b listens on cp1",
        "8443 is where the static pod a listens on cp1",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "spec: 1", "spec: {containers: [1, {ports: [2]}]}", "{"]
)
def test_what_is_no_pod_takes_no_port(text: str) -> None:
    assert found(static("x", text)) == []
