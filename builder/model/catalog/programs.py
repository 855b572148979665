"""What programs do by themselves, where cluster.yaml may say what does not go with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from builder.model.life import Life


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTable:
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Those of kubeadm's own pods: names by path, by the field of ClusterConfiguration."""
    proxy_modes: Mapping[str, Life] = field(default_factory=dict)
    image_gc: Mapping[str, int] = field(default_factory=dict)
    """Percent of a disk at which kubelet begins to remove images (``high``), and ends (``low``)."""
    docker_bridge: IPv4Network | IPv6Network | None = None
