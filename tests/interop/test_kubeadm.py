"""Real kubeadm reads what is rendered for it; the field tables are those of its Go modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gotypes
import plans
import pytest
import yaml
from interop.real_kubeadm import node_of, nothing_unknown, run
from releases import of_release

from builder.model.image_names import ImageNames
from builder.model.reference import Reference
from builder.render import kubeadm

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.cluster import Node
    from builder.render.plan import Plan

pytestmark = pytest.mark.interop
OWN = ("1.18.5", "1.19.5")
"""The releases that the catalog is made for."""
LATER = {"1.30.14": 30, "1.36.0": 36}
"""The last one whose kubeadm is given v1beta3, and the newest one, which is given v1beta4."""
PHASES = ("certs all", "kubeconfig all", "control-plane all", "etcd local")
NODES = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1, taints: []}
  - {name: b, role: control-plane, address: 10.0.0.2}
  - {name: c, role: worker, address: 10.0.0.3, labels: {disk: ssd}, taints: ['d=db:NoSchedule']}
"""
DUAL = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
network: {pods: [10.244.0.0/16, fd00:1::/48], services: [10.96.0.0/16, fd00:2::/112]}
nodes:
  - {name: a, role: control-plane, address: [10.0.0.1, fd00::1]}
  - {name: b, role: control-plane, address: [10.0.0.2, fd00::2]}
  - {name: c, role: worker, address: [10.0.0.3, fd00::3], labels: {disk: ssd}}
"""
CLUSTERS = {
    "ha": plans.example("ha"),
    "single": plans.example("single"),
    "plain": NODES,
    "dual-stack": DUAL,
    "containerd": NODES + "runtime: containerd\n",
    "on-node": NODES + "pki: on-node\n",
    "registry": NODES + "registry: registry.example.com:5000/k8s\n",
    "ipv6": """\
kubernetes: 1.18.5
endpoint: '[fd00::9]:8443'
network: {pods: fd00:1::/48, services: fd00:2::/112}
nodes:
  - {name: a, role: control-plane, address: fd00::1}
  - {name: b, role: control-plane, address: fd00::2}
  - {name: c, role: worker, address: fd00::3}
""",
}


def plan_of(cluster: str, version: str) -> Plan:
    text = CLUSTERS[cluster]
    if version in LATER:
        return of_release(plans.plan(text), LATER[version])
    return plans.plan(text.replace("1.18.5", version))


def unfit(version: str, cluster: str) -> None:
    """The example has arguments of 1.18, and later releases know no other runtime."""
    if version in LATER and cluster in {"ha", "containerd"}:
        pytest.skip("says nothing of later releases")


@pytest.mark.parametrize("version", OWN)
def test_an_unknown_field_would_be_seen(version: str, tmp_path: Path) -> None:
    """Otherwise none of the tests below could fail."""
    plan = plan_of("plain", version)
    text = kubeadm.text(plan, node_of(plan, "init"))
    ran = run(version, f"{text}nobodyKnows: true\n", tmp_path, "init phase certs ca")
    assert 'unknown field "nobodyKnows"' in ran.output


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("version", [*OWN, *LATER])
def test_init_makes_certificates_and_manifests(version: str, cluster: str, tmp_path: Path) -> None:
    unfit(version, cluster)
    plan = plan_of(cluster, version)
    node = node_of(plan, "init")
    phases = [f"init phase {phase}" for phase in PHASES]
    ran = run(version, kubeadm.text(plan, node), tmp_path, *phases)
    assert ran.code == 0, ran.output
    nothing_unknown(ran)
    server = ran.manifest("kube-apiserver")
    assert f"--advertise-address={node.address or '10.0.0.1'}" in server
    services = ",".join(map(str, plan.cluster.network.services))
    assert f"--service-cluster-ip-range={services}" in server
    for argument in _said(plan, node):
        assert argument in server
    names = {image["name"]: image for image in _images(plan)}
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"):
        pod = yaml.safe_load(ran.read(f"kubernetes/manifests/{name}.yaml"))
        assert pod["spec"]["containers"][0]["image"] == names[name]["as"]


def _said(plan: Plan, node: Node) -> list[str]:
    """Return what the document says to the API server, as its command line has it."""
    cluster: Any = kubeadm.documents(plan, node)[1]
    arguments = cluster.get("apiServer", {}).get("extraArgs", {})
    return [f"--{name}={value}" for name, value in arguments.items()]


def _images(plan: Plan) -> list[dict[str, str]]:
    """Return kubeadm's images of the catalog, and what a node calls them."""
    registry = plan.cluster.registry
    return [
        {
            "name": component.name,
            "as": ImageNames(registry).name(reference),
        }
        for component, reference in plan.choice.kubernetes.images
    ]


@pytest.mark.parametrize("cluster", ["ha", "plain", "dual-stack", "registry"])
@pytest.mark.parametrize("version", OWN)
def test_images_are_those_of_the_lock(version: str, cluster: str, tmp_path: Path) -> None:
    plan = plan_of(cluster, version)
    text = kubeadm.text(plan, node_of(plan, "init"))
    ran = run(version, text, tmp_path, "config images list")
    nothing_unknown(ran)
    listed = [line for line in ran.output.splitlines() if not line.startswith("W")]
    locked = {str(image.reference) for image in plan.lock.images if "kubeadm" in image.needed_by}
    assert {str(reference) for _, reference in plan.choice.kubernetes.images} == locked
    registry = plan.cluster.registry
    wanted = [ImageNames(registry).name(Reference.parse(name)) for name in locked]
    assert sorted(listed) == sorted(wanted)


@pytest.mark.parametrize("version", LATER)
def test_coredns_is_where_the_mapping_puts_it(version: str, tmp_path: Path) -> None:
    plan = plan_of("registry", version)
    text = kubeadm.text(plan, node_of(plan, "init"))
    ran = run(version, text, tmp_path, "config images list")
    for image in _images(plan):
        if image["name"] in {"etcd", "coredns"}:  # the other tags are made up for this test
            assert image["as"] in ran.output.splitlines(), ran.output


@pytest.mark.parametrize("version", OWN)
@pytest.mark.parametrize("cluster", ["ha", "dual-stack", "containerd", "registry"])
def test_kubelet_gets_its_configuration(version: str, cluster: str, tmp_path: Path) -> None:
    plan = plan_of(cluster, version)
    node = node_of(plan, "init")
    ran = run(version, kubeadm.text(plan, node), tmp_path, "init phase kubelet-start")
    assert ran.code == 0, ran.output
    nothing_unknown(ran)
    kubelet = yaml.safe_load(ran.read("kubelet/config.yaml"))
    rendered: Any = kubeadm.documents(plan, node)[3]
    assert kubelet["clusterDNS"] == rendered["clusterDNS"]
    threshold = rendered.get("imageGCHighThresholdPercent")
    assert kubelet.get("imageGCHighThresholdPercent") == threshold
    assert kubelet.get("featureGates") == rendered.get("featureGates")
    flags = ran.read("kubelet/kubeadm-flags.env")
    pause = next(image["as"] for image in _images(plan) if image["name"] == "pause")
    if cluster == "containerd":
        assert "--container-runtime-endpoint=/run/containerd/containerd.sock" in flags
        assert kubelet["cgroupDriver"] == "systemd"
    else:
        assert f"--pod-infra-container-image={pause}" in flags


@pytest.mark.parametrize("cluster", CLUSTERS)
@pytest.mark.parametrize("version", [*OWN, *LATER])
@pytest.mark.parametrize("part", ["control-plane", "worker"])
def test_join_is_understood_up_to_the_network(
    part: str, version: str, cluster: str, tmp_path: Path
) -> None:
    """Without a cluster a join ends where it asks for one, at the right place."""
    unfit(version, cluster)
    plan = plan_of(cluster, version)
    if not any(plan.part(node) == part for node in plan.cluster.nodes):
        pytest.skip("nobody joins here")
    text = kubeadm.text(plan, node_of(plan, part))
    assert "5m0s" in text
    command = "join phase preflight --v=1 --ignore-preflight-errors=all"
    ran = run(version, text.replace("5m0s", "2s"), tmp_path, command)
    assert ran.code != 0
    nothing_unknown(ran)
    endpoint = plan.cluster.endpoint
    assert "couldn't validate the identity of the API Server" in ran.output, ran.output
    assert f'requesting info from "{endpoint}"' in ran.output, ran.output


@pytest.mark.parametrize("source", gotypes.SOURCES, ids=lambda source: source.name)
def test_field_tables_are_those_of_the_go_types(source: gotypes.Source) -> None:
    """Every release that is looked at has exactly the fields that the catalog gives it."""
    table = plans.catalog().configurations[source.name]
    assert (table.group, table.kinds) == (source.group, source.kinds)
    for minor, types in source.tables().items():
        for name, fields in types.items():
            known = {
                key: str(one)
                for key, one in table.types[name].items()
                if one.life.is_known((1, minor))
            }
            changed = {key for key, one in known.items() if one == "anything"}
            assert known.keys() == fields.keys(), f"{name} in 1.{minor}"
            assert {key: one for key, one in known.items() if key not in changed} == {
                key: one for key, one in fields.items() if key not in changed
            }
