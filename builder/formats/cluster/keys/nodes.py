"""Keys for one node."""

from __future__ import annotations

from builder.formats.cluster import terms
from builder.formats.cluster.keys.machines import KUBEADM_FIELD, MACHINE_FIELD
from builder.formats.records import Field, ListOf, MapOf, Record, TextOr
from builder.formats.shape import Number, OneOf, Text
from builder.model.cluster import Node, Taint

_TAINT = TextOr(
    Text(
        parse=terms.taint,
        expected="KEY[=VALUE]:EFFECT",
        longest=400,
        example="dedicated=database:NoSchedule",
    ),
    Record(
        Taint,
        {
            "key": Field(
                Text(
                    pattern=terms.LABEL_KEY,
                    expected="a label key",
                    example="dedicated",
                    longest=317,
                ),
                required=True,
                title="Key",
                doc="Like a label's key.",
            ),
            "value": Field(
                Text(
                    pattern=terms.LABEL_VALUE,
                    expected="a label value",
                    example="database",
                    empty=True,
                ),
                default="",
                title="Value",
                doc="Like a label's value; may be left out.",
            ),
            "effect": Field(
                OneOf(("NoSchedule", "PreferNoSchedule", "NoExecute")),
                required=True,
                title="Effect",
                doc="NoSchedule, PreferNoSchedule or NoExecute.",
                examples=("NoSchedule",),
            ),
        },
    ),
)
_CALLED = {
    **dict.fromkeys(
        ("master", "masters", "controlplane", "control_plane", "control plane", "server", "etcd"),
        "control-plane",
    ),
    **dict.fromkeys(("node", "workers", "agent", "minion", "compute", "slave"), "worker"),
}
"""What Kubernetes itself and other tools called the roles."""
NODE = Record(
    Node,
    {
        "name": Field(
            Text(
                parse=terms.node_name,
                expected="lower-case letters, digits, dashes and dots, 63 at most",
                longest=253,
                example="k8s01",
            ),
            required=True,
            title="Node name",
            doc="The machine's host name and the name of its Node.",
        ),
        "role": Field(
            OneOf(("control-plane", "worker"), called=_CALLED),
            required=True,
            title="Role",
            doc="control-plane or worker; the first control plane starts the cluster.",
            examples=("control-plane",),
        ),
        "address": Field(
            ListOf(
                Text(
                    parse=terms.node_address,
                    expected="an IP address",
                    example="10.211.55.48",
                    longest=64,
                ),
                least=1,
                most=2,
                lone=True,
            ),
            default=(),
            name="addresses",
            verbs=("seeds", "kubeconfig"),
            title="Address",
            doc="The address that other nodes reach it by, with or without its network's prefix "
            "length; a list of an IPv4 and an IPv6 address in dual-stack. May be left out for a "
            "single node.",
            examples=("10.211.55.48",),
        ),
        "mac": Field(
            Text(
                parse=terms.mac,
                expected="six pairs of hexadecimal digits",
                example="52:54:00:12:34:56",
                longest=40,
            ),
            title="MAC address",
            doc="Of the card that has the address; network configuration identifies the card by "
            "it.",
        ),
        "interface": Field(
            Text(
                pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}",
                expected="a network interface, 15 characters at most",
                example="eth0",
            ),
            title="Interface",
            doc="The kernel's name of the card that has the address.",
        ),
        "labels": Field(
            MapOf(
                Text(
                    pattern=terms.LABEL_VALUE,
                    expected="a label value: letters, digits and ._- in between, 63 at most",
                    example="ssd",
                    empty=True,
                ),
                key=terms.LABEL_KEY,
            ),
            default={},
            title="Labels",
            doc="Labels that the node registers with.",
            examples=({"disk": "ssd"},),
        ),
        "taints": Field(
            ListOf(_TAINT, most=100),
            title="Taints",
            doc="Taints that the node registers with. Left out: kubeadm's own for control planes "
            "(none on a node that is alone in its cluster). An empty list: none.",
            examples=(["dedicated=database:NoSchedule"], []),
        ),
        "generation": Field(
            Number(least=1, most=999_999),
            default=1,
            title="Generation",
            doc="Raise it when the machine is rebuilt under the same name. Default: 1.",
            examples=(2,),
        ),
        "was": Field(
            Text(
                parse=terms.node_name,
                expected="lower-case letters, digits, dashes and dots, 63 at most",
                longest=253,
                example="k8s04",
            ),
            verbs=("changes",),
            title="Was",
            doc="The name that this machine has in the cluster that runs; changes gives it the new "
            "one in place. Does nothing afterwards.",
        ),
        "machine": MACHINE_FIELD,
        "kubeadm": KUBEADM_FIELD,
    },
    title="a node",
    partial=True,
)
