"""network-config, version 1: the form that every cloud-init brings to the ifcfg files whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.render.engine import dumped, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.model.card import Card
    from builder.model.machine import Bond, MachineNetwork, Route

_IPV6 = 6
_DHCP = {4: "dhcp4", _IPV6: "dhcp6"}


def written(cards: tuple[Card, ...], network: MachineNetwork) -> str:
    config: dict[str, dict[str, Any]] = {}
    for card in cards:
        for one in _card(card, network if card is cards[0] else None):
            # a card below several VLANs, or a bond below one, is there once
            known = config.get(one["name"], {})
            both = {**known, **one} if one["type"] == "bond" else {**one, **known}
            config[one["name"]] = {**both, **largest(known, one)}
    return dumped({"version": 1, "config": [*config.values(), *_nameservers(network)]})


def largest(*parts: Mapping[str, Any]) -> dict[str, int]:
    """Return the largest MTU of what lies on one card: no VLAN takes a larger one than its card."""
    sizes = [part["mtu"] for part in parts if "mtu" in part]
    return {"mtu": max(sizes)} if sizes else {}


def _card(card: Card, network: MachineNetwork | None) -> Iterator[dict[str, Any]]:
    """Yield what makes a card up; ``network`` has the name servers of the first one."""
    subnets = list(_subnets(card, network))
    mtu = {"mtu": card.mtu} if card.mtu else {}
    mac = {"mac_address": card.mac} if card.mac else {}
    here = {"subnets": subnets} if subnets and not card.vlan else {}
    if card.bond:
        for name in card.bond.interfaces:
            yield {"type": "physical", "name": name, **mtu}
        bond = {"bond_interfaces": list(card.bond.interfaces), "params": _params(card.bond)}
        yield {"type": "bond", "name": card.name, **bond, **mtu, **here}
    else:
        yield {"type": "physical", "name": card.name, **mac, **mtu, **here}
    if card.vlan:
        vlan = {"vlan_link": card.name, "vlan_id": card.settings.vlan}
        on_it = {"subnets": subnets} if subnets else {}
        yield {"type": "vlan", "name": card.vlan, **vlan, **mtu, **on_it}


def _params(bond: Bond) -> dict[str, str | int]:
    """Return the kernel's options with dashes only.

    cloud-init's own schema has ``bond-xmit_hash_policy``, which its sysconfig writer passes over.
    """
    options = {"mode": bond.mode, **bond.options}
    return {f"bond-{name.replace('_', '-')}": number(value) for name, value in options.items()}


def _subnets(card: Card, network: MachineNetwork | None) -> Iterator[dict[str, Any]]:
    subnets: list[dict[str, Any]] = [{"type": _DHCP[family]} for family in card.dhcp]
    served: set[int] = set()
    for address in card.static:
        gateway = None if address.ip.version in served else card.gateway(address.ip.version)
        served.add(address.ip.version)
        more = {"gateway": str(gateway)} if gateway else {}
        subnets.append({"type": "static", "address": str(address), **more})
    first_static = next((subnet for subnet in subnets if subnet["type"] == "static"), {})
    # both here and beside the cards: here for the ifcfg file and whatever reads it, beside them so
    # that cloud-init writes resolv.conf and keeps NetworkManager away from it
    if network and network.nameservers:
        first_static["dns_nameservers"] = [str(server) for server in network.nameservers]
    if network and network.search:
        first_static["dns_search"] = list(network.search)
    if card.routes and subnets:
        subnets[0]["routes"] = [_route(route) for route in card.routes]
    yield from subnets


def _route(route: Route) -> dict[str, str]:
    """Up to 19.4 an IPv6 route with ``prefix`` ends in a KeyError; ``netmask`` works everywhere."""
    network = route.to
    mask = str(network.prefixlen) if network.version == _IPV6 else str(network.netmask)
    return {"network": str(network.network_address), "netmask": mask, "gateway": str(route.via)}


def _nameservers(network: MachineNetwork) -> Iterator[dict[str, Any]]:
    if network.nameservers:
        search = {"search": list(network.search)} if network.search else {}
        yield {
            "type": "nameserver",
            "address": [str(server) for server in network.nameservers],
            **search,
        }
