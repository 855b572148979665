"""network-config: what cluster.yaml says about a machine's network cards.

Nothing is written where cluster.yaml names no card (``interface``, ``mac`` or a bond): cloud-init's
own fallback then asks for an address by DHCP on the first card, and it alone knows which that is.
Version 1 is the default, since cloud-init 18.2 loses parts of version 2 on its way to the ifcfg
files; the catalog says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.model.card import cards
from builder.render.cloudinit import network1, network2

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.model.machine import MachineNetwork

_RENDERERS = {1: network1.written, 2: network2.written}


def written(node: Node, network: MachineNetwork) -> str | None:
    """Return a node's network-config, or None where cluster.yaml names no card."""
    found = cards(node, network)
    return _RENDERERS[network.version or 1](found, network) if found else None


def on_link(node: Node, network: MachineNetwork) -> str:
    """Return the routes that the node sets itself, as words ``ADDRESS,DESTINATION,ROUTER``.

    The network scripts of EL7 refuse a router that is in no network of the card.
    """
    return " ".join(
        f"{source},{'default' if route.is_default else route.to},{route.via}"
        for card in cards(node, network)
        for route in card.on_link
        for source in [next(a.ip for a in card.static if a.ip.version == route.via.version)]
    )
