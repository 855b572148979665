"""What people bring along: static pods, a runtime's configuration, files, a second card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import calico
from e2e.power_cuts import await_moment, cut_in_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from e2e.cluster import Cluster
    from e2e.machine import Machine

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s02", "k8s04"]
IMAGE = min(calico.images())
"""One that nothing else here starts."""
POD = f"""apiVersion: v1
kind: Pod
metadata: {{name: edge, namespace: kube-system}}
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  containers:
  - {{name: edge, image: {IMAGE}, imagePullPolicy: IfNotPresent, command: [/pause]}}
"""
CONTAINERD = """version = 2
# ours
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "k8s.gcr.io/pause:3.2"
  max_container_log_line_size = 4096
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
"""
FILES = {
    "/etc/kubernetes/manifests/edge.yaml": POD,
    "/etc/kubernetes/cloud.conf": "[Global]\n",
    "/etc/kubernetes/pki/oidc.crt": "not one that openssl knows\n",
    "/etc/containerd/config.toml": CONTAINERD,
    "/etc/sysctl.d/99-site.conf": "kernel.pid_max = 65536\n",
    "/etc/systemd/system/kubelet.service.d/30-site.conf": "[Service]\nEnvironment=SITE=yes\n",
    "/etc/yum.repos.d/site.repo": "[site]\nname=site\nbaseurl=file:///nowhere\nenabled=1\n",
}
ELSEWHERE = "10.212.0"
"""The network of the other card, which has the default route."""


def _describe(document: dict[str, Any]) -> None:
    document["runtime"] = {"name": "containerd", "version": "1.2.13"}
    document["nodes"] = [node for node in document["nodes"] if node["name"] in NODES]
    files = [{"path": path, "content": content} for path, content in FILES.items()]
    document["machine"] = {"files": files}


def _left(machine: Machine) -> dict[str, str]:
    paths = {path: machine.root / path.lstrip("/") for path in FILES}
    return {path: file.read_text("utf-8") for path, file in paths.items() if file.exists()}


def _is_ready(cluster: Cluster, name: str) -> bool:
    """kubelet shows a static pod some time after it runs."""
    return any(
        pod["metadata"]["name"] == f"edge-{name}"
        and pod["spec"]["nodeName"] == name
        and pod["status"].get("containerStatuses", [{}])[0].get("ready")
        for pod in cluster.pods()
    )


def _await_pod(cluster: Cluster, name: str) -> None:
    await_moment(
        lambda: _is_ready(cluster, name), f"the user's pod on {name}", patience=120, poll=2
    )


def test_what_the_user_lays_down_is_the_users_on_every_node(make_cluster: Maker) -> None:
    """A control plane and a worker are cut off while they join, and begin again."""
    with make_cluster("user", elsewhere=ELSEWHERE) as three:
        three.describe("ha", _describe)
        three.prepare()
        began = three.start([NODES[0]])
        three.wait([NODES[0]])
        for name in NODES[1:]:
            three.machine(name).start()
            cut_in_step(three.machine(name), "kubeadm")
            three.machine(name).start()
        three.wait(NODES)
        three.wait_for_pods()
        print(f"\nthree, containerd, files of the user's, two cards:\n{three.report(began)}")
        for name in NODES:
            machine = three.machine(name)
            assert _left(machine) == FILES
            _await_pod(three, name)
            node = json.loads(three.kubectl("get", "node", name, "-o", "json"))
            (address,) = (
                entry["address"]
                for entry in node["status"]["addresses"]
                if entry["type"] == "InternalIP"
            )
            assert address == machine.address
            assert (
                machine.sh("ip", "route", "show", "default").stdout.split()[2].startswith(ELSEWHERE)
            )
            told = machine.sh("crictl", "info").stdout
            assert '"maxContainerLogSize": 4096' in told
        # and it stays so when a machine starts again
        worker = three.machine(NODES[2])
        worker.power_off()
        worker.start()
        three.wait_for_pods(patience=300)
        assert _left(worker) == FILES
        _await_pod(three, NODES[2])
