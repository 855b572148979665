"""Keys for certificates, and for how seeds are delivered."""

from __future__ import annotations

from builder.formats.cluster import terms
from builder.formats.records import Field, Record, TextOr
from builder.formats.shape import Flag, Number, OneOf, Text
from builder.formats.terms import folder_url, url
from builder.model.cluster import ImageSettings, Pki, SeedSettings

PKI = TextOr(
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
IMAGE = Record(
    ImageSettings,
    {
        "keep": Field(
            Flag(),
            default=False,
            title="Keep the bundle",
            doc="Whether the image keeps the unpacked bundle in /opt/airseed/bundle, so that "
            "container images which are gone are loaded again without it. Default: false.",
            examples=(True,),
        ),
    },
    title="a pre-baked machine image",
)
SEED = Record(
    SeedSettings,
    {
        "provider": Field(
            OneOf(("nocloud", "openstack", "ec2", "vsphere", "azure")),
            default="nocloud",
            title="Provider",
            doc="How user-data reaches the machine: an ISO (nocloud), or a cloud with its limits "
            "on size. Default: nocloud.",
            examples=("nocloud",),
        ),
        "url": Field(
            Text(
                parse=folder_url,
                expected="an http or https URL",
                example="http://10.211.55.2/bundle/",
                longest=500,
            ),
            title="Payload URL",
            doc="A web server with the unpacked bundle, for machines that have it neither in "
            "their image nor on a disk.",
        ),
        "scripts": Field(
            OneOf(("seed", "image")),
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
                parse=url,
                expected="an http or https URL",
                example="http://10.211.55.2:8080/result",
                longest=500,
            ),
            title="Phone home",
            doc="A URL to which each node posts its result, with phone-home-token of secrets/ as "
            "its bearer token (over http anybody on the way can read that).",
            verbs=("secrets", "seeds"),
        ),
    },
    title="how seeds are delivered",
)
