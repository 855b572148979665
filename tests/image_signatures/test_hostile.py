"""Whatever stands in signatures, certificates and promises ends in a VerificationError."""

from __future__ import annotations

import base64
import datetime as dt
import random
import re

import cosign
from cosign import Layer, Service

from builder.errors import VerificationError
from builder.image_signatures.signature import read_signature
from builder.image_signatures.verify import verify
from builder.model.digest import Digest
from builder.model.reference import Reference
from builder.model.signer import Authority, Identity, Signer

IMAGE = Digest.of(b"an image")
APP = Reference.parse("registry.example.org/app:1")
AT = dt.datetime(2023, 5, 1, tzinfo=dt.UTC)
WHO, BY = "release@example.org", "https://accounts.example.org"
NOTE = "dev.sigstore.cosign/"
ROUNDS = 2500


def spoiled(content: bytes, dice: random.Random) -> bytes:
    """Change, drop or add a few bytes."""
    found = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 5))):
        place = dice.randrange(len(found))
        match dice.randrange(4):
            case 0:
                found[place] ^= 1 << dice.randrange(8)
            case 1:
                found[place] = dice.randrange(256)
            case 2:
                del found[place : place + dice.randrange(1, 9)]
            case _:
                found[place:place] = dice.randbytes(dice.randrange(1, 5))
    return bytes(found)


def spoiled_pem(text: str, dice: random.Random) -> str:
    """Spoil what is inside, so that the damage is not stopped at the door."""
    body = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", text, re.MULTILINE))
    content = base64.encodebytes(spoiled(base64.b64decode(body), dice)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{content}-----END CERTIFICATE-----\n"


def test_spoiled_signatures() -> None:
    dice = random.Random(6)
    service = Service(start=dt.datetime(2022, 1, 1, tzinfo=dt.UTC))
    signer = Signer(
        name="release",
        images=("*",),
        keys=(cosign.public(cosign.new_key()),),
        identities=(Identity(subject=WHO, issuer=BY),),
        authority=Authority(
            name="lab",
            certificates=service.certificates[:1],
            logs=(cosign.public(service.log_key),),
        ),
    )
    payload = cosign.payload("registry.example.org/app", IMAGE)
    good = service.by_identity(payload, WHO, BY, at=AT)
    assert verify(IMAGE, APP, [read_signature(payload, good.annotations, where="app")], [signer])
    refused = 0
    for _ in range(ROUNDS):
        notes, content = dict(good.annotations), payload
        match dice.randrange(4):
            case 0:  # with a promise that fits, or nobody would look inside
                notes[NOTE + "certificate"] = spoiled_pem(notes[NOTE + "certificate"], dice)
                layer = Layer(payload=payload, annotations=notes)
                notes[NOTE + "bundle"] = service.promise(layer, notes[NOTE + "certificate"], at=AT)
            case 1:
                notes[NOTE + "chain"] = spoiled_pem(service.certificates[1], dice)
            case 2:
                text = spoiled(notes[NOTE + "bundle"].encode(), dice)
                notes[NOTE + "bundle"] = text.decode("latin-1")
            case _:
                content = spoiled(payload, dice)
        unchanged = (notes, content) == (dict(good.annotations), payload)
        try:
            verify(IMAGE, APP, [read_signature(content, notes, where="app")], [signer])
        except VerificationError:
            refused += 1
        else:
            # a byte may have become what it was, or a space in JSON another one
            assert unchanged or content == payload
    assert refused > ROUNDS * 0.95
