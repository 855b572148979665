"""Raw kubeadm documents in cluster.yaml: every mistake is found when it is read."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from builder.errors import DocumentError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.formats.cluster.owned_fields import OWNED

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

NODES = """\
kubernetes: {version}
endpoint: 10.0.0.9
nodes:
  - {{name: a, role: control-plane, address: 10.0.0.1{a}}}
  - {{name: b, role: control-plane, address: 10.0.0.2{b}}}
  - {{name: c, role: worker, address: 10.0.0.3{c}}}
"""


@cache
def catalog() -> Catalog:
    return catalog_format.load()


def faults(more: str = "", *, version: str = "1.18.5", **nodes: str) -> list[str]:
    """Read a cluster and return each fault with its hint, without line numbers."""
    overlays = {name: f", kubeadm: {{{text}}}" if text else "" for name, text in nodes.items()}
    text = NODES.format(version=version, **{"a": "", "b": "", "c": "", **overlays}) + more
    try:
        cluster_format.read(text, "cluster.yaml", catalog=catalog())
    except DocumentError as error:
        return [
            f"{fault.where.partition(' ')[0]}: {str(fault).partition(': ')[2]}"
            + (f"; {fault.hint}" if fault.hint else "")
            for fault in error.faults
        ]
    return []


def cluster(document: str) -> list[str]:
    return faults(f"kubeadm: {document}\n")


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (
            "{ClusterConfiguration: {apiserver: {}}}",
            (
                "kubeadm.ClusterConfiguration.apiserver: unknown field (expected a field of "
                "ClusterConfiguration in kubeadm.k8s.io/v1beta2, as Kubernetes 1.18.5 has "
                "them); did you mean 'apiServer'?"
            ),
        ),
        (
            "{ClusterConfiguration: {apiServer: {extraVolumes: [{name: a, readonly: true}]}}}",
            (
                "kubeadm.ClusterConfiguration.apiServer.extraVolumes[0].readonly: unknown "
                "field (expected a field of HostPathMount in kubeadm.k8s.io/v1beta2, as "
                "Kubernetes 1.18.5 has them); did you mean 'readOnly'?"
            ),
        ),
        (
            "{KubeletConfiguration: {seccompDefault: true}}",
            (
                "kubeadm.KubeletConfiguration.seccompDefault: unknown field (expected a field "
                "of KubeletConfiguration in kubelet.config.k8s.io/v1beta1, as Kubernetes "
                "1.18.5 has them); only Kubernetes 1.22 and later has it"
            ),
        ),
        (
            "{InitConfiguration: {skipPhase: [addon]}}",
            (
                "kubeadm.InitConfiguration.skipPhase: unknown field (expected a field of "
                "InitConfiguration in kubeadm.k8s.io/v1beta2, as Kubernetes 1.18.5 has them)"
            ),
        ),
        (
            "{ClusterConfiguration: {apiServer: {extraArgs: {profiling: false}}}}",
            (
                "kubeadm.ClusterConfiguration.apiServer.extraArgs.profiling: false is not "
                'allowed here (expected text); write "false", in quotes'
            ),
        ),
        (
            "{ClusterConfiguration: {etcd: {local: {extraArgs: {election-timeout: 5000}}}}}",
            (
                "kubeadm.ClusterConfiguration.etcd.local.extraArgs.election-timeout: 5000 is "
                'not allowed here (expected text); write "5000", in quotes'
            ),
        ),
        (
            "{KubeProxyConfiguration: {enableProfiling: 'no'}}",
            (
                "kubeadm.KubeProxyConfiguration.enableProfiling: 'no' is not allowed here "
                "(expected true or false); write false, without quotes"
            ),
        ),
        (
            "{KubeletConfiguration: {maxPods: '200'}}",
            (
                "kubeadm.KubeletConfiguration.maxPods: '200' is not allowed here (expected a "
                "whole number); write it without quotes"
            ),
        ),
        (
            "{KubeletConfiguration: {syncFrequency: 60}}",
            (
                "kubeadm.KubeletConfiguration.syncFrequency: 60 is not allowed here (expected "
                "a duration like 1h30m or 20s); write 60s, for seconds"
            ),
        ),
        (
            "{KubeProxyConfiguration: {clientConnection: {qps: fast}}}",
            (
                "kubeadm.KubeProxyConfiguration.clientConnection.qps: 'fast' is not allowed "
                "here (expected a number)"
            ),
        ),
        (
            "{ClusterConfiguration: {apiServer: []}}",
            (
                "kubeadm.ClusterConfiguration.apiServer: a list is not allowed here (expected "
                "a mapping)"
            ),
        ),
        (
            "{ClusterConfiguration: {apiServer: {certSANs: a.example.com}}}",
            (
                "kubeadm.ClusterConfiguration.apiServer.certSANs: text is not allowed here "
                "(expected a list)"
            ),
        ),
        (
            "{ClusterConfiguration: {apiServer: {certSANs: [a.example.com, null]}}}",
            "kubeadm.ClusterConfiguration.apiServer.certSANs[1]: has no value",
        ),
        (
            "{ClusterConfiguration: {featureGates: {IPv6DualStack: 1}}}",
            (
                "kubeadm.ClusterConfiguration.featureGates.IPv6DualStack: 1 is not allowed "
                "here (expected true or false)"
            ),
        ),
        (
            "{KubeletConfiguration: {apiVersion: kubelet.config.k8s.io/v1beta2}}",
            (
                "kubeadm.KubeletConfiguration.apiVersion: 'kubelet.config.k8s.io/v1beta2' is "
                "not what Kubernetes 1.18.5 reads (expected kubelet.config.k8s.io/v1beta1)"
            ),
        ),
        (
            "{JoinConfiguration: {controlPlane: {}}}",
            (
                "kubeadm.JoinConfiguration.controlPlane: would turn every worker into a "
                "control plane; write it under roles.control-plane.kubeadm"
            ),
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(document: str, fault: str) -> None:
    assert cluster(document) == [fault]


def test_all_mistakes_come_at_once_with_those_of_other_keys() -> None:
    found = faults(
        "kubeadm: {InitConfiguration: {x: 1}}\n"
        "roles: {worker: {kubeadm: {JoinConfiguration: {y: 1}}}}\n"
        "cni: {name: calicoo}\n",
        b="JoinConfiguration: {z: 1}",
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "kubeadm.InitConfiguration.x",
        "roles.worker.kubeadm.JoinConfiguration.y",
        "nodes[1].kubeadm.JoinConfiguration.z",
        "cni",
    ]


@pytest.mark.parametrize(
    "document",
    [
        "{KubeProxyConfiguration: {clientConnection: {qps: 0.5}, portRange: null}}",
        "{KubeletConfiguration: {syncFrequency: 1h30m, evictionHard: {memory.available: 5%}}}",
        "{KubeletConfiguration: {staticPodURLHeader: {Accept: [a, b]}}}",
        (
            "{KubeletConfiguration: {kind: KubeletConfiguration, apiVersion: "
            "kubelet.config.k8s.io/v1beta1}}"
        ),
        "{InitConfiguration: {nodeRegistration: {kubeletExtraArgs: {v: '4'}}}}",
        "{InitConfiguration: {skipPhases: [addon]}}",
        "{ClusterConfiguration: {apiServer: {timeoutForControlPlane: 0}}}",
        "{JoinConfiguration: {discovery: {timeout: 15m}}}",
    ],
)
def test_what_kubeadm_knows_may_be_said(document: str) -> None:
    expected = 1 if "timeoutForControlPlane: 0" in document else 0  # Go reads "0", not 0
    assert len(cluster(document)) == expected


def test_what_is_too_new_for_one_release_fits_another() -> None:
    text = "kubeadm: {KubeletConfiguration: {providerID: x}}\n"
    assert faults(text, version="1.19.5") == []
    assert len(faults(text, version="1.18.5")) == 1


LATER = ("containerRuntimeEndpoint", "registerWithTaints")
"""Fields that 1.18 has not."""
OLD = [(kind, way) for kind in OWNED for way in OWNED[kind] if way[0] not in LATER]


def _document(way: tuple[str, ...]) -> str:
    """A value at a way through a document, of a type that its field has not."""
    text = "null"
    for key in reversed(way):
        text = f"{{{key}: {text}}}"
    return text


@pytest.mark.parametrize(("kind", "way"), OLD)
def test_what_airseed_sets_may_not_be_said_twice(kind: str, way: tuple[str, ...]) -> None:
    """Every entry leads to a field, and is refused there with its advice, even as null."""
    document = f"{{{kind}: {_document(way)}}}"
    more = f"roles: {{control-plane: {{kubeadm: {document}}}}}\n"
    path = ".".join(("roles.control-plane.kubeadm", kind, *way))
    assert faults(more) == [f"{path}: airseed sets this itself; {OWNED[kind][way]}"]


@pytest.mark.parametrize(
    ("kind", "place", "whose"),
    [
        ("InitConfiguration", "kubeadm", "a"),
        ("InitConfiguration", "roles.control-plane.kubeadm", "a"),
        ("JoinConfiguration", "roles.control-plane.kubeadm", "b"),
        ("JoinConfiguration", "kubeadm", "bc"),
        ("JoinConfiguration", "roles.worker.kubeadm", "c"),
    ],
)
def test_taints_are_said_in_one_place(kind: str, place: str, whose: str) -> None:
    """Of those that a node registers with one would be void without a word."""
    documents = f"kubeadm: {{{kind}: {{nodeRegistration: {{taints: []}}}}}}"
    role = place.split(".")[1] if "." in place else ""
    more = f"roles: {{{role}: {{{documents}}}}}\n" if role else f"{documents}\n"
    names = ("a", "b", "c")
    text = NODES.format(version="1.18.5", **dict.fromkeys(names, ", taints: ['x:NoSchedule']"))
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text + more, "cluster.yaml", catalog=catalog())
    assert [str(fault) for fault in caught.value.faults] == [
        f"nodes[{names.index(name)}].taints (line {4 + names.index(name)}): "
        f"{place}.{kind}.nodeRegistration.taints has taints for this node, too"
        for name in whose
    ]


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("InitConfiguration", "nodeRegistration"),
        ("ClusterConfiguration", "etcd"),
        ("ClusterConfiguration", "dns"),
        ("JoinConfiguration", "discovery"),
    ],
)
def test_nor_may_null_sweep_it_away(kind: str, key: str) -> None:
    (found,) = cluster(f"{{{kind}: {{{key}: null}}}}")
    assert found.startswith(f"kubeadm.{kind}.{key}: airseed sets fields in here; ")


@pytest.mark.parametrize(
    ("nodes", "fault"),
    [
        (
            {"b": "ClusterConfiguration: {}"},
            (
                "nodes[1].kubeadm.ClusterConfiguration: b joins the cluster and does not read "
                "ClusterConfiguration (expected JoinConfiguration); write it as "
                "kubeadm.ClusterConfiguration, outside nodes and roles"
            ),
        ),
        (
            {"a": "JoinConfiguration: {}"},
            (
                "nodes[0].kubeadm.JoinConfiguration: a starts the cluster and does not read "
                "JoinConfiguration (expected InitConfiguration)"
            ),
        ),
        (
            {"c": "JoinConfiguration: {controlPlane: {}}"},
            (
                "nodes[2].kubeadm.JoinConfiguration.controlPlane: would turn every worker "
                "into a control plane; write it under roles.control-plane.kubeadm"
            ),
        ),
    ],
)
def test_a_document_stands_where_somebody_reads_it(nodes: dict[str, str], fault: str) -> None:
    assert faults(**nodes) == [fault]


def test_a_role_of_workers_reads_one_kind() -> None:
    (found,) = faults("roles: {worker: {kubeadm: {KubeletConfiguration: {}}}}\n")
    assert found.startswith(
        "roles.worker.kubeadm.KubeletConfiguration: each worker joins the cluster and does not read"
    )


def test_gaps_elsewhere_hide_nothing() -> None:
    """An unreadable node, an unknown runtime: the documents are checked all the same."""
    found = faults("runtime: {name: dockerr}\nkubeadm: {InitConfiguration: {x: 1}}\nos: 3\n")
    assert any(fault.startswith("kubeadm.InitConfiguration.x: unknown field") for fault in found)


def test_hostile_documents_end_in_faults() -> None:
    many = ", ".join(f"k{number}: 1" for number in range(5000))
    assert 1000 <= len(cluster(f"{{ClusterConfiguration: {{{many}}}}}")) < 1100
