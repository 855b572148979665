"""What each kind of cluster gives its nodes to read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml
from releases import of_release

from builder.model.image_names import ImageNames
from builder.render import kubeadm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.render.plan import Plan

NODES = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1}
  - {name: b, role: control-plane, address: 10.0.0.2}
  - {name: c, role: worker, address: 10.0.0.3}
"""
DUAL = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
network: {pods: [10.244.0.0/16, fd00:1::/48], services: [10.96.0.0/16, fd00:2::/112]}
nodes:
  - {name: a, role: control-plane, address: [10.0.0.1, fd00::1]}
  - {name: b, role: control-plane, address: [10.0.0.2, fd00::2]}
  - {name: c, role: worker, address: [10.0.0.3, fd00::3]}
"""
GATE = {"IPv6DualStack": True}


def of(plan: Plan, name: str) -> dict[str, Any]:
    """Return a node's documents by kind, after a round through the text."""
    node = next(node for node in plan.cluster.nodes if node.name == name)
    return {one["kind"]: one for one in yaml.safe_load_all(kubeadm.text(plan, node))}


def join(plan: Plan, name: str) -> dict[str, Any]:
    found: dict[str, Any] = of(plan, name)["JoinConfiguration"]
    return found


def arguments(listed: list[Mapping[str, str]]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in listed}


def test_a_lone_node_that_finds_its_own_address() -> None:
    plan = plans.plan("kubernetes: 1.18.5\nnodes: [{name: a, role: control-plane}]\n")
    documents = of(plan, "a")
    assert documents["InitConfiguration"]["localAPIEndpoint"] == {"bindPort": 6443}
    assert "controlPlaneEndpoint" not in documents["ClusterConfiguration"]
    assert "apiServer" not in documents["ClusterConfiguration"]


def test_without_an_endpoint_a_worker_asks_the_one_control_plane() -> None:
    nodes = "[{name: a, role: control-plane, address: 10.0.0.1}, "
    nodes += "{name: b, role: worker, address: 10.0.0.2}]"
    plan = plans.plan(f"kubernetes: 1.18.5\nnodes: {nodes}\n")
    token = join(plan, "b")["discovery"]["bootstrapToken"]
    assert token["apiServerEndpoint"] == "10.0.0.1:6443"


@pytest.mark.parametrize(
    ("endpoint", "cluster", "joiner"),
    [
        ("lb.example.com", "lb.example.com", "lb.example.com:6443"),
        ("lb.example.com:8443", "lb.example.com:8443", "lb.example.com:8443"),
        ('"[fd00::9]:8443"', "[fd00::9]:8443", "[fd00::9]:8443"),
        ('"fd00::9"', "fd00::9", "[fd00::9]:6443"),
    ],
)
def test_endpoint(endpoint: str, cluster: str, joiner: str) -> None:
    plan = plans.plan(NODES.replace("10.0.0.9", endpoint))
    assert of(plan, "a")["ClusterConfiguration"]["controlPlaneEndpoint"] == cluster
    for name in ("b", "c"):
        token = join(plan, name)["discovery"]["bootstrapToken"]
        assert token["apiServerEndpoint"] == joiner


def test_who_gets_which_secret() -> None:
    plan = plans.plan(NODES)
    texts = {node.name: kubeadm.text(plan, node) for node in plan.cluster.nodes}
    assert {name for name, text in texts.items() if plans.CERTIFICATE_KEY in text} == {"a", "b"}
    assert {name for name, text in texts.items() if plans.TOKEN in text} == {"a", "b", "c"}
    assert not any("PRIVATE KEY" in text for text in texts.values())


def test_token_ends_with_the_window() -> None:
    (token,) = of(plans.plan(NODES + "seed: {window: 48}\n"), "a")["InitConfiguration"][
        "bootstrapTokens"
    ]
    assert token["ttl"] == "48h0m0s"


def test_a_ca_that_is_not_made_yet_is_trusted_by_the_token() -> None:
    plan = plans.plan(NODES + "pki: on-node\n")
    for name in ("b", "c"):
        token = join(plan, name)["discovery"]["bootstrapToken"]
        assert token["unsafeSkipCAVerification"] is True
        assert "caCertHashes" not in token


def test_containerd_has_its_socket_and_no_other_difference() -> None:
    docker = plans.plan(NODES)
    containerd = plans.plan(NODES + "runtime: containerd\n")
    for name in ("a", "b", "c"):
        theirs, ours = kubeadm_text(docker, name), kubeadm_text(containerd, name)
        assert "/run/containerd/containerd.sock" in ours
        assert theirs == ours.replace("/run/containerd/containerd.sock", "/var/run/dockershim.sock")


def kubeadm_text(plan: Plan, name: str) -> str:
    return kubeadm.text(plan, next(node for node in plan.cluster.nodes if node.name == name))


def test_registry_is_named_for_each_image() -> None:
    documents = of(plans.plan(NODES + "registry: registry.example.com:5000/k8s\n"), "a")
    cluster = documents["ClusterConfiguration"]
    assert cluster["imageRepository"] == "registry.example.com:5000/k8s"
    assert cluster["etcd"]["local"] == {
        "imageRepository": "registry.example.com:5000/k8s",
        "imageTag": "3.4.3-0",
    }
    assert cluster["dns"] == {
        "imageRepository": "registry.example.com:5000/k8s",
        "imageTag": "1.6.7",
    }
    # what was collected can be pulled again
    assert "imageGCHighThresholdPercent" not in documents["KubeletConfiguration"]


def test_coredns_is_asked_for_where_the_one_mapping_puts_it() -> None:
    plan = of_release(plans.plan(NODES + "registry: registry.example.com/k8s\n"), 30)
    dns = of(plan, "a")["ClusterConfiguration"]["dns"]
    (reference,) = (
        reference
        for component, reference in plan.choice.kubernetes.images
        if component.name == "coredns"
    )
    # kubeadm appends /coredns:TAG
    asked = f"{dns['imageRepository']}/coredns:{dns['imageTag']}"
    assert asked == ImageNames("registry.example.com/k8s").name(reference)


def test_labels_and_taints() -> None:
    text = NODES.replace(
        "address: 10.0.0.3", "address: 10.0.0.3, labels: {b: '2', a: ''}, taints: ['k=v:NoExecute']"
    ).replace("address: 10.0.0.1", "address: 10.0.0.1, taints: []")
    plan = plans.plan(text)
    registration = join(plan, "c")["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == {"node-labels": "b=2,a="}
    assert registration["taints"] == [{"effect": "NoExecute", "key": "k", "value": "v"}]
    assert of(plan, "a")["InitConfiguration"]["nodeRegistration"]["taints"] == []
    assert "taints" not in join(plan, "b")["nodeRegistration"]  # kubeadm's own


def test_labels_of_a_raw_document_stay() -> None:
    text = NODES.replace("address: 10.0.0.3", "address: 10.0.0.3, labels: {a: '3'}")
    raw = "{JoinConfiguration: {nodeRegistration: {kubeletExtraArgs: {node-labels: 'z=1,a=2'}}}}"
    registration = join(plans.plan(f"{text}kubeadm: {raw}\n"), "c")["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == {"node-labels": "z=1,a=3"}


def test_dual_stack_opens_the_gate_on_every_component() -> None:
    documents = of(plans.plan(DUAL), "a")
    cluster = documents["ClusterConfiguration"]
    assert cluster["networking"] == {
        "dnsDomain": "cluster.local",
        "serviceSubnet": "10.96.0.0/16,fd00:2::/112",
        "podSubnet": "10.244.0.0/16,fd00:1::/48",
    }
    assert cluster["featureGates"] == GATE
    for component in ("apiServer", "controllerManager", "scheduler"):
        assert cluster[component]["extraArgs"] == {"feature-gates": "IPv6DualStack=true"}
    assert documents["KubeProxyConfiguration"]["featureGates"] == GATE
    assert documents["KubeProxyConfiguration"]["clusterCIDR"] == "10.244.0.0/16,fd00:1::/48"
    assert documents["KubeletConfiguration"]["featureGates"] == GATE
    assert documents["KubeletConfiguration"]["clusterDNS"] == ["10.96.0.10"]


def test_dual_stack_leaves_other_gates_open() -> None:
    gates = "feature-gates: 'AllAlpha=true,AllBeta=false'"
    gates = f"{{apiServer: {{extraArgs: {{{gates}}}}}, featureGates: {{PublicKeysECDSA: true}}}}"
    documents = of(plans.plan(f"{DUAL}kubeadm: {{ClusterConfiguration: {gates}}}\n"), "a")
    cluster = documents["ClusterConfiguration"]
    extra = cluster["apiServer"]["extraArgs"]["feature-gates"]
    assert extra == "AllAlpha=true,AllBeta=false,IPv6DualStack=true"
    assert cluster["featureGates"] == {"IPv6DualStack": True, "PublicKeysECDSA": True}


def test_no_gate_for_one_family() -> None:
    assert "IPv6DualStack" not in kubeadm_text(plans.plan(NODES), "a")


def test_no_gate_where_dual_stack_is_usual() -> None:
    plan = of_release(plans.plan(DUAL), 30)
    assert "IPv6DualStack" not in kubeadm_text(plan, "a")
    registration = join(plan, "c")["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == {"node-ip": "10.0.0.3,fd00::3"}


def test_kubelet_of_that_time_takes_one_node_ip() -> None:
    registration = join(plans.plan(DUAL), "c")["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == {"node-ip": "10.0.0.3"}


def test_v1beta4_has_arguments_in_lists_and_timeouts_of_its_own() -> None:
    text = DUAL.replace("fd00::3]", "fd00::3], labels: {a: b}")
    plan = of_release(plans.plan(text), 36)
    document = join(plan, "c")
    assert document["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert document["timeouts"] == {"discovery": "5m0s"}
    assert "timeout" not in document["discovery"]
    assert document["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "node-labels", "value": "a=b"},
        {"name": "node-ip", "value": "10.0.0.3,fd00::3"},
    ]
    init = of(plan, "a")["InitConfiguration"]["nodeRegistration"]
    assert init["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert init["taints"] == [
        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}
    ]


def test_lists_of_arguments_are_joined_by_name() -> None:
    raw = {"nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": "4"}]}}
    twice = {
        "nodeRegistration": {
            "kubeletExtraArgs": [{"name": "v", "value": "2"}, {"name": "v", "value": "6"}]
        }
    }
    plan = of_release(plans.plan(DUAL), 36)
    worker = replace(plan.cluster.nodes[2], kubeadm={"JoinConfiguration": twice})
    plan = replace(
        plan,
        cluster=replace(
            plan.cluster,
            kubeadm={"JoinConfiguration": raw},
            nodes=(*plan.cluster.nodes[:2], worker),
        ),
    )
    assert join(plan, "b")["nodeRegistration"]["kubeletExtraArgs"][0] == {"name": "v", "value": "4"}
    assert join(plan, "c")["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "v", "value": "2"},
        {"name": "v", "value": "6"},
        {"name": "node-ip", "value": "10.0.0.3,fd00::3"},
    ]


def test_the_narrower_place_counts() -> None:
    def raw(**arguments: str) -> str:
        said = {name.replace("_", "-"): value for name, value in arguments.items()}
        return f"{{JoinConfiguration: {{nodeRegistration: {{kubeletExtraArgs: {said}}}}}}}"

    own = raw(event_qps="3", v="3")
    text = NODES.replace("10.0.0.3}", f"10.0.0.3, kubeadm: {own}}}")
    whole = raw(registry_qps="1", event_burst="1", event_qps="1")
    text += f"kubeadm: {whole}\n"
    text += f"roles: {{worker: {{kubeadm: {raw(event_burst='2', event_qps='2')}}}}}\n"
    plan = plans.plan(text)
    wide = {"registry-qps": "1", "event-burst": "1", "event-qps": "1"}
    assert join(plan, "b")["nodeRegistration"]["kubeletExtraArgs"] == wide
    near = {"registry-qps": "1", "event-burst": "2", "event-qps": "3", "v": "3"}
    assert join(plan, "c")["nodeRegistration"]["kubeletExtraArgs"] == near


def test_anything_but_a_mapping_is_replaced() -> None:
    first = "ClusterConfiguration: {apiServer: {certSANs: [a, b], extraVolumes: []}}"
    over = "ClusterConfiguration: {apiServer: {certSANs: [c]}}"
    text = NODES.replace("10.0.0.1}", f"10.0.0.1, kubeadm: {{{over}}}}}")
    cluster = of(plans.plan(f"{text}kubeadm: {{{first}}}\n"), "a")["ClusterConfiguration"]
    assert cluster["apiServer"] == {"certSANs": ["c"], "extraVolumes": []}


def test_a_number_with_a_point_is_a_number_again() -> None:
    raw = "{KubeProxyConfiguration: {clientConnection: {qps: 0.5}}}"
    proxy = of(plans.plan(f"{NODES}kubeadm: {raw}\n"), "a")["KubeProxyConfiguration"]
    assert proxy["clientConnection"] == {"qps": 0.5}


def ascii_yaml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08x}" for one in text) + '"'


def test_nothing_of_the_cluster_is_changed_by_rendering() -> None:
    plan = plans.plan(
        DUAL + "kubeadm: {ClusterConfiguration: {scheduler: {extraArgs: {v: '1'}}}}\n"
    )
    for _ in range(2):
        kubeadm.documents(plan, plan.cluster.nodes[0])
    assert plan.cluster.kubeadm == {
        "ClusterConfiguration": {"scheduler": {"extraArgs": {"v": "1"}}}
    }
