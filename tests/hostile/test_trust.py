"""What locks say of images and lists say of seeds, changed at random: each change is found."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from subjects import AMD64

from builder.errors import VerificationError
from builder.lab.openpgp import armour, generate
from builder.model.artifact import (
    CONFIG_TYPES,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    Blob,
    Image,
    ImageManifest,
)
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.oci.graph import ImageGraphs
from builder.openpgp import framed, packets
from builder.pipeline import seed_sums
from builder.rpm.keys import load_keys
from builder.secrets import openpgp

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = [1000, pytest.param(100_000, marks=pytest.mark.campaign)]
ARM64 = Platform("linux", "arm64")


class World:
    """Hold images with two platforms each, and the bytes of their documents."""

    def __init__(self) -> None:
        self.documents: dict[Digest, bytes] = {}
        self.blobs: dict[Digest, Blob] = {}
        self.images = [self._image(number) for number in range(4)]

    def _put(self, kind: str, document: Any) -> dict[str, Any]:
        content = json.dumps(document).encode()
        digest = Digest.of(content)
        self.documents[digest] = content
        self.blobs[digest] = Blob(digest=digest, size=len(content), media_type=kind, sources=())
        return {"mediaType": kind, "digest": str(digest), "size": len(content)}

    def _image(self, number: int) -> Image:
        entries, parts = [], []
        for platform in (AMD64, ARM64):
            own = {"os": platform.os, "architecture": platform.architecture}
            layers = [Digest.of(f"{number} {platform} {n}".encode()) for n in range(2)]
            for n, layer in enumerate(layers):
                self.blobs[layer] = Blob(
                    digest=layer, size=9 + n, media_type=LAYER_TYPES[1], sources=()
                )
            ids = [str(layer) for layer in layers]
            config = self._put(CONFIG_TYPES[0], {**own, "rootfs": {"diff_ids": ids}})
            manifest = self._put(
                MANIFEST_TYPES[0],
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST_TYPES[0],
                    "config": config,
                    "layers": [
                        {"mediaType": LAYER_TYPES[1], "digest": str(layer), "size": 9 + n}
                        for n, layer in enumerate(layers)
                    ],
                },
            )
            entries.append({**manifest, "platform": own})
            parts.append(
                ImageManifest(
                    platform=platform,
                    digest=Digest.parse(manifest["digest"]),
                    config=Digest.parse(config["digest"]),
                    layers=tuple(layers),
                )
            )
        top = self._put(
            INDEX_TYPES[0],
            {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries},
        )
        reference = Reference.parse(f"quay.io/team/app{number}:1")
        return Image(
            reference=reference,
            digest=Digest.parse(top["digest"]),
            size=top["size"],
            media_type=INDEX_TYPES[0],
            sources=(str(reference),),
            manifests=tuple(parts),
            roles=("worker",),
            needed_by=("extra",),
        )


def changed(part: ImageManifest, other: ImageManifest, dice: random.Random) -> ImageManifest:
    """Give a manifest something of another one, or turn its own around."""
    layers = list(part.layers)
    match dice.randrange(7):
        case 0:
            return replace(part, config=other.config)
        case 1:
            return replace(part, layers=other.layers)
        case 2:
            return replace(part, digest=other.digest)
        case 3:
            return replace(part, platform=other.platform)
        case 4:
            dice.shuffle(layers)
        case 5:
            layers.insert(dice.randrange(3), dice.choice(other.layers))
        case _:
            layers.pop()
    return replace(part, layers=tuple(layers))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_image_takes_anything_of_another(rounds: int) -> None:
    world, dice = World(), random.Random(rounds)
    for _ in range(rounds):
        images = list(world.images)
        number, other = dice.randrange(len(images)), dice.choice(images)
        parts = list(images[number].manifests)
        where = dice.randrange(len(parts))
        parts[where] = changed(parts[where], dice.choice(other.manifests), dice)
        images[number] = replace(images[number], manifests=tuple(parts))
        graphs = ImageGraphs(images, world.blobs.values())
        faults = [
            fault
            for digest, content in world.documents.items()
            if digest in graphs
            for fault in graphs.check(digest, content)
        ]
        same = images == world.images
        assert bool(faults) != same, images[number]
        assert {fault.where for fault in faults} <= {image.name for image in images}


@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_list_of_seeds_does_harm(tmp_path: Path, rounds: int) -> None:
    dice = random.Random(rounds)
    names = ["k8s01/user-data", "k8s01/meta-data", "k8s01.iso", "inventory.yaml"]
    sums = {name: Digest.of(name.encode()) for name in names}
    good = seed_sums.render(sums)
    path = tmp_path / seed_sums.NAME
    for _ in range(rounds):
        content = bytearray(good)
        for _ in range(dice.choice((1, 1, 2, 8))):
            place = dice.randrange(len(content))
            content[place : place + dice.randrange(3)] = dice.choice(
                (b"", b"/", b"..", b"\n", b"\0", b"\xff", b"  ", b"a", dice.randbytes(3))
            )
        path.write_bytes(content)
        with suppress(VerificationError):
            read = seed_sums.read(tmp_path)
            assert all(not name.startswith((".", "/")) and "/../" not in name for name in read)
            assert all(not name.endswith("/..") for name in read)
            assert seed_sums.check(tmp_path).faults


def loosened(signature: bytes, dice: random.Random) -> bytes:
    """Change what of a signature nobody signed: subpackets, and the digest's first bytes."""
    start = 6 + int.from_bytes(signature[4:6])
    end = start + 2 + int.from_bytes(signature[start : start + 2])
    loose = b"".join(
        openpgp.subpacket(dice.choice((16, 20, 32, 33, 100)), dice.randbytes(dice.randrange(24)))
        for _ in range(dice.randrange(3))
    )
    quick = dice.choice((signature[end : end + 2], dice.randbytes(2)))
    return signature[:start] + len(loose).to_bytes(2) + loose + quick + signature[end + 2 :]


def mirrored(key: list[tuple[int, bytes]], other: list[tuple[int, bytes]], dice: Any) -> bytes:
    """Give a key as a mirror could: with more packets, some twice, and others' signatures."""
    primary, *rest = [
        (tag, loosened(body, dice) if tag == openpgp.SIGNATURE else body) for tag, body in key
    ]
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(rest) + 1)
        more = dice.choice([*rest, *other[1:], (14, other[0][1]), (10, b"PGP"), (12, b"\0\6")])
        rest.insert(place, more)
    content = b"".join(framed(tag, body) for tag, body in (primary, *rest))
    return armour("PUBLIC KEY BLOCK", content) if dice.randrange(2) else content


@pytest.mark.parametrize("rounds", [300, pytest.param(20_000, marks=pytest.mark.campaign)])
def test_a_key_is_written_in_one_form(rounds: int) -> None:
    own, other = (
        [*packets(load_keys(generate(f"{name} <a@example.invalid>", created=1).public)[0].content)]
        for name in ("Own", "Other")
    )
    (expected,) = load_keys(b"".join(framed(tag, body) for tag, body in own))
    dice, same = random.Random(rounds), 0
    for _ in range(rounds):
        with suppress(VerificationError):
            (found,) = load_keys(mirrored(own, other, dice))
            assert found == expected
            same += 1
    assert same > rounds / 4
