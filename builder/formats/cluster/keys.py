"""The table of cluster.yaml's keys: what each means, how it is written, what it becomes.

The reader and the JSON Schema are both made from it (:mod:`builder.formats.cluster`), so a key that
one knows the other knows too.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from builder.formats import signers
from builder.formats.cluster import machine_terms, terms
from builder.formats.cluster.machine_keys import KUBEADM_FIELD, MACHINE_FIELD, ROLES_FIELD
from builder.formats.shape import (
    WRONG,
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    Number,
    Record,
    Text,
    TextOr,
)
from builder.model.cluster import (
    Base,
    Cluster,
    Cni,
    Extra,
    ExtraFile,
    ExtraManifest,
    Network,
    Node,
    Packages,
    Pki,
    Runtime,
    SeedSettings,
    SignerSettings,
    System,
    Taint,
)
from builder.model.platform import Platform, parse_wanted
from builder.model.version import Version

_LOCK_AND_SEEDS = ("lock", "seeds")
FORMAT = 1
"""The version of cluster.yaml that this airseed reads."""
PODS = ip_network("192.168.0.0/16")
"""What Calico's own manifest has."""
SERVICES = ip_network("10.96.0.0/12")
"""What kubeadm takes when nobody says otherwise."""


def _cluster(version: Any, kubernetes: Any, **said: Any) -> Cluster:
    del version  # it says how to read the rest, and that is done
    if kubernetes is WRONG:
        return Cluster(kubernetes=WRONG, **said)
    release, packages = kubernetes
    return Cluster(kubernetes=release, packages=packages, **said)


def _release_of(version: Version, packages: Packages) -> tuple[Version, Packages]:
    return version, packages


def _file(source: str, path: str | None, sha256: Any) -> ExtraFile:
    if path is None:
        path = terms.file_name(source)
        try:
            terms.file_path(path)
        except ValueError:
            raise ValueError(f"{path[:80]!r} cannot name it in the bundle: add a path") from None
    return ExtraFile(path=path, source=source, digest=sha256)


def _bare_file(text: str) -> ExtraFile:
    return _file(terms.source(text), None, None)


def _bare_manifest(text: str) -> ExtraManifest:
    return ExtraManifest(source=terms.source(text))


def _word(example: str) -> Text[str]:
    return Text(
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a word of lower-case letters, digits and dashes",
        example=example,
    )


def _release(example: str) -> Text[str]:
    return Text(pattern=r"[0-9A-Za-z][0-9A-Za-z.+~^-]{0,62}", expected="a version", example=example)


_SUBNETS = ListOf(
    Text(parse=terms.subnet, expected="a subnet", example="10.244.0.0/16", longest=64),
    least=1,
    most=2,
    lone=True,
)
_SOURCE = Text(
    parse=terms.source,
    expected="a URL, or a path beside cluster.yaml",
    example="https://files.example.com/app.yaml",
)
_SHA256 = Field(
    Text(
        parse=terms.digest,
        expected="64 lower-case hexadecimal digits",
        longest=71,
        example="4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
    ),
    title="SHA-256",
    doc="What the file must hash to. Without it the first lock believes what it gets.",
)
_OS = Record(
    System,
    {
        "name": Field(
            _word("centos"), title="System", doc="The distribution, as the catalog names it."
        ),
        "version": Field(_release("7.6"), title="Release", doc="Its release."),
        "base": Field(
            TextOr(
                Text(
                    parse=lambda text: Base(kind="core" if text == "core" else "empty"),
                    pattern="core|empty",
                    expected="core, empty or packages: FILE",
                    example="core",
                ),
                Record(
                    lambda packages: Base(kind="packages", file=packages),
                    {
                        "packages": Field(
                            Text(
                                parse=terms.local,
                                expected="a path beside cluster.yaml",
                                example="image-packages.txt",
                            ),
                            required=True,
                            title="Package list",
                            doc="A file with the output of `rpm -qa` on your image.",
                        )
                    },
                ),
            ),
            default=Base(),
            verbs=("lock",),
            title="What nodes have already",
            examples=("core", {"packages": "image-packages.txt"}),
            doc="Packages that are on a node before airseed's: `core` (the minimal installation), "
            "`empty`, or your own image's list. They are not put into the bundle.",
        ),
    },
)
_KUBERNETES = TextOr(
    Text(
        parse=lambda text: _release_of(Version.parse(text), "repository"),
        expected="a Kubernetes version",
        example="1.18.5",
        longest=40,
    ),
    Record(
        _release_of,
        {
            "version": Field(
                Text(
                    parse=Version.parse,
                    expected="a Kubernetes version",
                    example="1.18.5",
                    longest=40,
                ),
                required=True,
                title="Release",
                doc="The exact Kubernetes version.",
            ),
            "packages": Field(
                Choice(("repository", "built")),
                default="repository",
                title="RPMs",
                doc="From a repository, or built here from the programs that upstream publishes "
                "and signed with your own key: for releases whose RPMs are nowhere to be had.",
                examples=("built",),
            ),
        },
    ),
)
_RUNTIME = TextOr(
    Text(
        parse=lambda text: Runtime(name=text),
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a runtime's name",
        example="docker",
    ),
    Record(
        Runtime,
        {
            "name": Field(_word("docker"), title="Runtime", doc="docker or containerd."),
            "version": Field(_release("19.03.9"), title="Release", doc="Its release."),
        },
    ),
)
_CNI = TextOr(
    Text(
        parse=lambda text: Cni(name=text),
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a network plugin's name, or none",
        example="calico",
    ),
    Record(
        Cni,
        {
            "name": Field(_word("calico"), required=True, title="Plugin", doc="calico or none."),
            "version": Field(
                _release("3.18"), title="Release", doc="A release, or a series for its newest."
            ),
            "install": Field(
                Choice(("operator", "manifest")),
                title="Way of installing",
                doc="By Tigera's operator, or by the plain manifest.",
                examples=("operator",),
            ),
        },
    ),
)
_NETWORK = Record(
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
                Choice(("NoSchedule", "PreferNoSchedule", "NoExecute")),
                required=True,
                title="Effect",
                doc="NoSchedule, PreferNoSchedule or NoExecute.",
                examples=("NoSchedule",),
            ),
        },
    ),
)
_NODE = Record(
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
            Choice(("control-plane", "worker")),
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
            "length; a list of an IPv4 and an IPv6 address in dual-stack. A lone node may do "
            "without.",
            examples=("10.211.55.48",),
        ),
        "mac": Field(
            Text(
                parse=terms.mac,
                expected="six pairs of digits",
                example="52:54:00:12:34:56",
                longest=40,
            ),
            title="MAC address",
            doc="Of the card that has the address; network configuration finds the card by it.",
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
            doc="Raise it when the machine is made anew under the same name. Default: 1.",
            examples=(2,),
        ),
        "machine": MACHINE_FIELD,
        "kubeadm": KUBEADM_FIELD,
    },
    title="a node",
    partial=True,
)
_PKI = TextOr(
    Text(
        parse=lambda text: Pki(kind="on-node" if text == "on-node" else "generated"),
        pattern="generated|on-node",
        expected="generated, on-node or files: FOLDER",
        example="generated",
    ),
    Record(
        lambda files: Pki(kind="files", folder=files),
        {
            "files": Field(
                Text(
                    parse=terms.local_folder, expected="a folder beside cluster.yaml", example="pki"
                ),
                required=True,
                title="Folder",
                doc="A folder with ca.crt and ca.key; etcd/, front-proxy-ca and sa are taken too.",
            )
        },
        title="a certificate authority",
    ),
)
_SEED = Record(
    SeedSettings,
    {
        "provider": Field(
            Choice(("nocloud", "openstack", "ec2", "vsphere", "azure")),
            default="nocloud",
            title="Provider",
            doc="How user-data reaches the machine: an ISO (nocloud), or a cloud with its limits "
            "on size. Default: nocloud.",
            examples=("nocloud",),
        ),
        "url": Field(
            Text(
                parse=machine_terms.url,
                expected="an http or https URL",
                example="http://10.211.55.2/bundle/",
                longest=500,
            ),
            title="Payload URL",
            doc="A web server that has the unpacked bundle, for machines to which neither their "
            "image nor a disk brings it.",
        ),
        "scripts": Field(
            Choice(("seed", "image")),
            default="seed",
            title="Scripts",
            doc="Whether each seed brings airseed's scripts, or the image has them: then user-data "
            "is small enough for any cloud. Default: seed.",
            examples=("seed",),
        ),
        "window": Field(
            Number(least=1, most=720),
            default=24,
            verbs=("secrets", "seeds"),
            title="Window",
            doc="Hours in which nodes may join after the first one. Default: 24.",
            examples=(24,),
        ),
        "phone-home": Field(
            Text(
                parse=machine_terms.url,
                expected="an http or https URL",
                example="http://10.211.55.2:8080/result",
                longest=500,
            ),
            title="Phone home",
            doc="A URL to which each node posts its result.",
        ),
    },
    title="how seeds are delivered",
)
_EXTRA = Record(
    Extra,
    {
        "images": Field(
            ListOf(
                Text(
                    parse=terms.image,
                    expected="an image reference",
                    longest=500,
                    example="docker.io/library/nginx:1.25",
                ),
                partial=True,
            ),
            default=(),
            title="Images",
            doc="More container images.",
            examples=(["docker.io/library/nginx:1.25"],),
        ),
        "packages": Field(
            ListOf(
                Text(
                    pattern=terms.PACKAGE, expected="a package name", example="chrony", longest=255
                ),
                partial=True,
            ),
            default=(),
            title="Packages",
            doc="More RPMs, by name or name-version, with what they need.",
            examples=(["chrony"],),
        ),
        "files": Field(
            ListOf(
                TextOr(
                    Text(
                        parse=_bare_file,
                        expected="a URL, or a path beside cluster.yaml",
                        example="files/banner.txt",
                    ),
                    Record(
                        _file,
                        {
                            "source": Field(
                                _SOURCE, required=True, title="Source", doc="Where it comes from."
                            ),
                            "path": Field(
                                Text(
                                    parse=terms.file_path,
                                    expected="a relative path",
                                    example="tools/helm.tar.gz",
                                    longest=200,
                                ),
                                title="Path",
                                doc="Its place below files/ in the bundle; by default the last "
                                "part of the source.",
                            ),
                            "sha256": _SHA256,
                        },
                    ),
                ),
                partial=True,
            ),
            default=(),
            title="Files",
            doc="More files, put below files/ in the bundle.",
            examples=(["files/banner.txt"],),
        ),
        "manifests": Field(
            ListOf(
                TextOr(
                    Text(
                        parse=_bare_manifest,
                        expected="a URL, or a path beside cluster.yaml",
                        example="manifests/ingress.yaml",
                    ),
                    Record(
                        lambda source, sha256: ExtraManifest(source=source, digest=sha256),
                        {
                            "source": Field(
                                _SOURCE, required=True, title="Source", doc="Where it comes from."
                            ),
                            "sha256": _SHA256,
                        },
                    ),
                ),
                partial=True,
            ),
            default=(),
            title="Manifests",
            doc="Kubernetes manifests, applied in this order after the network plugin; the images "
            "that they start are found and added.",
            examples=(["manifests/ingress.yaml"],),
        ),
    },
    partial=True,
)
_SIGNER = Record(
    SignerSettings,
    {
        "name": Field(
            signers.WORD, required=True, title="Name", doc="What messages call who signs."
        ),
        "images": Field(
            signers.IMAGES,
            required=True,
            title="Images",
            doc="Repositories whose images are signed; * stands for anything.",
            examples=(["registry.example.com/team/*"],),
        ),
        "keys": Field(
            ListOf(
                Text(
                    parse=terms.local,
                    expected="a file beside cluster.yaml",
                    example="cosign.pub",
                ),
                lone=True,
            ),
            default=(),
            title="Keys",
            doc="Files with public keys of which one must have signed.",
            examples=(["cosign.pub"],),
        ),
        "identities": Field(
            ListOf(signers.IDENTITY),
            default=(),
            title="Identities",
            doc="Or for whom a signing service's certificate must be.",
            examples=(
                [{"subject": "release@example.com", "issuer": "https://accounts.google.com"}],
            ),
        ),
        "authority": Field(
            signers.WORD,
            default="sigstore",
            title="Authority",
            doc="What the catalog (mirrors/authorities) calls that service. Default: sigstore.",
        ),
        "required": Field(
            Flag(),
            default=True,
            title="Required",
            doc="Whether an image without its signature is refused. Default: true.",
            examples=(True,),
        ),
    },
    title="who signs images",
)
CLUSTER = Record(
    _cluster,
    {
        "version": Field(
            Number(least=FORMAT, most=FORMAT, hint="a newer airseed may read it"),
            verbs=("lock", "secrets", "seeds", "kubeconfig"),
            title="Document version",
            doc=f"The version of this document's form: {FORMAT}.",
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
            _KUBERNETES,
            required=True,
            verbs=_LOCK_AND_SEEDS,
            title="Kubernetes version",
            doc="The exact Kubernetes version.",
            examples=("1.18.5", {"version": "1.18.5", "packages": "built"}),
        ),
        "os": Field(
            _OS,
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
            doc="Processors of the nodes. Default: linux/amd64.",
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
            doc="Platforms that images are bundled for beside those of the nodes, as far as they "
            "have them, or all. For a registry that others use too, or one that takes no index "
            "with parts missing.",
            examples=("all", ["linux/arm64"]),
        ),
        "runtime": Field(
            _RUNTIME,
            default=Runtime(),
            verbs=_LOCK_AND_SEEDS,
            title="Container runtime",
            doc="docker or containerd, with a version or without.",
            examples=("docker", {"name": "docker", "version": "19.03.9"}),
        ),
        "cni": Field(
            _CNI,
            default=Cni(),
            verbs=_LOCK_AND_SEEDS,
            title="Network plugin",
            doc="calico, or none when your own manifests bring one.",
            examples=("calico", {"name": "calico", "version": "3.18", "install": "operator"}),
        ),
        "network": Field(
            _NETWORK,
            default=Network(pods=(PODS,), services=(SERVICES,)),
            verbs=("seeds",),
            title="Cluster network",
            doc="The cluster's own address ranges.",
            examples=({"pods": "10.244.0.0/16", "services": "10.96.0.0/12"},),
        ),
        "endpoint": Field(
            Text(
                parse=terms.endpoint,
                expected="HOST[:PORT] of a load balancer or virtual address",
                longest=300,
                example="k8s.example.com:6443",
            ),
            verbs=("seeds", "kubeconfig"),
            title="Endpoint",
            doc="Where clients and nodes reach the API server; needed from two control planes on.",
        ),
        "registry": Field(
            Text(
                parse=terms.registry,
                expected="HOST[:PORT][/PREFIX]",
                longest=400,
                example="registry.example.com:5000/k8s",
            ),
            verbs=_LOCK_AND_SEEDS,
            title="Internal registry",
            doc="Where nodes pull images from. Without it images are loaded from the bundle.",
        ),
        "pki": Field(
            _PKI,
            default=Pki(),
            verbs=("secrets", "seeds", "kubeconfig"),
            title="Certificate authority",
            doc="generated (by airseed secrets), on-node (its key never leaves the first node), "
            "or files of your own. Default: generated.",
            examples=("generated", {"files": "pki"}),
        ),
        "seed": Field(
            _SEED,
            default=SeedSettings(),
            verbs=("seeds",),
            title="Seeds",
            doc="How seeds reach the machines.",
            examples=({"provider": "nocloud", "window": 24},),
        ),
        "machine": MACHINE_FIELD,
        "roles": ROLES_FIELD,
        "kubeadm": KUBEADM_FIELD,
        "signatures": Field(
            ListOf(_SIGNER, partial=True),
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
            ListOf(_NODE, least=1, partial=True),
            required=True,
            verbs=("seeds",),
            title="Nodes",
            doc="The machines of the cluster.",
            examples=([{"name": "k8s01", "role": "control-plane", "address": "10.211.55.48"}],),
        ),
        "extra": Field(
            _EXTRA,
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
