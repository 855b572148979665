"""The key ``endpoint``: HOST[:PORT], or a mapping that says who keeps it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from builder.formats.cluster import terms
from builder.formats.reading import MisfitError
from builder.formats.records import Field, Record, TextOr
from builder.formats.shape import Number, OneOf, Text
from builder.host_port import LAST_PORT
from builder.model.cluster import API_PORT, Endpoint, EndpointBy

if TYPE_CHECKING:
    from builder.model.cluster import Address

_NAMED: EndpointBy = "local-proxy"


def _kept_up(
    by: EndpointBy, address: Address | None, name: str | None, interface: str | None, port: int
) -> Endpoint:
    wanted, other = (name, address) if by == _NAMED else (address, name)
    if wanted is None or other is not None:
        needs = "a name, and no address" if by == _NAMED else "an address, and no name"
        raise MisfitError(f"{by} needs {needs}")
    if interface is not None and by == _NAMED:
        raise MisfitError("interface has no effect: local-proxy has no address on any card")
    made = Endpoint(host=str(wanted), port=port, by=by, interface=interface)
    if by == _NAMED and made.address is not None:
        raise MisfitError(
            f"{name} is an address, which /etc/hosts can't redirect: {by} needs a name"
        )
    return made


ENDPOINT = TextOr(
    Text(
        parse=terms.endpoint,
        expected="HOST[:PORT] of a load balancer or virtual address",
        longest=300,
        example="k8s.example.com:6443",
    ),
    Record(
        _kept_up,
        {
            "by": Field(
                OneOf(get_args(EndpointBy)),
                required=True,
                title="Kept up by",
                doc="What keeps the endpoint up: kube-vip or keepalived carry an address from one "
                "control plane to another; local-proxy is a proxy on each worker.",
                examples=("keepalived",),
            ),
            "address": Field(
                Text(
                    parse=terms.endpoint_address,
                    expected="an address without a prefix length",
                    example="10.211.55.60",
                    longest=64,
                ),
                title="Address",
                doc="With kube-vip and keepalived: a free address in the control planes' network.",
            ),
            "name": Field(
                Text(
                    pattern=terms.DNS_NAME,
                    expected="a DNS name in lower case",
                    example="lb-apiserver.kubernetes.local",
                    longest=253,
                ),
                title="Name",
                doc="With local-proxy: a name for the API server, which only nodes need to know.",
            ),
            "interface": Field(
                Text(
                    pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}",
                    expected="the name of a network interface",
                    example="eth0",
                ),
                title="Interface",
                doc="The card of the control planes that carries the address. Left out: the one "
                "with the node's own.",
            ),
            "port": Field(
                Number(least=1, most=LAST_PORT),
                default=API_PORT,
                title="Port",
                doc=f"Nothing in between forwards another one. Default: {API_PORT}.",
                examples=(API_PORT,),
            ),
        },
    ),
)
