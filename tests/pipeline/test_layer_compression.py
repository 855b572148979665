"""Layers and RPMs that are packed in another way than they say, or than a node can unpack."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import rpm_rs

from builder.bundle.source import Supply, from_file
from builder.bundle.writer import write
from builder.errors import VerificationError
from builder.lab.packages import PackageRecipe, build_package
from builder.model.artifact import MANIFEST_TYPES
from builder.oci.layer_compression import BEGINNING, UNKNOWN, LayerCompression, compression
from builder.pipeline.lock_document import LockDocument
from builder.pipeline.verify import verify
from builder.report import Silent
from builder.rpm.header import read_head
from builder.rpm.payload import verify_compression

if TYPE_CHECKING:
    from pathlib import Path

    import sandboxes

    from builder.model.digest import Digest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAME = "example.org/odd/image:1"
EXTRA = f"extra: {{images: ['{NAME}']}}\n"


def tarred(name: str = "a") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


PLAIN = tarred()
PACKED = {
    "": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN),
    "lzma": lzma.compress(PLAIN, format=lzma.FORMAT_ALONE),
    "lz4": bytes.fromhex("04224d186440a7") + PLAIN[:64],
    "lz4 of old": bytes.fromhex("02214c18") + PLAIN[:64],
    "compress": b"\x1f\x9d\x90" + PLAIN[:64],
    "lzip": b"LZIP\x01\x0c" + PLAIN[:64],
    "something else": b"brotli has no magic" * 30,
    "a tar that is cut": PLAIN[:300],
}
OCI, DOCKER = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
)


def locked(sandbox: sandboxes.Sandbox, media_type: str, layer: bytes) -> Digest:
    """Lock an image with a layer of some bytes, whatever its media type says."""
    upstream = sandbox.upstream
    digest = upstream.image_builder.put(layer)
    made = upstream.add_image(NAME, era="oci", index=False, platforms=["linux/amd64"])
    manifest = json.loads(upstream.image_store.path(made.digest).read_bytes())
    manifest["layers"][0] = {"mediaType": media_type, "size": len(layer), "digest": str(digest)}
    top = upstream.image_builder.put(json.dumps(manifest).encode())
    blobs = made.blobs | {digest}
    upstream.tag(NAME, replace(made, digest=top, manifests={top: MANIFEST_TYPES[0]}, blobs=blobs))
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    return digest


def test_a_layer_whose_bytes_belie_its_type_is_refused(site: Any) -> None:
    sandbox = site.open(EXTRA)
    digest = locked(sandbox, f"{OCI}+gzip", PACKED["zstd"])
    said = f"{NAME}: its layer {digest} is compressed with zstd, but its media type says gzip"
    for _ in range(2):  # what is there already is no better
        ran = sandbox.bundle()
        assert ran.code == 1
        assert said in ran.err
        assert "expected what docker 19.03.9 was asked about when this was locked\n" in ran.err
        assert not sandbox.bundle_path.exists()


def test_verify_finds_it_in_a_bundle_of_somebody_else(site: Any, tmp_path: Path) -> None:
    sandbox = site.open(EXTRA)
    digest = locked(sandbox, f"{OCI}+gzip", PACKED["zstd"])
    document = LockDocument.read(sandbox.lock_path)
    assert sandbox.run("bundle", "cluster.lock").code == 1
    made = tmp_path / "made.tar"
    part = sandbox.folder / "bundle.tar.part"
    near = {
        extent.digest: from_file(
            extent.path,
            lambda extent=extent: io.BytesIO(  # type: ignore[misc]
                part.read_bytes()[extent.offset : extent.offset + extent.size]
            ),
        )
        for extent in document.layout.extents
    }
    write(document.layout, made, lambda _: Supply(sources=()), Silent(), near=near)
    verdict = verify(made, reporter=Silent())
    assert [(fault.where, fault.what) for fault in verdict.faults] == [
        (
            NAME,
            f"its layer {digest} is compressed with zstd, but its media type says gzip",
        )
    ]


@pytest.mark.parametrize("runtime", ["docker 19.03.9", "containerd 1.6.33"])
@pytest.mark.parametrize("named", [f"{OCI}+gzip", f"{OCI}+zstd", OCI, f"{DOCKER}.gzip", DOCKER])
@pytest.mark.parametrize("packed", PACKED)
def test_only_what_a_runtime_stumbles_over_is_refused(
    packed: str, named: str, runtime: str, sample: sandboxes.Sample
) -> None:
    lock = sample.lock
    layer = next(image.manifests[0].layers[0] for image in lock.images)
    blobs = tuple(
        replace(blob, media_type=named) if blob.digest == layer else blob for blob in lock.blobs
    )
    lock = replace(lock, blobs=blobs, subject=replace(lock.subject, runtime=runtime))
    faults = list(LayerCompression(lock).faults(layer, PACKED[packed][:BEGINNING]))
    fits = packed in {"", "gzip"} or named.endswith(packed)
    if packed == "gzip" and named == OCI and runtime.startswith("containerd"):
        fits = False  # it takes "tar" of OCI by its word
    assert bool(faults) != fits


@pytest.mark.parametrize("packed", ["lz4", "something else"])
def test_what_no_runtime_unpacks_is_named(packed: str, sample: sandboxes.Sample) -> None:
    layer = next(image.manifests[0].layers[0] for image in sample.lock.images)
    (fault,) = LayerCompression(sample.lock).faults(layer, PACKED[packed][:BEGINNING])
    known = packed == "lz4"
    how = "compressed with lz4" if known else "neither a tar nor compressed in a way that is known"
    assert fault.what == f"its layer {layer} is {how}, but its media type says gzip"


@pytest.mark.parametrize("name", ["]", "LZIP", "BZh", "\x1f\x9d"])
def test_a_tar_is_one_whatever_its_first_file_is_called(name: str) -> None:
    assert compression(tarred(name)[:BEGINNING]) == ""
    assert compression(bytes(BEGINNING)) == compression(b"") == ""


@pytest.mark.parametrize("first", [0x50, 0x5A, 0x5F])
def test_zstd_may_begin_with_a_frame_to_be_skipped(first: int) -> None:
    """As pzstd writes it; runtimes that know zstd know that, too."""
    frame = bytes([first]) + b"\x2a\x4d\x18" + (4).to_bytes(4, "little") + bytes(4)
    assert zstd.decompress(frame + PACKED["zstd"]) == PLAIN
    assert compression(frame[:BEGINNING]) == "zstd"
    assert compression(b"\x4f" + frame[1:]) == compression(b"\x60" + frame[1:]) == UNKNOWN


@pytest.mark.parametrize("packing", ["Gzip", "Zstd", "Xz"])
def test_a_payload_that_rpm_of_el7_cannot_unpack_is_refused(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpm_rs.CompressionType, "Gzip", getattr(rpm_rs.CompressionType, packing))
    built = build_package(PackageRecipe(nevra="tool-1-1.el7.x86_64"), None, tmp_path)
    monkeypatch.undo()
    with built.path.open("rb") as file:
        head = read_head(file)
        if packing == "Zstd":
            with pytest.raises(VerificationError, match="its payload is compressed with 'zstd'"):
                verify_compression(head, file)
        else:
            verify_compression(head, file)
            assert file.tell() == len(head)


def test_a_payload_is_what_its_header_says(tmp_path: Path) -> None:
    built = build_package(PackageRecipe(nevra="tool-1-1.el7.x86_64"), None, tmp_path)
    with built.path.open("rb") as file:
        head = read_head(file)
    for content in (PACKED["zstd"], PACKED["xz"], b""):
        with pytest.raises(VerificationError, match="is not what its header says, gzip"):
            verify_compression(head, io.BufferedReader(io.BytesIO(content)))
    verify_compression(head, io.BufferedReader(io.BytesIO(b"070701")))
