"""Signers of images: how a catalog and cluster.yaml name them, and as a document in the bundle.

The document is canonical JSON with everything in it that checking takes, since right of the air
gap there is no catalog.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Flag, Text
from builder.formats.text import json_value
from builder.model.signer import Authority, Identity, Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = r"[a-z0-9][a-z0-9.-]{0,62}"
_PATTERN = r"[a-z0-9*][A-Za-z0-9._:*/-]{0,254}"
_LONGEST = 1 << 14


def _pem(text: str) -> str:
    if not text.startswith("-----BEGIN ") or "PRIVATE KEY" in text:
        raise ValueError("this is not a public key or certificate in PEM form")
    return text.strip() + "\n"


def _issuer(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("the issuer is the URL of an OpenID Connect provider")
    return text


PEM = Text(
    parse=_pem,
    expected="a public key or certificate in PEM form",
    example="-----BEGIN PUBLIC KEY----- ...",
    longest=_LONGEST,
    lines=True,
)
WORD = Text[str](pattern=NAME, expected="a name in lower case", example="sigstore")
IMAGES = ListOf(
    Text[str](
        pattern=_PATTERN,
        expected="a repository, where * stands for anything",
        example="registry.k8s.io/*",
    ),
    least=1,
    lone=True,
)
SIGNED_AS = MapOf(
    key=r"[a-z0-9][A-Za-z0-9._:/-]{0,253}\*?",
    item=ListOf(
        Text[str](
            pattern=_PATTERN,
            expected="a repository; * at its end stands for what it stands for in the key",
            example="registry.k8s.io/*",
        ),
        least=1,
        lone=True,
    ),
)
IDENTITY = Record(
    Identity,
    {
        "subject": Field(
            Text[str](
                expected="an address or URI, where * stands for anything",
                example="release@example.com",
            ),
            required=True,
            title="Subject",
            doc="To whom the certificate was issued: an address or URI; * stands for anything.",
        ),
        "issuer": Field(
            Text(
                parse=_issuer,
                expected="the URL of an OpenID Connect provider",
                example="https://accounts.google.com",
            ),
            required=True,
            title="Issuer",
            doc="Who confirmed the identity: the URL of an OpenID Connect provider.",
        ),
    },
    title="whom a certificate is for",
)
_PEMS = ListOf(PEM, least=1)
AUTHORITY: Record[dict[str, Any]] = Record(dict, required({"certificates": _PEMS, "logs": _PEMS}))
"""A file of the catalog: mirrors/authorities/NAME.yaml."""
SIGNER: Record[dict[str, Any]] = Record(
    dict,
    {
        "images": Field(IMAGES, required=True),
        "keys": Field(ListOf(PEM), default=()),
        "identities": Field(ListOf(IDENTITY), default=()),
        "authority": Field(WORD),
        "required": Field(Flag(), default=False),
        "signedAs": Field(SIGNED_AS, default={}, name="signed_as"),
    },
)
"""A file of the catalog: mirrors/signers/NAME.yaml."""
_DOCUMENT = Record(
    Signer,
    {
        **required(
            {
                "name": WORD,
                "images": IMAGES,
                "keys": ListOf(PEM),
                "identities": ListOf(IDENTITY),
                "required": Flag(),
            }
        ),
        "authority": Field(
            Record(Authority, required({"name": WORD, "certificates": _PEMS, "logs": _PEMS}))
        ),
        "signedAs": Field(SIGNED_AS, default={}, name="signed_as"),
    },
)


def path_of(name: str) -> str:
    return f"images/signers/{name}.json"


def write(signer: Signer) -> bytes:
    """Render a signer; equal ones give equal bytes."""
    text = json.dumps(_DOCUMENT.write(signer), indent=1, sort_keys=True)
    return f"{text}\n".encode("ascii")


def parse(text: str, name: str) -> Signer:
    """Read a signer's document; raise DocumentError with every fault in it."""
    signer: Signer = _DOCUMENT.read_document(json_value(text, name), name)
    return signer


def incomplete(fields: Mapping[str, Any]) -> str | None:
    """Say what is missing for what is known of a signer to be of use."""
    if not fields["keys"] and not fields["identities"]:
        return "it names neither keys nor identities"
    if fields["identities"] and not fields["authority"]:
        return "identities need an authority, whose certificates they have"
    return None
