"""network-config, version 2: netplan's form, as far as cloud-init's sysconfig writer reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.engine import dumped, number

if TYPE_CHECKING:
    from builder.model.machine import Bond
    from builder.render.cloudinit.network import Card

_PARAMETERS = {
    "mode": "mode",
    "miimon": "mii-monitor-interval",
    "xmit_hash_policy": "transmit-hash-policy",
    "ad_select": "ad-select",
    "arp_interval": "arp-interval",
    "arp_ip_target": "arp-ip-target",
    "arp_validate": "arp-validate",
    "downdelay": "down-delay",
    "fail_over_mac": "fail-over-mac-policy",
    "lacp_rate": "lacp-rate",
    "min_links": "min-links",
    "num_grat_arp": "gratuitous-arp",
    "primary": "primary",
    "primary_reselect": "primary-reselect-policy",
    "updelay": "up-delay",
}
"""netplan's names of the kernel's options."""


def written(card: Card) -> str:
    mtu = {"mtu": card.network.mtu} if card.network.mtu else {}
    mac = {"macaddress": card.mac} if card.mac else {}
    here = {} if card.vlan else _addresses(card)
    document: dict[str, Any] = {"version": 2}
    if card.bond:
        # cloud-init 22.4 loses a bond's interfaces that are matched by their MAC address
        document["ethernets"] = {name: {**mtu} for name in card.bond.interfaces}
        bond = {"interfaces": list(card.bond.interfaces), "parameters": _parameters(card.bond)}
        document["bonds"] = {card.name: {**bond, **mtu, **here}}
    else:
        match = {"match": mac, "set-name": card.name} if mac else {}
        document["ethernets"] = {card.name: {**match, **mtu, **here}}
    if card.vlan:
        vlan = {"id": card.network.vlan, "link": card.name}
        document["vlans"] = {card.vlan: {**vlan, **mtu, **_addresses(card)}}
    return dumped(document)


def _parameters(bond: Bond) -> dict[str, str | int]:
    options = {"mode": bond.mode, **bond.options}
    return {_PARAMETERS[name]: number(value) for name, value in options.items()}


def _addresses(card: Card) -> dict[str, Any]:
    """``dhcp4: false`` is left out on purpose: 18.2 takes the mere key for a yes."""
    network = card.network
    fields: dict[str, Any] = {f"dhcp{family}": True for family in card.dhcp}
    if card.static:
        fields["addresses"] = [str(address) for address in card.static]
    for gateway in network.gateways:
        fields[f"gateway{gateway.version}"] = str(gateway)
    nameservers = {
        "addresses": [str(server) for server in network.nameservers],
        "search": list(network.search),
    }
    if any(nameservers.values()):
        fields["nameservers"] = {key: value for key, value in nameservers.items() if value}
    if network.routes:
        fields["routes"] = [
            {"to": str(route.to), "via": str(route.via)} for route in network.routes
        ]
    return fields
