"""What cluster.yaml says about network cards, and what of it no machine could do."""

from __future__ import annotations

import pytest

from builder.errors import DocumentError
from builder.formats import cluster as cluster_format

HEAD = (
    "kubernetes: 1.18.5\nendpoint: lb.example.com\nnodes:\n"
    "  - {name: a, role: control-plane, address: 10.0.0.1/24, interface: eth0}\n"
    "  - {name: b, role: worker, address: 10.0.0.2/24, interface: eth0}\n"
)
BONDED = HEAD.replace(", interface: eth0", "")


def found(network: str, head: str = HEAD) -> list[str]:
    text = f"{head}machine: {{network: {{{network}}}}}\n"
    try:
        cluster_format.read(text, "cluster.yaml")
    except DocumentError as error:
        return [f"{fault.where}: {fault.what}" for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (
            "gateway: 10.0.0.255",
            "nodes[0].address (line 4): 10.0.0.255 is this machine or its network, and no router",
        ),
        (
            "gateway: 10.0.0.9, routes: [{to: 0.0.0.0/0, via: 10.0.0.8}]",
            (
                "machine.network.routes[0] (line 6): a second IPv4 default route, beside"
                " machine.network.gateway"
            ),
        ),
        (
            "routes: [{to: 0.0.0.0/0, via: 10.0.0.9}, {to: 0.0.0.0/0, via: 10.0.0.8}]",
            (
                "machine.network.routes[1] (line 6): a second IPv4 default route, beside"
                " machine.network.routes[0]"
            ),
        ),
        (
            (
                "cards: [{interface: eth1, address: 'fd00::5/64', gateway: 'fe80::1',"
                " routes: [{to: '::/0', via: 'fe80::2'}]}]"
            ),
            (
                "machine.network.cards[0].routes[0] (line 6): a second IPv6 default route, beside"
                " machine.network.cards[0].gateway"
            ),
        ),
        (
            "gateway: [10.0.0.9, 'fe80::1']",
            "nodes[0].address (line 4): the gateway fe80::1 is in no network of this node",
        ),
        (
            "gateway: 169.254.1.1",
            "nodes[0].address (line 4): the gateway 169.254.1.1 is in no network of this node",
        ),
        (
            "routes: [{to: 10.0.0.0/24, via: 10.0.0.9}]",
            (
                "nodes[0].address (line 4): 10.0.0.0/24 is this card's own network, and needs no"
                " router"
            ),
        ),
        (
            "mtu: 1500, cards: [{interface: eth0, vlan: 9, address: 10.8.0.5/24, mtu: 9000}]",
            (
                "machine.network.cards[0].mtu (line 6): packets of 9000 bytes do not fit into those"
                " of eth0, 1500"
            ),
        ),
        (
            (
                "gateway: 10.0.0.9, cards: [{interface: eth1, mtu: 9000, gateway: 10.8.0.1,"
                " address: 10.8.0.5/24}]"
            ),
            (
                "machine.network.cards[0].gateway (line 6): a second IPv4 default route, beside"
                " machine.network.gateway"
            ),
        ),
        (
            (
                "gateway: 10.0.0.9, cards: [{mac: '52:54:00:12:34:56', address: 10.8.0.5/24,"
                " routes: [{to: 0.0.0.0/0, via: 10.8.0.1}]}]"
            ),
            (
                "machine.network.cards[0].routes[0] (line 6): a second IPv4 default route, beside"
                " machine.network.gateway"
            ),
        ),
        (
            "gateway: 10.0.0.9, routes: [{to: 0.0.0.0/0, via: 10.0.0.9}]",
            (
                "machine.network.routes[0] (line 6): a second IPv4 default route, beside"
                " machine.network.gateway"
            ),
        ),
        (
            "routes: [{to: 10.9.0.0/16, via: 10.0.0.9}, {to: 10.9.0.0/16, via: 10.0.0.8}]",
            (
                "machine.network.routes[1] (line 6): 10.9.0.0/16 is already routed by"
                " machine.network.routes[0]"
            ),
        ),
        (
            "routes: [{to: 10.9.0.0/16, via: 10.5.0.9}]",
            (
                "nodes[0].address (line 4): 10.5.0.9, next to 10.9.0.0/16, is in no network of this"
                " node"
            ),
        ),
        (
            "cards: [{interface: eth1, address: 10.8.0.5/24, gateway: 10.7.0.1}]",
            (
                "machine.network.cards[0].address (line 6): the gateway 10.7.0.1 is in no network"
                " of this card"
            ),
        ),
        (
            "cards: [{interface: eth0, address: 10.8.0.5/24}]",
            "machine.network.cards[0] (line 6): eth0 is already used by nodes[0]",
        ),
        ("cards: [{mtu: 9000}]", "machine.network.cards[0] (line 6): no card is named"),
        (
            "cards: [{interface: eth1, address: 10.8.0.5}]",
            "machine.network.cards[0].address (line 6): '10.8.0.5' has no prefix length",
        ),
    ],
)
def test_what_no_machine_could_do(network: str, fault: str) -> None:
    first, *_ = found(network)
    assert first == fault


@pytest.mark.parametrize(
    "network",
    [
        "gateway: 10.5.0.1, on-link: true",
        "cards: [{interface: eth1, address: 'fd00::5/64', gateway: 'fe80::1'}]",
        "gateway: 169.254.1.1, on-link: true",
        "mtu: 9000, cards: [{interface: eth0, vlan: 9, address: 10.8.0.5/24, mtu: 1500}]",
        "vlan: 7, mtu: 1500, cards: [{interface: eth0, vlan: 9, address: 10.8.0.5/24, mtu: 9000}]",
        (
            "gateway: 10.0.0.9, cards: [{interface: eth1, address: 10.8.0.5/32, on-link: true,"
            " routes: [{to: 10.9.0.0/16, via: 10.8.0.1}]}]"
        ),
        "routes: [{to: 0.0.0.0/0, via: 10.0.0.9}]",
        "routes: [{to: 'fd01::/48', via: 'fd00::9'}]",
        "vlan: 7, cards: [{interface: eth0, vlan: 8, address: 10.8.0.5/24}]",
        "cards: [{interface: eth1, address: []}]",
    ],
)
def test_what_machines_have(network: str) -> None:
    alone = "\n".join(line for line in HEAD.splitlines() if "name: b" not in line) + "\n"
    assert found(network, alone) == []


@pytest.mark.parametrize("more", ["", ", on-link: true"])
def test_dhcp_brings_its_gateway_itself(more: str) -> None:
    """One that is said would be written nowhere, also where the other family has an address."""
    head = HEAD.replace("10.0.0.1/24", "[10.0.0.1, 'fd00::1/64']")
    first, *_ = found(f"gateway: [10.0.0.9, 'fd00::9']{more}", head)
    assert (
        first
        == "nodes[0].address (line 4): has the gateway 10.0.0.9, but no prefix length for IPv4"
    )


def test_two_cards_in_one_network_are_remarked() -> None:
    text = HEAD + "machine: {network: {cards: [{interface: eth1, address: 10.0.0.5/25}]}}\n"
    read = cluster_format.read(text, "cluster.yaml")
    assert "10.0.0.0/25 is where eth0 is, too: answers leave by one of the two" in str(
        [*map(str, read.remarks)]
    )


@pytest.mark.parametrize(
    ("bond", "fault"),
    [
        (
            "interfaces: [eth0]",
            "interfaces (line 6): eth0 alone is not a bond: nothing takes over when it fails",
        ),
        ("interfaces: [eth0, eth0]", "interfaces (line 6): a card appears twice"),
        ("interfaces: [bond0, eth1]", "name: bond0 is one of its own interfaces"),
        (
            "interfaces: [eth0, eth1], options: {lacp_rate: fast}",
            "options.lacp_rate (line 6): has no effect in the mode active-backup",
        ),
        (
            "interfaces: [eth0, eth1], mode: 802.3ad, options: {lacp_rate: quick}",
            "options.lacp_rate (line 6): 'quick' is not a value of lacp_rate",
        ),
        (
            "interfaces: [eth0, eth1], options: {miimom: 100}",
            "options.miimom (line 6): the kernel's bonding driver has no such option",
        ),
        (
            "interfaces: [eth0, eth1], options: {primary: eth2}",
            "options.primary (line 6): 'eth2' is not a value of primary",
        ),
        (
            "interfaces: [eth0, eth1], options: {miimon: 0}",
            "options.miimon (line 6): without miimon no dead card is noticed",
        ),
        (
            (
                "interfaces: [eth0, eth1], mode: balance-alb,"
                " options: {arp_interval: 100, arp_ip_target: 10.0.0.9}"
            ),
            "options.arp_interval (line 6): the mode balance-alb does not monitor by ARP",
        ),
        (
            "interfaces: [eth0, eth1], options: {mode: 802.3ad}",
            "options.mode (line 6): the mode is a key beside the options",
        ),
    ],
)
@pytest.mark.parametrize("other", [False, True])
def test_a_bond_that_would_not_hold(bond: str, fault: str, other: bool) -> None:
    """It is the same for the cluster's bond and any other; and told once for all nodes."""
    network = f"bond: {{{bond}}}"
    if other:
        bond = bond.replace("eth0", "eth8").replace("eth1", "eth9")
        network = f"cards: [{{bond: {{{bond}}}, address: []}}]"
        fault = fault.replace("eth0", "eth8").replace("eth1", "eth9")
    place = "cards[0].bond" if other else "bond"
    assert found(network, HEAD if other else BONDED) == [f"machine.network.{place}.{fault}"]


def test_a_bond_notices_a_dead_card_unless_told_how() -> None:
    def options(said: str) -> object:
        text = f"{BONDED}machine: {{network: {{bond: {{interfaces: [eth0, eth1], {said}}}}}}}\n"
        bond = cluster_format.read(text, "c").cluster.machine.network.bond
        assert bond is not None
        return bond.options

    assert options("mode: 802.3ad") == {"miimon": "100"}
    assert options("options: {miimon: 50}") == {"miimon": "50"}
    watched = {"arp_interval": "500", "arp_ip_target": "10.0.0.9"}
    assert options("options: {arp_interval: 500, arp_ip_target: 10.0.0.9}") == watched
