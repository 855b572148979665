"""What cluster.yaml says of an endpoint that nodes keep up, and what is refused of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import DocumentError, Fault
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.model.cluster import Endpoint
from builder.model.demand import demand

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

PLANES = "".join(
    f"- {{name: cp{n}, role: control-plane, address: 10.0.0.{n}/24}}\n" for n in (1, 2, 3)
)
WORKER = "- {name: w1, role: worker, address: 10.0.1.1/24}\n"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalog_format.load()


def document(endpoint: str, *, nodes: str = PLANES + WORKER, more: str = "") -> str:
    return f"kubernetes: 1.18.5\nendpoint: {endpoint}\n{more}nodes:\n{nodes}"


def plain(faults: list[Fault]) -> list[tuple[str, str, str | None, str | None]]:
    return [(f.where.partition(" (line")[0], f.what, f.expected, f.hint) for f in faults]


def wrong(text: str, catalog: Catalog | None = None) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(text, "cluster.yaml", catalog=catalog)  # type: ignore[call-overload] # either
    return [(where, what) for where, what, *_ in plain(list(caught.value.faults))]


@pytest.mark.parametrize(
    ("text", "endpoint", "shown"),
    [
        (
            "{address: 10.0.0.60, by: keepalived}",
            Endpoint(host="10.0.0.60", by="keepalived"),
            "10.0.0.60:6443",
        ),
        (
            "{address: 10.0.0.60, by: kube-vip, interface: eth1, port: 6443}",
            Endpoint(host="10.0.0.60", by="kube-vip", interface="eth1"),
            "10.0.0.60:6443",
        ),
        (
            "{name: api.cluster.local, by: local-proxy}",
            Endpoint(host="api.cluster.local", by="local-proxy"),
            "api.cluster.local:6443",
        ),
        ("10.0.0.60", Endpoint(host="10.0.0.60"), "10.0.0.60:6443"),
    ],
)
def test_an_endpoint_is_said_in_either_form(text: str, endpoint: Endpoint, shown: str) -> None:
    read = cluster_format.read(document(text), "cluster.yaml")
    assert (read.cluster.endpoint, str(read.cluster.endpoint), read.remarks) == (
        endpoint,
        shown,
        (),
    )


def test_an_address_of_ipv6() -> None:
    planes = "- {name: a, role: control-plane, address: 'fd00::1/64'}\n"
    text = "kubernetes: 1.18.5\nnetwork: {pods: 'fd01::/56', services: 'fd02::/112'}\n"
    text += f"endpoint: {{address: 'fd00::60', by: kube-vip}}\nnodes:\n{planes}"
    assert str(cluster_format.read(text, "c").cluster.endpoint) == "[fd00::60]:6443"


@pytest.mark.parametrize(
    ("endpoint", "where", "what"),
    [
        ("{address: 10.0.0.60}", "endpoint.by", "is missing"),
        ("{by: keepalived}", "endpoint", "keepalived needs an address, and no name"),
        ("{by: local-proxy}", "endpoint", "local-proxy needs a name, and no address"),
        (
            "{name: 10.211.55.60, by: local-proxy}",
            "endpoint",
            "10.211.55.60 is an address, which /etc/hosts can't redirect: local-proxy needs a name",
        ),
        ("{by: kube-vip, name: a.b}", "endpoint", "kube-vip needs an address, and no name"),
        (
            "{by: local-proxy, address: 10.0.0.60}",
            "endpoint",
            "local-proxy needs a name, and no address",
        ),
        (
            "{by: local-proxy, name: a.b, interface: eth0}",
            "endpoint",
            "interface has no effect: local-proxy has no address on any card",
        ),
        ("{by: haproxy, name: a.b}", "endpoint.by", "'haproxy' is not one of the choices"),
        (
            "{by: keepalived, address: 10.0.0.60/24}",
            "endpoint.address",
            "'10.0.0.60/24' is not an endpoint",
        ),
        (
            "{by: keepalived, address: 10.0.0.60, port: 8443}",
            "endpoint.port",
            "API servers listen on 6443, and nothing forwards 8443 to them",
        ),
        (
            "{by: keepalived, address: 10.0.0.2}",
            "endpoint.address",
            "10.0.0.2 is an address of cp2 (nodes[1])",
        ),
        (
            "{by: keepalived, address: 10.0.0.254}",
            "endpoint.address",
            "10.0.0.254 is a router of cp1 (nodes[0])",
        ),
        (
            "{by: kube-vip, address: 10.0.0.53}",
            "endpoint.address",
            "10.0.0.53 is a name server of cp1 (nodes[0])",
        ),
        (
            "{by: keepalived, address: 10.0.0.0}",
            "endpoint.address",
            "10.0.0.0 is that of the network 10.0.0.0/24 itself, or of all in it",
        ),
        (
            "{by: keepalived, address: 10.0.0.255}",
            "endpoint.address",
            "10.0.0.255 is that of the network 10.0.0.0/24 itself, or of all in it",
        ),
        (
            "{by: local-proxy, name: cp2}",
            "endpoint.name",
            "cp2 is a machine's own name, and resolves to that machine",
        ),
        (
            "{by: local-proxy, name: localhost}",
            "endpoint.name",
            "localhost is a name that every machine has already",
        ),
        (
            "{by: keepalived, address: 'fd00::60'}",
            "endpoint.address",
            "cp1 speaks IPv4 with the other control planes",
        ),
        ("{by: keepalived, address: 10.244.0.9}", "endpoint", "10.244.0.9 lies in network.pods"),
    ],
)
def test_what_can_not_be_kept_up_is_refused(endpoint: str, where: str, what: str) -> None:
    more = "network: {pods: 10.244.0.0/16}\n"
    more += "machine: {network: {gateway: 10.0.0.254, nameservers: [10.0.0.53]}}\n"
    nodes = PLANES.replace("role", "interface: eth0, role")
    found = wrong(document(endpoint, nodes=nodes, more=more))
    assert any(path == where and said.startswith(what) for path, said in found), found


def test_an_address_that_arp_does_not_reach_is_refused_for_each_control_plane() -> None:
    far = PLANES.replace("10.0.0.3/24", "10.0.9.3/24")
    assert wrong(document("{by: keepalived, address: 10.0.0.60}", nodes=far)) == [
        ("endpoint.address", "10.0.0.60 is in no network of cp3's card (10.0.9.0/24)")
    ]
    unknown = PLANES.replace("/24", "")
    text = document("{by: keepalived, address: 10.7.0.60}", nodes=unknown)
    assert cluster_format.read(text, "c").remarks == ()


def test_another_card_has_its_own_networks() -> None:
    cards = "machine: {network: {cards: [{interface: eth1, address: 192.168.7.1/24}]}}"
    plane = f"- {{name: a, role: control-plane, interface: eth0, address: 10.0.0.1/24, {cards}}}\n"
    network = "network: {pods: 10.244.0.0/16}\n"
    text = document(
        "{by: keepalived, address: 192.168.7.60, interface: eth1}", nodes=plane, more=network
    )
    remarks = cluster_format.read(text, "c").remarks
    assert [fault.what for fault in remarks] == [
        "there is one control plane: while it is away, nobody else answers"
    ]
    assert wrong(text.replace("7.60", "8.60")) == [
        ("endpoint.address", "192.168.8.60 is in no network of a's card (192.168.7.0/24)")
    ]
    assert wrong(text.replace("7.60", "7.1")) == [
        ("endpoint.address", "192.168.7.1 is an address of a (nodes[0])")
    ]


def test_hosts_may_not_lead_the_name_elsewhere() -> None:
    more = "machine: {hosts: {10.9.9.9: [api.cluster.local]}}\n"
    text = document("{by: local-proxy, name: api.cluster.local}", more=more)
    assert wrong(text) == [
        (
            "machine.hosts.10.9.9.9",
            "api.cluster.local is the endpoint's name, which local-proxy leads elsewhere",
        )
    ]


def test_faults_of_an_endpoint_hide_no_others() -> None:
    text = document("{by: keepalived, address: 10.0.0.1, port: 1}", more="name: A_B\n")
    assert {where for where, _ in wrong(text)} == {"name", "endpoint.port", "endpoint.address"}


def test_a_provider_that_drops_the_address_is_named_with_the_way_out(catalog: Catalog) -> None:
    def text(provider: str) -> str:
        more = f"seed: {{provider: {provider}}}\n"
        return document("{by: keepalived, address: 10.0.0.60}", more=more)

    read = cluster_format.read(text("openstack"), "c", catalog=catalog)
    assert plain(list(read.remarks)) == [
        (
            "endpoint",
            (
                "neutron drops what comes from an address that is not its port's, unless told "
                "otherwise"
            ),
            None,
            (
                "openstack port set --allowed-address ip-address=10.0.0.60 PORT, for the port of "
                "each control plane"
            ),
        )
    ]
    for provider in ("ec2", "azure"):
        (found,) = wrong(text(provider), catalog)
        assert found[0] == "endpoint"
        assert found[1].endswith("knows no ARP, by which the address would move")
    proxied = text("ec2").replace("address: 10.0.0.60", "name: api.cluster.local")
    proxied = proxied.replace("keepalived", "local-proxy")
    assert cluster_format.read(proxied, "c", catalog=catalog).remarks == ()


@pytest.mark.parametrize(
    ("by", "path"),
    [
        ("kube-vip", "/etc/kubernetes/manifests/kube-vip.yaml"),
        ("keepalived", "/etc/keepalived/keepalived.conf"),
        ("local-proxy", "/etc/kubernetes/manifests/airseed-proxy.yaml"),
    ],
)
def test_a_file_of_the_users_there_is_refused_where_airseed_writes_it(
    catalog: Catalog, by: str, path: str
) -> None:
    key = "name: api.local" if by == "local-proxy" else "address: 10.0.0.60"
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}}"
    more = f"machine: {{files: [{{path: {path}, content: '{pod}'}}]}}\n"
    ((where, what),) = wrong(document(f"{{by: {by}, {key}}}", more=more), catalog)
    assert where == "machine.files[0].path"
    assert what.startswith(f"{path!r} is airseed's: ")
    cluster_format.read(document("lb.example.com", more=more), "c", catalog=catalog)


@pytest.mark.parametrize(
    ("endpoint", "image", "roles", "packages"),
    [
        (
            "{by: kube-vip, address: 10.0.0.60}",
            "ghcr.io/kube-vip/kube-vip:v1.2.3",
            ("control-plane",),
            [],
        ),
        ("{by: keepalived, address: 10.0.0.60}", None, (), ["keepalived"]),
        (
            "{by: local-proxy, name: api.local}",
            "docker.io/library/haproxy:3.2.19-alpine",
            ("worker",),
            [],
        ),
    ],
)
def test_what_it_takes_is_asked_for(
    catalog: Catalog, endpoint: str, image: str | None, roles: tuple[str, ...], packages: list[str]
) -> None:
    read = cluster_format.read(document(endpoint), "c", catalog=catalog)
    wanted = demand(read.cluster, read.choice, catalog)
    images = [one for one in wanted.images if one.needed_by == ("endpoint",)]
    assert [(str(one.reference), one.roles) for one in images] == (
        [(image, roles)] if image else []
    )
    assert [p.request for p in wanted.packages if p.needed_by == ("endpoint",)] == packages


def test_nobody_is_asked_for_a_proxy_without_workers(catalog: Catalog) -> None:
    text = document("{by: local-proxy, name: api.local}", nodes=PLANES)
    read = cluster_format.read(text, "c", catalog=catalog)
    wanted = demand(read.cluster, read.choice, catalog)
    assert not any(one.needed_by == ("endpoint",) for one in wanted.images)
