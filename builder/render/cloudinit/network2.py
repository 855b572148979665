"""network-config, version 2: netplan's form, as far as cloud-init's sysconfig writer reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.cloudinit.network1 import largest
from builder.render.engine import dumped, number

if TYPE_CHECKING:
    from builder.model.card import Card
    from builder.model.machine import Bond, MachineNetwork

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
_TEXT = "miimon"
"""cloud-init's schema wants text for this one, though it is a number."""


def written(cards: tuple[Card, ...], network: MachineNetwork) -> str:
    document: dict[str, Any] = {"version": 2}
    for card in cards:
        for kind, entries in _card(card, network if card is cards[0] else None).items():
            for name, one in entries.items():
                if kind == "ethernets" and name in document.get("bonds", {}):
                    continue  # the bond below a VLAN
                known = document.setdefault(kind, {})
                before = known.get(name, {})
                known[name] = {**before, **one, **largest(before, one)}
    return dumped(document)


def _card(card: Card, network: MachineNetwork | None) -> dict[str, dict[str, Any]]:
    """Return what makes a card up; ``network`` has the name servers of the first one."""
    mtu = {"mtu": card.mtu} if card.mtu else {}
    mac = {"macaddress": card.mac} if card.mac else {}
    addresses = _addresses(card, network)
    here = {} if card.vlan else addresses
    parts: dict[str, dict[str, Any]] = {}
    if card.bond:
        # cloud-init 22.4 loses a bond's interfaces that are matched by their MAC address
        parts["ethernets"] = {name: {**mtu} for name in card.bond.interfaces}
        bond = {"interfaces": list(card.bond.interfaces), "parameters": _parameters(card.bond)}
        parts["bonds"] = {card.name: {**bond, **mtu, **here}}
    else:
        match = {"match": mac, "set-name": card.name} if mac else {}
        parts["ethernets"] = {card.name: {**match, **mtu, **here}}
    if card.vlan:
        vlan = {"id": card.settings.vlan, "link": card.name}
        parts["vlans"] = {card.vlan: {**vlan, **mtu, **addresses}}
    return parts


def _parameters(bond: Bond) -> dict[str, str | int]:
    options = {"mode": bond.mode, **bond.options}
    return {
        _PARAMETERS[name]: value if name == _TEXT else number(value)
        for name, value in options.items()
    }


def _addresses(card: Card, network: MachineNetwork | None) -> dict[str, Any]:
    """``dhcp4: false`` is left out on purpose: 18.2 takes the mere key for a yes."""
    fields: dict[str, Any] = {f"dhcp{family}": True for family in card.dhcp}
    if card.static:
        fields["addresses"] = [str(address) for address in card.static]
    for family in (4, 6):
        gateway = card.gateway(family)
        if gateway:
            fields[f"gateway{family}"] = str(gateway)
    if network and (network.nameservers or network.search):
        nameservers = {
            "addresses": [str(server) for server in network.nameservers],
            "search": list(network.search),
        }
        fields["nameservers"] = {key: value for key, value in nameservers.items() if value}
    if card.routes:
        fields["routes"] = [{"to": str(route.to), "via": str(route.via)} for route in card.routes]
    return fields
