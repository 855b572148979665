"""network-config: what is written, what is left to cloud-init, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml

from builder.errors import DocumentError
from builder.render.cloudinit import network as cards
from builder.render.cloudinit.values import env
from builder.render.kubeadm.start import start
from builder.render.seed import seed

if TYPE_CHECKING:
    from builder.render.plan import Plan

SHARED = Path(__file__).parents[4] / "shared/upstream/cloud-init"
CARD = "address: 10.0.0.5/24, interface: eth0"


def plan(node: str, network: str = "{}", system: str = "7.6") -> Plan:
    return plans.plan(
        f"kubernetes: 1.18.5\nos: {{name: centos, version: {system}}}\n"
        f"nodes: [{{name: a, role: control-plane, {node}, machine: {{network: {network}}}}}]\n"
    )


def config(node: str, network: str = "{}", system: str = "7.6") -> Any:
    one = plan(node, network, system)
    text = seed(one, one.first).get("network-config")
    loaded = yaml.safe_load(text) if text is not None else None
    schema = SHARED / f"26.2-schema-network-config-v{(loaded or {}).get('version')}.json"
    if loaded is not None and schema.is_file():
        import jsonschema

        validator = jsonschema.Draft4Validator(json.loads(schema.read_text(encoding="utf-8")))
        checked = spelt_as_in_the_schema(loaded)
        assert [error.message for error in validator.iter_errors(checked)] == []
        assert [*validator.iter_errors({**checked, "version": 3})]
    return loaded


def spelt_as_in_the_schema(loaded: Any) -> Any:
    """Spell a bond's options as the schema does, which the sysconfig writer does not read."""
    wrapped = copy.deepcopy(loaded)
    for one in wrapped["config"] if wrapped["version"] == 1 else ():
        if one["type"] == "bond":
            one["params"] = {
                f"bond-{name.removeprefix('bond-').replace('-', '_')}": value
                for name, value in one["params"].items()
            }
    return wrapped


def refused(node: str, network: str, system: str = "7.6") -> list[str]:
    with pytest.raises(DocumentError) as caught:
        plan(node, network, system)
    return [str(fault) for fault in caught.value.faults]


def test_nothing_is_written_where_no_card_is_named() -> None:
    assert config("address: 10.0.0.5/24") is None


def test_a_static_address_with_all_that_goes_with_it() -> None:
    network = (
        "{gateway: 10.0.0.1, nameservers: [10.0.0.2, 10.0.0.3], search: [example.com], mtu: 9000,"
        " routes: [{to: 10.8.0.0/16, via: 10.0.0.9}]}"
    )
    assert config(f"{CARD}, mac: '52:54:00:12:34:56'", network) == {
        "version": 1,
        "config": [
            {
                "type": "physical",
                "name": "eth0",
                "mac_address": "52:54:00:12:34:56",
                "mtu": 9000,
                "subnets": [
                    {
                        "type": "static",
                        "address": "10.0.0.5/24",
                        "gateway": "10.0.0.1",
                        "dns_nameservers": ["10.0.0.2", "10.0.0.3"],
                        "dns_search": ["example.com"],
                        "routes": [
                            {
                                "network": "10.8.0.0",
                                "netmask": "255.255.0.0",
                                "gateway": "10.0.0.9",
                            }
                        ],
                    }
                ],
            },
            {
                "type": "nameserver",
                "address": ["10.0.0.2", "10.0.0.3"],
                "search": ["example.com"],
            },
        ],
    }


def test_a_card_that_only_its_mac_is_known_of_gets_a_name() -> None:
    found = config("address: 10.0.0.5/24, mac: '52:54:00:12:34:56'")
    assert [one["name"] for one in found["config"]] == ["net0"]
    second = config("address: 10.0.0.5/24, mac: '52:54:00:12:34:56'", "{version: 2}")
    assert second["ethernets"]["net0"] == {
        "match": {"macaddress": "52:54:00:12:34:56"},
        "set-name": "net0",
        "addresses": ["10.0.0.5/24"],
    }


def test_dhcp_where_the_address_has_no_prefix_length_or_there_is_none() -> None:
    found = config("address: 10.0.0.5, interface: eth0")
    assert found["config"][0]["subnets"] == [{"type": "dhcp4"}]
    assert config("interface: eth0")["config"][0]["subnets"] == [{"type": "dhcp4"}]
    assert config("interface: eth0", "{version: 2}")["ethernets"]["eth0"] == {"dhcp4": True}


def test_a_vlan_on_a_bond() -> None:
    network = (
        "{vlan: 100, mtu: 9000, gateway: 10.0.0.1, bond: {interfaces: [eth0, eth1],"
        " mode: 802.3ad, options: {miimon: 100, xmit_hash_policy: layer3+4}}}"
    )
    cards = config("address: 10.0.0.5/24", network)["config"]
    assert [one["name"] for one in cards] == ["eth0", "eth1", "bond0", "bond0.100"]
    assert cards[2] == {
        "type": "bond",
        "name": "bond0",
        "bond_interfaces": ["eth0", "eth1"],
        "params": {
            "bond-mode": "802.3ad",
            "bond-miimon": 100,
            "bond-xmit-hash-policy": "layer3+4",
        },
        "mtu": 9000,
    }
    assert cards[3] == {
        "type": "vlan",
        "name": "bond0.100",
        "vlan_link": "bond0",
        "vlan_id": 100,
        "mtu": 9000,
        "subnets": [{"type": "static", "address": "10.0.0.5/24", "gateway": "10.0.0.1"}],
    }


def test_an_ipv6_route_is_written_as_old_ones_can_read_it() -> None:
    node = "address: [10.0.0.5/24, 'fd00::5/64'], interface: eth0"
    network = "{gateway: [10.0.0.1, 'fe80::1'], routes: [{to: 'fd01::/48', via: 'fd00::9'}]}"
    text = (
        "network: {pods: [10.244.0.0/16, 'fd00:10:244::/56'],"
        " services: [10.96.0.0/16, 'fd00:10:96::/112']}\n"
        f"kubernetes: 1.19.5\nnodes: [{{name: a, role: control-plane, {node},"
        f" machine: {{network: {network}}}}}]\n"
    )
    one = plans.plan(text)
    subnets = yaml.safe_load(seed(one, one.first)["network-config"])["config"][0]["subnets"]
    assert subnets == [
        {
            "type": "static",
            "address": "10.0.0.5/24",
            "gateway": "10.0.0.1",
            "routes": [{"network": "fd01::", "netmask": "48", "gateway": "fd00::9"}],
        },
        {"type": "static", "address": "fd00::5/64"},
    ]
    # network scripts want to know the card of a link-local router
    machine = one.cluster.machine_of(one.first)
    assert cards.on_link(one.first, machine.network) == "fd00::5,default,fe80::1"


def test_a_card_below_vlans_takes_the_largest_of_their_packets() -> None:
    """The kernel refuses a VLAN with packets that its card does not take."""
    node = "address: 10.0.0.5/24, interface: eth0"
    other = "cards: [{interface: eth0, vlan: 200, address: 10.2.0.5/24, mtu: 9000}]"
    one = plans.plan(
        f"kubernetes: 1.18.5\nnodes: [{{name: a, role: control-plane, {node},"
        f" machine: {{network: {{vlan: 100, mtu: 1500, {other}}}}}}}]\n"
    )
    config = yaml.safe_load(seed(one, one.first)["network-config"])["config"]
    assert {part["name"]: part["mtu"] for part in config} == {
        "eth0": 9000,
        "eth0.100": 1500,
        "eth0.200": 9000,
    }


BOND = "bond: {interfaces: [eth0, eth1], mode: 802.3ad, options: {lacp_rate: fast}}"


@pytest.mark.parametrize(
    ("node", "network", "faults"),
    [
        ("address: 10.0.0.5, interface: eth0", "{nameservers: 10.0.0.2, search: [example.com]}", [
            ("nodes[0].machine.network.nameservers (line 3): DHCP brings them here: no address of"
           " the node is set with a prefix length"),
            ("nodes[0].machine.network.search (line 3): DHCP brings them here: no address of the"
            " node is set with a prefix length"),
        ]),
        ("address: 10.0.0.5/24", "{bond: {interfaces: [bond0, eth1]}}", [
            "nodes[0].machine.network.bond.name: bond0 is one of its own interfaces"
        ]),
        ("address: 10.0.0.5/24, interface: enp216s0f0np0", "{vlan: 100}", [
            ("nodes[0].machine.network.vlan (line 3): the name enp216s0f0np0.100 is longer than a"
            " kernel takes (expected 15 characters at most)")
        ]),
        ("address: 10.0.0.5/24", f"{{{BOND}}}", [
            ("nodes[0].machine.network.bond.options.lacp_rate (line 3): cloud-init 18.2 does not"
            " write this option out (expected one of miimon, xmit_hash_policy)"),
        ]),
        ("address: 10.0.0.5/24", "{version: 2, vlan: 7, mtu: 9000, bond: {interfaces: [e0, e1]}}", [
            ("nodes[0].machine.network.version (line 3): cloud-init 18.2 does not bring bond mtu"
            " through in version 2 (expected version 1)"),
            ("nodes[0].machine.network.version (line 3): cloud-init 18.2 does not bring vlan mtu"
            " through in version 2 (expected version 1)"),
        ]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(node: str, network: str, faults: list[str]) -> None:
    assert refused(node, network) == faults


def test_a_newer_cloud_init_may_be_told_more() -> None:
    network = f"{{version: 2, vlan: 7, mtu: 9000, {BOND}}}"
    found = config("address: 10.0.0.5/24", network, "7.9")
    assert found["bonds"]["bond0"]["parameters"] == {
        "mode": "802.3ad",
        "mii-monitor-interval": "100",
        "lacp-rate": "fast",
    }
    assert found["vlans"]["bond0.7"]["mtu"] == 9000


CARDS = (
    "{gateway: 10.0.0.1, nameservers: 10.0.0.2, cards: ["
    "{interface: eth1, address: [10.8.0.5/24, 10.8.1.5/24], mtu: 9000,"
    " routes: [{to: 10.9.0.0/16, via: 10.8.0.1}]},"
    " {mac: '52:54:00:12:34:57'}, {interface: eth1, vlan: 7, address: 10.10.0.5/24},"
    " {bond: {interfaces: [eth2, eth3]}, address: []}]}"
)


def test_more_cards_than_the_clusters() -> None:
    found = config(CARD, CARDS)["config"]
    assert found == [
        {
            "type": "physical",
            "name": "eth0",
            "subnets": [
                {
                    "type": "static",
                    "address": "10.0.0.5/24",
                    "gateway": "10.0.0.1",
                    "dns_nameservers": ["10.0.0.2"],
                }
            ],
        },
        {
            "type": "physical",
            "name": "eth1",
            "mtu": 9000,
            "subnets": [
                {
                    "type": "static",
                    "address": "10.8.0.5/24",
                    "routes": [
                        {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.8.0.1"}
                    ],
                },
                {"type": "static", "address": "10.8.1.5/24"},
            ],
        },
        {
            "type": "physical",
            "name": "net2",
            "mac_address": "52:54:00:12:34:57",
            "subnets": [{"type": "dhcp4"}],
        },
        {
            "type": "vlan",
            "name": "eth1.7",
            "vlan_link": "eth1",
            "vlan_id": 7,
            "subnets": [{"type": "static", "address": "10.10.0.5/24"}],
        },
        {"type": "physical", "name": "eth2"},
        {"type": "physical", "name": "eth3"},
        {
            "type": "bond",
            "name": "bond0",
            "bond_interfaces": ["eth2", "eth3"],
            "params": {"bond-mode": "active-backup", "bond-miimon": 100},
        },
        {"type": "nameserver", "address": ["10.0.0.2"]},
    ]
    second = config(CARD, CARDS.replace("{gateway", "{version: 2, gateway"))
    assert sorted(second["ethernets"]) == ["eth0", "eth1", "eth2", "eth3", "net2"]
    assert second["ethernets"]["eth1"]["addresses"] == ["10.8.0.5/24", "10.8.1.5/24"]
    assert second["vlans"]["eth1.7"]["addresses"] == ["10.10.0.5/24"]


def test_a_bond_with_a_vlan_on_it_and_an_address_of_its_own() -> None:
    network = "{bond: {interfaces: [eth0, eth1]}, cards: [{interface: bond0, vlan: 9}]}"
    found = config("address: 10.0.0.5/24", network)["config"]
    assert [(one["type"], one["name"]) for one in found] == [
        ("physical", "eth0"),
        ("physical", "eth1"),
        ("bond", "bond0"),
        ("vlan", "bond0.9"),
    ]
    assert found[2]["subnets"] == [{"type": "static", "address": "10.0.0.5/24"}]


def test_the_cluster_uses_the_card_of_the_nodes_address() -> None:
    one = plan(CARD, CARDS)
    text = env(one, one.first)
    assert "AIRSEED_CNI_REACH='10.0.0.5'\n" in text
    arguments = start(one, one.first)[0]["nodeRegistration"]["kubeletExtraArgs"]
    assert arguments == {"node-ip": "10.0.0.5"}
    alone = plan(CARD)
    assert "AIRSEED_CNI_REACH=''\n" in env(alone, alone.first)


@pytest.mark.parametrize("by", ["keepalived", "kube-vip", "local-proxy"])
def test_calico_does_not_take_the_endpoints_address_for_the_nodes(by: str) -> None:
    """Of IPv6 the kernel lists the youngest address first, and of IPv4 after a card's restart."""
    said = "name: api.local" if by == "local-proxy" else "address: 10.0.0.60"
    node = f"nodes: [{{name: a, role: control-plane, {CARD}}}]"
    one = plans.plan(f"kubernetes: 1.18.5\nendpoint: {{{said}, by: {by}}}\n{node}\n")
    reached = "" if by == "local-proxy" else "10.0.0.5"
    assert f"AIRSEED_CNI_REACH='{reached}'\n" in env(one, one.first)


@pytest.mark.parametrize("version", [1, 2])
def test_a_router_on_the_link_is_set_by_the_node(version: int) -> None:
    network = (
        f"{{version: {version}, gateway: 10.1.0.1, on-link: true, cards: [{{interface: eth1,"
        " address: 10.8.0.5/32, on-link: true, routes: [{to: 10.9.0.0/16, via: 10.8.0.1}]}]}"
    )
    one = plan("address: 10.0.0.5/32, interface: eth0", network)
    text = seed(one, one.first)["network-config"].decode()
    assert "10.1.0.1" not in text
    assert "10.8.0.1" not in text
    assert "10.0.0.5/32" in text
    wanted = "10.0.0.5,default,10.1.0.1 10.8.0.5,10.9.0.0/16,10.8.0.1"
    assert f"AIRSEED_ON_LINK='{wanted}'\n" in env(one, one.first)


def test_a_default_route_among_the_routes_is_the_gateway() -> None:
    said = config(CARD, "{gateway: 10.0.0.1}")
    assert config(CARD, "{routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]}") == said
