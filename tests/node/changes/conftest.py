"""Machines of a cluster that runs, each with a change that is laid down."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from changes_node import (
    ID,
    give,
)

if TYPE_CHECKING:
    from api_server import Api
    from conftest import Machine


@pytest.fixture
def node(machine: Machine, api: Api) -> Machine:
    """Return a worker that is in its cluster, with a change of one stage."""
    folder = machine.authority.folder
    machine.set(
        ENDPOINT=f"127.0.0.1:{api.port}",
        SUMS=hashlib.sha256().hexdigest(),
        REGISTRY="registry.lan/k8s",
    )
    machine.write("opt/airseed/bundle/SHA256SUMS", "")
    machine.write("rpms", "kubeadm-1.18.5-0.x86_64\nkubelet-1.18.5-0.x86_64\n")
    embedded = base64.b64encode((folder / "apiserver-kubelet-client.crt").read_bytes()).decode()
    key = base64.b64encode((folder / "apiserver-kubelet-client.key").read_bytes()).decode()
    text = (
        "clusters:\n- cluster:\n    server: https://10.0.0.1:6443\nkind: Config\n"
        f"    client-certificate-data: {embedded}\n    client-key-data: {key}\n"
    )
    for name in ("kubelet", "admin"):
        machine.write(f"etc/kubernetes/{name}.conf", text, 0o600)
    machine.write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
    machine.write("var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\n")
    machine.write("var/lib/airseed/stamps/plan-first-boot", "airseed 1 plan-first-boot - 0 1 .\n")
    machine.write("etc/kubernetes/pki/ca.crt", (folder / "ca.crt").read_bytes())
    machine.give_client()
    soon = {"AIRSEED_LEASE_POLL": "0", "AIRSEED_GOOD_SECONDS": "0", "AIRSEED_NEAR_PATIENCE": "0"}
    machine.environment |= soon
    give(machine)
    return machine


@pytest.fixture
def plane(node: Machine, api: Api) -> Machine:
    """Return the second control plane of a cluster that runs."""
    node.set(NODE="k8s02", ROLE="control-plane", ADDRESS="127.0.0.1", ADDRESSES="127.0.0.1")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        text = f"kind: Pod\n  - image: k8s.gcr.io/{name}:1\nstatus: {{}}\n"
        node.write(f"etc/kubernetes/manifests/{name}.yaml", text, 0o600)
    node.write("var/lib/etcd/member/data", "the cluster")
    node.give_pki()
    give(node)
    return node


@pytest.fixture
def first_plane(plane: Machine, api: Api) -> Machine:
    """Return the first control plane of a cluster that runs."""
    plane.set(NODE="k8s01", ROLE="init")
    for name in ("k8s02", "k8s04"):
        api.hold(f"change-{ID}.{name}", name, change=ID, stage="0", ready="1")
    plane.write("etc/airseed/change/1.yaml", "kind: ClusterConfiguration\n", 0o600)
    give(plane)
    return plane
