from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from builder.model.cluster import Cluster, Endpoint, Network, Node, NodeAddress, Taint
from builder.model.platform import Platform
from builder.model.registry import Registry
from builder.model.version import Version


def address(text: str) -> NodeAddress:
    return NodeAddress(ip=ip_address(text))


def network(*pods: str, services: str = "10.96.0.0/12") -> Network:
    return Network(pods=tuple(map(ip_network, pods)), services=(ip_network(services),))


def test_a_cluster_tells_its_control_planes_from_its_workers() -> None:
    first = Node(name="a", role="control-plane", addresses=(address("10.0.0.1"),))
    second = Node(name="b", role="worker")
    third = Node(name="c", role="control-plane")
    cluster = Cluster(
        kubernetes=Version(1, 18, 5),
        platforms=(Platform("linux", "amd64"),),
        network=network("10.244.0.0/16"),
        nodes=(first, second, third),
    )
    assert cluster.control_planes == (first, third)
    assert cluster.workers == (second,)
    assert first.address == ip_address("10.0.0.1")
    assert second.address is None
    assert hash(cluster) == hash(cluster)


def test_a_network_knows_its_dns_address_and_its_families() -> None:
    assert network("10.244.0.0/16").dns == ip_address("10.96.0.10")
    assert network("10.244.0.0/16", services="10.233.0.0/18").dns == ip_address("10.233.0.10")
    assert network("fd00::/56", services="fd01::/112").dns == ip_address("fd01::a")
    assert not network("10.244.0.0/16").dual
    assert network("10.244.0.0/16", "fd00::/56").dual


@pytest.mark.parametrize(
    ("endpoint", "text", "is_address"),
    [
        (Endpoint(host="10.0.0.1"), "10.0.0.1:6443", True),
        (Endpoint(host="fd00::1", port=443), "[fd00::1]:443", True),
        (Endpoint(host="lb.example.com"), "lb.example.com:6443", False),
    ],
)
def test_endpoints_are_written_as_clients_take_them(
    endpoint: Endpoint, text: str, *, is_address: bool
) -> None:
    assert str(endpoint) == text
    assert (endpoint.address is not None) is is_address


def test_registries_and_taints_and_addresses_as_text() -> None:
    assert str(Registry(host="r.example.com:5000")) == "r.example.com:5000"
    assert str(Registry(host="r.example.com", prefix="a/b")) == "r.example.com/a/b"
    assert str(Taint(key="gpu", effect="NoSchedule")) == "gpu:NoSchedule"
    assert str(Taint(key="gpu", value="a100", effect="NoExecute")) == "gpu=a100:NoExecute"
    assert str(address("10.0.0.1")) == "10.0.0.1"
    assert str(NodeAddress(ip=ip_address("10.0.0.1"), prefix=24)) == "10.0.0.1/24"


@pytest.mark.parametrize("text", ["1.18.5", "v1.18.5"])
def test_versions_are_read_with_and_without_v(text: str) -> None:
    version = Version.parse(text)
    assert version == Version(1, 18, 5)
    assert (str(version), version.series) == ("1.18.5", "1.18")


def test_versions_are_ordered_as_releases() -> None:
    texts = ["1.9.11", "1.18.5", "1.18.20", "1.20.0", "2.0.0"]
    versions = [Version.parse(text) for text in texts]
    assert sorted(versions) == versions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.18",
        "1.18.5-rc.1",
        "1.18.05",
        "vv1.18.5",
        "1.18.5 ",
        "1.18.5\n",
        "٣.1.1",
        "1.18.99999",
    ],
)
def test_other_texts_are_no_versions(text: str) -> None:
    with pytest.raises(ValueError, match=r" is not a version$"):
        Version.parse(text)
