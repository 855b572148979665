"""Keys for a machine's network: cards, bonds, routes, proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster import machine_terms, terms
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import Flag, Number, OneOf, Text
from builder.model.machine import Bond, MachineNetwork, OtherCard, Proxy, Route

if TYPE_CHECKING:
    from typing import Any

_LEAST_MTU = 1280
"""IPv6 asks for no less (RFC 8200)."""
_MOST_MTU = 9216
_MOST_VLAN = 4094
_MODES = (
    "active-backup",
    "802.3ad",
    "balance-rr",
    "balance-xor",
    "broadcast",
    "balance-tlb",
    "balance-alb",
)
_MODE_CALLED = {
    "0": "balance-rr",
    "1": "active-backup",
    "2": "balance-xor",
    "3": "broadcast",
    "4": "802.3ad",
    "5": "balance-tlb",
    "6": "balance-alb",
    **dict.fromkeys(("lacp", "8023ad"), "802.3ad"),
}
"""The driver's own numbers, and what switches call it."""
_MIIMON = "100"
"""Milliseconds; the driver's own 0 never notices a dead card."""


def _bond(options: Any, **fields: Any) -> Bond:
    watched = "miimon" in options or "arp_interval" in options
    return Bond(options=options if watched else {"miimon": _MIIMON, **options}, **fields)


_URL = Text(
    parse=machine_terms.proxy,
    expected="the URL of a proxy, without credentials",
    example="http://proxy.example.com:3128",
)
PROXY = Record(
    Proxy,
    {
        "http": Field(_URL, title="For http", doc="The proxy for http."),
        "https": Field(_URL, title="For https", doc="The proxy for https."),
        "no": Field(
            ListOf(
                Text(
                    pattern=r"[A-Za-z0-9.*:/_\[\]-]{1,253}",
                    expected="a host, a .domain or a subnet",
                    example=".example.com",
                ),
                most=200,
            ),
            default=(),
            title="Without proxy",
            doc="Hosts, domains and subnets to be reached directly; the cluster's own are added.",
            examples=([".example.com"],),
        ),
    },
    title="a proxy",
)
_ADDRESS = Text(parse=machine_terms.address, expected="an IP address", example="10.211.55.1")
_BOND = Record(
    _bond,
    {
        "interfaces": Field(
            ListOf(
                Text(pattern=machine_terms.CARD, expected="a network interface", example="eth0"),
                most=16,
            ),
            required=True,
            title="Interfaces",
            doc="The cards that make it up, by their kernel names.",
            examples=(["eth0", "eth1"],),
        ),
        "name": Field(
            Text(pattern=machine_terms.CARD, expected="a network interface", example="bond0"),
            default="bond0",
            title="Name",
            doc="Its name. Default: bond0.",
        ),
        "mode": Field(
            OneOf(_MODES, called=_MODE_CALLED),
            default="active-backup",
            title="Mode",
            doc="How traffic is spread. Default: active-backup.",
            examples=("802.3ad",),
        ),
        "options": Field(
            MapOf(
                Text(
                    pattern=r"[A-Za-z0-9_.+:-]{1,64}", expected="an option's value", example="100"
                ),
                key=r"[a-z][a-z0-9_]{0,30}",
            ),
            default={},
            title="Options",
            doc="Options of the kernel's bonding driver. miimon is 100 unless one of miimon and "
            "arp_interval is given.",
            examples=({"miimon": "100"},),
        ),
    },
    title="a bond",
)
_ROUTE = Record(
    Route,
    {
        "to": Field(
            Text(
                parse=machine_terms.destination,
                expected="a subnet",
                example="10.0.0.0/8",
                longest=64,
            ),
            required=True,
            title="Destination",
            doc="The subnet to be reached.",
        ),
        "via": Field(_ADDRESS, required=True, title="Next hop", doc="The address of the router."),
    },
    title="a route",
)
_CARD: dict[str, Field[Any]] = {
    "gateway": Field(
        ListOf(_ADDRESS, least=1, most=2, lone=True),
        default=(),
        name="gateways",
        title="Gateway",
        doc="The default gateway; one of each family at most, on one card of the machine.",
        examples=("10.211.55.1",),
    ),
    "on-link": Field(
        Flag(),
        title="On-link",
        doc="Whether gateway and next hops are reached over this card although they are in no "
        "network of it, as with an address of /32. Left out: no.",
        examples=(True,),
    ),
    "mtu": Field(
        Number(least=_LEAST_MTU, most=_MOST_MTU),
        title="MTU",
        doc="Size of the largest packet, in bytes.",
        examples=(1500,),
    ),
    "routes": Field(
        ListOf(_ROUTE, most=100),
        default=(),
        title="Routes",
        doc="Further static routes.",
        examples=([{"to": "10.0.0.0/8", "via": "10.211.55.254"}],),
    ),
    "bond": Field(
        _BOND,
        title="Bond",
        doc="Several network cards used as one.",
        examples=({"interfaces": ["eth0", "eth1"], "mode": "802.3ad"},),
    ),
    "vlan": Field(
        Number(least=1, most=_MOST_VLAN),
        title="VLAN",
        doc="The address is on this VLAN of the card or bond.",
        examples=(100,),
    ),
}
_OTHER_CARD = Record(
    OtherCard,
    {
        "interface": Field(
            Text(pattern=machine_terms.CARD, expected="a network interface", example="eth1"),
            title="Interface",
            doc="The kernel's name of the card.",
        ),
        "mac": Field(
            Text(
                parse=terms.mac,
                expected="six pairs of hexadecimal digits",
                example="52:54:00:12:34:57",
                longest=40,
            ),
            title="MAC address",
            doc="The card's hardware address; enough without interface.",
        ),
        "address": Field(
            ListOf(
                Text(
                    parse=machine_terms.card_address,
                    expected="ADDRESS/PREFIX",
                    example="10.8.0.5/24",
                    longest=64,
                ),
                most=20,
                lone=True,
            ),
            name="addresses",
            title="Addresses",
            doc="Its addresses, each with the prefix length of its network. Left out: one by DHCP. "
            "An empty list: none.",
            examples=("10.8.0.5/24",),
        ),
        **_CARD,
    },
    title="a network card",
)
NETWORK = Record(
    MachineNetwork,
    {
        "version": Field(
            Number(least=1, most=2),
            title="Form",
            doc="The version of cloud-init's network-config. Default: 1, which every cloud-init "
            "supports in full.",
            examples=(1,),
        ),
        "nameservers": Field(
            ListOf(_ADDRESS, most=6, lone=True),
            default=(),
            title="Name servers",
            doc="Addresses of DNS servers.",
            examples=(["10.211.55.1"],),
        ),
        "search": Field(
            ListOf(
                Text(pattern=terms.DNS_NAME, expected="a DNS domain", example="example.com"),
                most=6,
                lone=True,
            ),
            default=(),
            title="Search domains",
            doc="Domains that short names are looked up in.",
            examples=(["example.com"],),
        ),
        **_CARD,
        "cards": Field(
            ListOf(_OTHER_CARD, most=16),
            default=(),
            title="More cards",
            doc="The machine's other network cards. The cluster uses the one with the node's "
            "address, which is configured beside this list.",
            examples=([{"interface": "eth1", "address": "10.8.0.5/24"}],),
        ),
    },
    title="a network configuration",
)
