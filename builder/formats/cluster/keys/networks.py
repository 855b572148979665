"""Keys for the cluster's own address ranges."""

from __future__ import annotations

from ipaddress import ip_network

from builder.formats.cluster import terms
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Text
from builder.model.cluster import Network

PODS = ip_network("192.168.0.0/16")
"""What Calico's own manifest has."""
SERVICES = ip_network("10.96.0.0/12")
"""What kubeadm takes when nobody says otherwise."""
_SUBNETS = ListOf(
    Text(parse=terms.subnet, expected="a subnet", example="10.244.0.0/16", longest=64),
    least=1,
    most=2,
    lone=True,
)
NETWORK = Record(
    Network,
    {
        "pods": Field(
            _SUBNETS,
            default=(PODS,),
            title="Pod subnet",
            doc=f"Addresses of pods; each node takes a /24 (IPv6: /64) of it. Default: {PODS}. "
            "A list of an IPv4 and an IPv6 subnet means dual-stack.",
            examples=("10.244.0.0/16",),
        ),
        "services": Field(
            _SUBNETS,
            default=(SERVICES,),
            title="Service subnet",
            doc=f"Addresses of Services; at most a /12 (IPv6: /108). Default: {SERVICES}.",
            examples=("10.96.0.0/12",),
        ),
        "domain": Field(
            Text(
                pattern=terms.DNS_NAME,
                expected="a DNS name in lower case",
                example="cluster.local",
                longest=253,
            ),
            default="cluster.local",
            title="DNS domain",
            doc="The domain of Services. Default: cluster.local.",
        ),
    },
    partial=True,
)
