"""The table of cluster.yaml's keys: what each means, how it is written, what it becomes.

The reader and the JSON Schema are both made from it (:mod:`builder.formats.cluster`), so a key that
one knows the other knows too.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from builder.formats.cluster import terms
from builder.formats.cluster.keys.endpoint import ENDPOINT
from builder.formats.cluster.keys.extra import EXTRA
from builder.formats.cluster.keys.machines import KUBEADM_FIELD, MACHINE_FIELD, ROLES_FIELD
from builder.formats.cluster.keys.nodes import NODE
from builder.formats.cluster.keys.releases import CHANGES, CNI, KUBERNETES, OS, RUNTIME
from builder.formats.cluster.keys.seeds import IMAGE, PKI, SEED
from builder.formats.cluster.keys.signers import SIGNER
from builder.formats.reading import WRONG
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Number, Text
from builder.formats.terms import registry
from builder.model.cluster import (
    ChangeSettings,
    Cluster,
    Cni,
    Extra,
    ImageSettings,
    Network,
    Pki,
    Runtime,
    SeedSettings,
    System,
)
from builder.model.platform import Platform, parse_wanted

if TYPE_CHECKING:
    from typing import Any

_LOCK_AND_SEEDS = ("lock", "seeds")
FORMAT = 1
"""The version of cluster.yaml that this airseed reads."""

_PODS = ip_network("192.168.0.0/16")
"""What Calico's own manifest has."""
_SERVICES = ip_network("10.96.0.0/12")
"""What kubeadm takes when nobody says otherwise."""
_SUBNETS = ListOf(
    Text(parse=terms.subnet, expected="a subnet", example="10.244.0.0/16", longest=64),
    least=1,
    most=2,
    lone=True,
)
_NETWORK = Record(
    Network,
    {
        "pods": Field(
            _SUBNETS,
            default=(_PODS,),
            title="Pod subnet",
            doc=f"Addresses of pods; each node takes a /24 (IPv6: /64) of it. Default: {_PODS}. "
            "A list of an IPv4 and an IPv6 subnet means dual-stack.",
            examples=("10.244.0.0/16",),
        ),
        "services": Field(
            _SUBNETS,
            default=(_SERVICES,),
            title="Service subnet",
            doc=f"Addresses of Services; at most a /12 (IPv6: /108). Default: {_SERVICES}.",
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


def _cluster(version: Any, kubernetes: Any, **fields: Any) -> Cluster:
    del version  # it says how to read the rest, and that is done
    if kubernetes is WRONG:
        return Cluster(kubernetes=WRONG, **fields)
    release, packages = kubernetes
    return Cluster(kubernetes=release, packages=packages, **fields)


CLUSTER = Record(
    _cluster,
    {
        "version": Field(
            Number(least=FORMAT, most=FORMAT, hint="a newer airseed may read it"),
            verbs=("lock", "secrets", "seeds", "kubeconfig"),
            title="Document version",
            doc=f"The version of this file's format: {FORMAT}.",
            examples=(FORMAT,),
        ),
        "name": Field(
            Text(
                pattern=terms.DNS_NAME,
                expected="a DNS name in lower case",
                example="cluster.local",
                longest=63,
            ),
            default="kubernetes",
            verbs=("lock", "seeds", "kubeconfig"),
            title="Cluster name",
            doc="The cluster's name. Default: kubernetes.",
        ),
        "kubernetes": Field(
            KUBERNETES,
            required=True,
            verbs=_LOCK_AND_SEEDS,
            title="Kubernetes version",
            doc="The exact Kubernetes version.",
            examples=("1.18.5", {"version": "1.18.5", "packages": "built"}),
        ),
        "os": Field(
            OS,
            default=System(),
            verbs=_LOCK_AND_SEEDS,
            title="Operating system",
            doc="What runs on the nodes.",
            examples=({"name": "centos", "version": "7.6", "base": "core"},),
        ),
        "platforms": Field(
            ListOf(
                Text(
                    parse=Platform.parse,
                    expected="os/architecture",
                    example="linux/amd64",
                    longest=100,
                ),
                least=1,
                lone=True,
            ),
            default=(Platform("linux", "amd64"),),
            verbs=_LOCK_AND_SEEDS,
            title="Platforms",
            doc="Operating system and architecture of the nodes. Default: linux/amd64.",
            examples=(["linux/amd64"],),
        ),
        "imagePlatforms": Field(
            ListOf(
                Text(
                    parse=parse_wanted,
                    expected="os/architecture, or all",
                    example="linux/arm64",
                    longest=100,
                ),
                lone=True,
            ),
            name="image_platforms",
            default=(),
            verbs=("lock",),
            title="More platforms of images",
            doc="More platforms to bundle images for, where images have them, or all. For a "
            "registry that others use too, or one that refuses an index with platforms "
            "missing.",
            examples=("all", ["linux/arm64"]),
        ),
        "runtime": Field(
            RUNTIME,
            default=Runtime(),
            verbs=_LOCK_AND_SEEDS,
            title="Container runtime",
            doc="docker or containerd, with a version or without.",
            examples=("docker", {"name": "docker", "version": "19.03.9"}),
        ),
        "cni": Field(
            CNI,
            default=Cni(),
            verbs=_LOCK_AND_SEEDS,
            title="Network plugin",
            doc="calico, or none when your own manifests bring one.",
            examples=("calico", {"name": "calico", "version": "3.18", "install": "operator"}),
        ),
        "network": Field(
            _NETWORK,
            default=Network(pods=(_PODS,), services=(_SERVICES,)),
            verbs=("seeds",),
            title="Cluster network",
            doc="The cluster's own address ranges.",
            examples=({"pods": "10.244.0.0/16", "services": "10.96.0.0/12"},),
        ),
        "endpoint": Field(
            ENDPOINT,
            verbs=("lock", "seeds", "kubeconfig"),
            title="Endpoint",
            doc="Where clients and nodes reach the API server; required with two or more control "
            "planes. HOST[:PORT] of something that is there already, or a mapping for what the "
            "nodes are to keep up themselves.",
            examples=(
                "k8s.example.com:6443",
                {"address": "10.211.55.60", "by": "keepalived"},
                {"name": "lb-apiserver.kubernetes.local", "by": "local-proxy"},
            ),
        ),
        "registry": Field(
            Text(
                parse=registry,
                expected="HOST[:PORT][/PREFIX]",
                longest=400,
                example="registry.example.com:5000/k8s",
            ),
            verbs=_LOCK_AND_SEEDS,
            title="Internal registry",
            doc="Where nodes pull images from. Without it images are loaded from the bundle.",
        ),
        "pki": Field(
            PKI,
            default=Pki(),
            verbs=("secrets", "seeds", "kubeconfig"),
            title="Certificate authority",
            doc="generated (by airseed secrets), on-node (its key never leaves the first node), "
            "or files of your own. Default: generated.",
            examples=("generated", {"files": "pki"}),
        ),
        "seed": Field(
            SEED,
            default=SeedSettings(),
            verbs=("seeds",),
            title="Seeds",
            doc="How seeds reach the machines.",
            examples=({"provider": "nocloud", "window": 24},),
        ),
        "image": Field(
            IMAGE,
            default=ImageSettings(),
            verbs=("packer",),
            title="Machine image",
            doc="What a pre-baked image of the machines has.",
            examples=({"keep": True},),
        ),
        "changes": Field(
            CHANGES,
            default=ChangeSettings(),
            verbs=("lock", "changes"),
            title="Changes",
            doc="How a cluster that runs becomes what this file says.",
            examples=({"from": "1.18.5", "at-once": 1},),
        ),
        "machine": MACHINE_FIELD,
        "roles": ROLES_FIELD,
        "kubeadm": KUBEADM_FIELD,
        "signatures": Field(
            ListOf(SIGNER, partial=True),
            default=(),
            verbs=("lock",),
            title="Signatures",
            doc="Who signs images (with cosign); what they signed is checked when it is locked "
            "and when a bundle is verified.",
            examples=(
                [
                    {
                        "name": "team",
                        "images": ["registry.example.com/team/*"],
                        "keys": ["cosign.pub"],
                    }
                ],
            ),
        ),
        "nodes": Field(
            ListOf(NODE, least=1, partial=True),
            required=True,
            verbs=("seeds",),
            title="Nodes",
            doc="The machines of the cluster.",
            examples=([{"name": "k8s01", "role": "control-plane", "address": "10.211.55.48"}],),
        ),
        "extra": Field(
            EXTRA,
            default=Extra(),
            verbs=("lock",),
            title="Extras",
            doc="What else goes into the bundle.",
            examples=({"images": ["docker.io/library/nginx:1.25"]},),
        ),
    },
    title="a cluster",
    partial=True,
)
