"""Keys for who signs images."""

from __future__ import annotations

from builder.formats import signers
from builder.formats.cluster import terms
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Flag, Text
from builder.model.cluster import SignerSettings

SIGNER = Record(
    SignerSettings,
    {
        "name": Field(
            signers.WORD, required=True, title="Name", doc="The signer's name in messages."
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
                    parse=terms.local, expected="a file beside cluster.yaml", example="cosign.pub"
                ),
                lone=True,
            ),
            default=(),
            title="Keys",
            doc="Files with public keys, one of which must have signed.",
            examples=(["cosign.pub"],),
        ),
        "identities": Field(
            ListOf(signers.IDENTITY),
            default=(),
            title="Identities",
            doc="Or to whom a signing service's certificate must have been issued.",
            examples=(
                [{"subject": "release@example.com", "issuer": "https://accounts.google.com"}],
            ),
        ),
        "authority": Field(
            signers.WORD,
            default="sigstore",
            title="Authority",
            doc="The service's name in the catalog (mirrors/authorities). Default: sigstore.",
        ),
        "required": Field(
            Flag(),
            default=True,
            title="Required",
            doc="Whether an image without its signature is refused. Default: true.",
            examples=(True,),
        ),
        "signedAs": Field(
            signers.SIGNED_AS,
            default={},
            name="signed_as",
            title="Other names",
            doc="Which other names its signatures give to these repositories, such as that of the "
            "original where yours are mirrors; * at the end stands for the rest of the name.",
            examples=({"registry.example.com/quay/*": ["quay.io/*"]},),
        ),
    },
    title="who signs images",
)
