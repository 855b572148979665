from __future__ import annotations

import pytest

from builder.errors import DocumentError, Fault
from builder.formats import cluster as cluster_format


def document(
    *nodes: str, pods: str = "10.244.0.0/16", services: str = "10.96.0.0/12", more: str = ""
) -> str:
    lines = "".join(f"  - {{{node}}}\n" for node in nodes)
    network = f"network: {{pods: {pods}, services: {services}}}\n"
    return f"kubernetes: 1.18.5\n{network}{more}nodes:\n{lines}"


def plane(number: int, address: str | None = None) -> str:
    return f"name: cp{number}, role: control-plane, address: '{address or f'10.0.0.{number}'}'"


def worker(number: int, address: str | None = None) -> str:
    return f"name: w{number}, role: worker, address: '{address or f'10.0.1.{number}'}'"


def plain(faults: list[Fault]) -> list[tuple[str, str, str | None, str | None]]:
    return [(f.where.partition(" (line")[0], f.what, f.expected, f.hint) for f in faults]


def wrong(text: str) -> list[tuple[str, str, str | None, str | None]]:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text, "cluster.yaml")
    return plain(list(caught.value.faults))


def remarks(text: str) -> list[tuple[str, str, str | None, str | None]]:
    return plain(list(cluster_format.read(text, "cluster.yaml").remarks))


def test_a_cluster_needs_a_control_plane() -> None:
    assert wrong(document(worker(1))) == [
        (
            "nodes",
            "no control plane",
            None,
            "give one node (or three) the role control-plane",
        )
    ]


def test_nobody_misses_a_control_plane_whose_role_cannot_be_read() -> None:
    found = wrong(document("name: a, role: master, address: 10.0.0.1", worker(1)))
    assert [where for where, *_ in found] == ["nodes[0].role"]


def test_several_control_planes_need_an_endpoint() -> None:
    assert wrong(document(plane(1), plane(2), plane(3))) == [
        (
            "endpoint",
            "is missing: 3 control planes need an address that does not depend on one",
            "HOST[:PORT] of a load balancer or virtual address",
            (
                "without one the control planes can carry a free address of their network: "
                "endpoint: {address: ..., by: keepalived}"
            ),
        )
    ]


def test_an_even_number_of_control_planes_is_remarked() -> None:
    text = document(plane(1), plane(2), plane(3), plane(4), more="endpoint: lb.example.com\n")
    assert remarks(text) == [
        (
            "nodes",
            "4 control planes tolerate 1 failure, as 3 do",
            None,
            "take 3 or 5",
        )
    ]


def test_too_many_control_planes_are_remarked() -> None:
    planes = [plane(n) for n in range(1, 10)]
    assert remarks(document(*planes, more="endpoint: lb.example.com\n")) == [
        ("nodes", "9 control planes make etcd slow", None, "3 or 5 are usual")
    ]


@pytest.mark.parametrize("host", ["10.0.0.2", "cp2"])
def test_an_endpoint_that_is_one_node_is_remarked(host: str) -> None:
    text = document(plane(1), plane(2), plane(3), more=f"endpoint: {host}\n")
    assert remarks(text) == [
        (
            "endpoint",
            (
                f"{host} is cp2 itself: without that node the cluster cannot be reached "
                "(no high availability)"
            ),
            None,
            (
                "take a free address and have the control planes carry it: "
                "endpoint: {address: ..., by: keepalived}"
            ),
        )
    ]


def test_one_control_plane_may_be_its_own_endpoint() -> None:
    assert remarks(document(plane(1), worker(1), more="endpoint: 10.0.0.1\n")) == []


def test_an_endpoint_where_no_api_server_listens_is_remarked() -> None:
    text = document(plane(1), worker(1), more="endpoint: 10.0.1.1\n")
    assert remarks(text) == [
        ("endpoint", "w1 is a worker: no API server listens there", None, None)
    ]
    text = document(plane(1), worker(1), more="endpoint: 10.0.0.1:8443\n")
    assert remarks(text) == [
        ("endpoint", "cp1's API server listens on 6443, not on 8443", None, None)
    ]


def test_only_a_lone_node_may_do_without_an_address() -> None:
    assert remarks(document("name: a, role: control-plane")) == []
    assert wrong(document(plane(1), "name: w1, role: worker")) == [
        (
            "nodes[1].address",
            "is missing",
            None,
            "only a single-node cluster may leave it out",
        )
    ]


def test_no_two_nodes_share_name_address_or_card() -> None:
    found = wrong(
        document(
            plane(1) + ", mac: '52:54:00:00:00:01'",
            "name: cp1, role: worker, address: 10.0.0.1/24, mac: 52-54-00-00-00-01",
        )
    )
    assert found == [
        ("nodes[1].name", "'cp1' is already used by nodes[0].name", None, None),
        ("nodes[1].address", "'10.0.0.1' is already used by nodes[0].address", None, None),
        ("nodes[1].mac", "'52:54:00:00:00:01' is already used by nodes[0].mac", None, None),
    ]


APART = "ranges that share no address"
OURS = "addresses that the cluster does not use itself"


def test_pods_and_services_share_no_address() -> None:
    assert wrong(document(plane(1), pods="10.96.0.0/16")) == [
        (
            "network.pods",
            "10.96.0.0/16 overlaps network.services (10.96.0.0/12)",
            APART,
            "take another range for network.pods",
        )
    ]


def test_nodes_and_endpoint_lie_outside() -> None:
    text = document(plane(1, "10.244.0.1"), worker(1, "10.97.0.1"), more="endpoint: 10.244.9.9\n")
    assert wrong(text) == [
        (
            "nodes[0].address",
            "10.244.0.1 lies in network.pods (10.244.0.0/16)",
            OURS,
            "take another range for network.pods",
        ),
        (
            "nodes[1].address",
            "10.97.0.1 lies in network.services (10.96.0.0/12)",
            OURS,
            "take another range for network.services",
        ),
        (
            "endpoint",
            "10.244.9.9 lies in network.pods (10.244.0.0/16)",
            OURS,
            "take another address, or another range for network.pods",
        ),
    ]


def test_the_network_of_a_node_lies_outside_too() -> None:
    assert wrong(document(plane(1, "10.243.0.1/12"), services="10.0.0.0/16")) == [
        (
            "nodes[0].address",
            "10.243.0.1/12 has a network that overlaps network.pods (10.244.0.0/16)",
            OURS,
            "take another range for network.pods",
        )
    ]


def test_a_default_range_in_the_way_is_named_as_one() -> None:
    text = "kubernetes: 1.18.5\nnodes: [{name: a, role: control-plane, address: 192.168.1.5}]\n"
    assert wrong(text) == [
        (
            "nodes[0].address",
            "192.168.1.5 lies in network.pods (192.168.0.0/16)",
            OURS,
            "set network.pods: the default is not free here",
        )
    ]


@pytest.mark.parametrize(
    ("pods", "services", "where", "what", "expected", "hint"),
    [
        (
            "10.244.0.0/16",
            "10.64.0.0/11",
            "network.services",
            "10.64.0.0/11 is too large for kube-apiserver",
            "a /12 or smaller",
            "write 10.64.0.0/12",
        ),
        (
            "10.244.0.0/16",
            "10.96.0.0/29",
            "network.services",
            "10.96.0.0/29 has no tenth address, which is the cluster's DNS",
            "a /28 or larger",
            None,
        ),
        (
            "10.0.0.0/7",
            "192.168.0.0/16",
            "network.pods",
            (
                "10.0.0.0/7 is too large: kube-controller-manager cuts at most 65,536 node ranges "
                "of /24 from it"
            ),
            "a /8 or smaller",
            None,
        ),
        (
            "10.244.0.0/24",
            "10.96.0.0/12",
            "network.pods",
            "10.244.0.0/24 has room for 1 of 3 nodes, each of which takes a /24",
            "a /22 or larger",
            None,
        ),
        (
            "10.244.0.0/25",
            "10.96.0.0/12",
            "network.pods",
            "10.244.0.0/25 has room for 0 of 3 nodes, each of which takes a /24",
            "a /22 or larger",
            None,
        ),
        (
            "[10.244.0.0/16, 10.245.0.0/16]",
            "10.96.0.0/12",
            "network.pods",
            "two IPv4 subnets",
            "one subnet, or one IPv4 and one IPv6 subnet",
            None,
        ),
    ],
)
def test_sizes(
    pods: str, services: str, where: str, what: str, expected: str, hint: str | None
) -> None:
    nodes = [plane(1, "172.20.0.1"), worker(1, "172.20.0.2"), worker(2, "172.20.0.3")]
    found = wrong(document(*nodes, pods=pods, services=services))
    assert found[0] == (where, what, expected, hint)


@pytest.mark.parametrize(
    ("pods", "nodes"), [("10.244.0.0/24", 1), ("10.244.0.0/23", 2), ("10.244.0.0/22", 3)]
)
def test_the_smallest_pod_subnets_that_do(pods: str, nodes: int) -> None:
    assert remarks(document(plane(1), *(worker(n) for n in range(1, nodes)), pods=pods)) == []


SIX = {"pods": "'fd00:10:244::/56'", "services": "'fd00:10:96::/112'"}
BOTH = {
    "pods": "[10.244.0.0/16, 'fd00:10:244::/56']",
    "services": "[10.96.0.0/16, 'fd00:10:96::/112']",
}
SIX_FIRST = {
    "pods": "['fd00:10:244::/56', 10.244.0.0/16]",
    "services": "['fd00:10:96::/112', 10.96.0.0/16]",
}


def node(addresses: str) -> str:
    return f"name: a, role: control-plane, address: {addresses}"


def test_ipv6_alone_and_dual_stack_in_either_order() -> None:
    assert remarks(document(node("'fd00::1'"), pods=SIX["pods"], services=SIX["services"])) == []
    both = "[10.0.0.1, 'fd00::1']"
    assert remarks(document(node(both), pods=BOTH["pods"], services=BOTH["services"])) == []
    first = document(node(both), pods=SIX_FIRST["pods"], services=SIX_FIRST["services"])
    assert remarks(first) == []


@pytest.mark.parametrize(
    ("pods", "services", "what"),
    [
        ("'fd00:10:244::/47'", SIX["services"], "is too large"),
        ("'fd00:10:244::/65'", SIX["services"], "has room for 0 of 1 nodes"),
        (SIX["pods"], "'fd00:10:96::/107'", "is too large for kube-apiserver"),
        (SIX["pods"], "'fd00:10:96::/125'", "has no tenth address"),
    ],
)
def test_sizes_of_ipv6(pods: str, services: str, what: str) -> None:
    found = wrong(document(node("'fd00::1'"), pods=pods, services=services))
    assert len(found) == 1
    assert what in found[0][1]


def test_families_must_agree() -> None:
    assert wrong(document(plane(1), pods=SIX["pods"])) == [
        (
            "network",
            "pods begin with IPv6, services with IPv4",
            "the same main family",
            None,
        ),
        (
            "nodes[0].address",
            "no IPv6 address, but the cluster's main family is IPv6",
            "an IPv6 address",
            None,
        ),
    ]
    text = document(
        node("[10.0.0.1, 'fd00::1']"), pods=BOTH["pods"], services=SIX_FIRST["services"]
    )
    assert wrong(text) == [
        (
            "network",
            "pods begin with IPv4, services with IPv6",
            "the same main family",
            "give both lists the same order",
        )
    ]
    text = document(node("[10.0.0.1, 'fd00::1']"), services=BOTH["services"])
    assert wrong(text) == [
        (
            "network.pods",
            "services have two families, pods only IPv4",
            "a subnet of each family",
            "add an IPv6 subnet for pods",
        )
    ]


def test_half_a_dual_stack_is_remarked() -> None:
    text = document(plane(1), pods=BOTH["pods"])
    assert remarks(text) == [
        (
            "network.services",
            "pods have two families, services only IPv4",
            None,
            "add an IPv6 subnet for services, unless you mean it",
        ),
        (
            "nodes[0].address",
            "no IPv6 address, but pods have IPv6 addresses too",
            None,
            "give a list of one IPv4 and one IPv6 address",
        ),
    ]


def test_no_network_plugin_has_no_version() -> None:
    more = "cni: {name: none, version: 3.18, install: operator}\n"
    assert wrong(document(plane(1), more=more)) == [
        ("cni.version", "has no effect without a network plugin", None, None),
        ("cni.install", "has no effect without a network plugin", None, None),
    ]


def test_what_moves_or_can_be_changed_on_the_way_is_remarked() -> None:
    more = "extra: {images: [nginx, 'nginx:1'], files: [http://h.example.com/x]}\n"
    assert remarks(document(plane(1), more=more)) == [
        (
            "extra.images[0]",
            "docker.io/library/nginx:latest may move: a later lock may get a different image",
            None,
            "give it a version's tag",
        ),
        (
            "extra.files[0]",
            "plain http without a sha256: anyone in between can change it",
            None,
            "add sha256, or use https",
        ),
    ]


@pytest.mark.parametrize(
    "label",
    ["topology.kubernetes.io/zone", "node.kubernetes.io/pool", "a.node.kubernetes.io/b", "mine"],
)
def test_labels_that_kubelet_may_set(label: str) -> None:
    assert remarks(document(plane(1) + f", labels: {{{label}: x}}")) == []


def test_ten_thousand_nodes_are_checked_in_one_go() -> None:
    nodes = [worker(n, f"172.{16 + n // 60000}.{n // 250}.{n % 250 + 1}") for n in range(9999)]
    text = document(plane(1), *nodes, pods="10.128.0.0/9", services="10.96.0.0/12")
    assert remarks(text) == []


def test_warnings_come_with_the_mistakes() -> None:
    """Whoever has to mend the document anyway wants to know all of it."""
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(document(plane(1), plane(2)), "cluster.yaml")
    assert [fault.where for fault in caught.value.faults] == ["endpoint"]
    assert [(remark.where.partition(" ")[0], remark.what) for remark in caught.value.remarks] == [
        ("nodes", "2 control planes tolerate no failure")
    ]


def test_one_wrong_entry_of_an_extra_hides_no_other() -> None:
    more = (
        "extra:\n  images: ['A:b', nginx:1, nginx:1]\n  packages: ['a b', x.rpm]\n"
        "  files: [/, {source: a, path: d}, {source: b, path: d/e}]\n"
        "  manifests: ['ftp://x/y', m.yaml, m.yaml]\n"
    )
    found = wrong(document(plane(1), more=more))
    assert [where for where, *_ in found] == [
        "extra.images[0]",
        "extra.packages[0]",
        "extra.files[0]",
        "extra.manifests[0]",
        "extra.images[2]",
        "extra.packages[1]",
        "extra.files[2]",
        "extra.manifests[2]",
    ]


def test_a_node_is_not_called_like_a_file_of_the_seeds() -> None:
    found = wrong(document(plane(1), "name: cp1.iso, role: worker, address: 10.0.1.1"))
    assert found == [
        ("nodes[1].name", "cp1.iso is the name of a file that seeds writes", None, "take another")
    ]
    found = wrong(document("name: inventory.yaml, role: control-plane, address: 10.0.0.1"))
    assert [where for where, *_ in found] == ["nodes[0].name"]
