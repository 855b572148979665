from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.bundle import layout, tar
from builder.bundle.readme import MAGIC, README
from builder.errors import DocumentError
from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from pathlib import Path

    import bundles


def test_every_tar_reads_it(origin: bundles.Origin, expected: bytes) -> None:
    made = origin.layout
    with tarfile.open(fileobj=io.BytesIO(expected)) as opened:
        members = opened.getmembers()
    assert [(m.name, m.offset_data, m.size) for m in members] == [
        (extent.path, extent.offset, extent.size) for extent in made.extents
    ]
    assert {(m.mode, m.uid, m.gid, m.mtime, m.isreg()) for m in members} == {
        (0o644, 0, 0, 315532800, True)
    }
    assert len(expected) == made.size
    assert made.size % 10240 == made.size % 4096 == 0


def test_unpacked_by_hand_it_passes_its_own_sums(tmp_path: Path, expected: bytes) -> None:
    subprocess.run(["tar", "-x", "-C", tmp_path], input=expected, check=True)
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=True
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert done.stdout.count(b": OK\n") == len(files) - 1
    assert done.stderr == b""


def test_members_stand_in_the_order_of_format_1(origin: bundles.Origin) -> None:
    paths = [extent.path for extent in origin.layout.extents]
    [manifest] = [blob.path for blob in origin.lock.blobs if blob.kept]
    others = sorted(blob.path for blob in origin.lock.blobs if not blob.kept)
    assert paths == [
        "README.txt",
        "cluster.lock",
        "SHA256SUMS",
        "keys/site.asc",
        "manifests/calico.yaml",
        f"files/{'deep/' * 30}x.bin",
        "files/empty",
        "files/twin",
        "yum/base/repodata/repomd.xml",
        *(f"yum/base/Packages/tool{n}-1.0-1.x86_64.rpm" for n in range(4)),
        "images/index.json",
        manifest,
        *others,
    ]


def test_a_node_knows_it_by_its_first_bytes(expected: bytes) -> None:
    assert expected[:11] == b"README.txt\0"
    assert expected[257:265] == b"ustar  \0"
    assert expected[512 : 512 + len(MAGIC) + 1] == b"airseed offline bundle, format 1\n"
    assert expected[layout.LOCK_HEADER :].startswith(b"cluster.lock\0")


README_DIGEST = "58f9b2b5ab1c6bb93a6a62ae01e50936e2d8f3a540f5ead14542d2a3d746c6ec"
HEADERS_DIGEST = "70a48e68a3f9ac8d5bbd18a6086b5252a8217035eaf2404b74d370f0caeb62ef"


def test_format_1_does_not_change() -> None:
    assert layout.Digest.of(README).hex == README_DIGEST
    assert layout.Digest.of(tar.header("x", 1) + tar.header("x" * 200, 2**40)).hex == HEADERS_DIGEST


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 2**45])
@pytest.mark.parametrize("path", ["x", "n" * 100, "d/" * 60 + "x", "é" * 100, "x" * 250])
def test_headers_are_what_tarfile_reads(path: str, size: int) -> None:
    header = tar.header(path, size)
    with tarfile.open(fileobj=io.BytesIO(header), ignore_zeros=True) as opened:
        member = opened.next()
    assert member is not None
    assert (member.name, member.size, member.offset_data) == (path, size, len(header))
    assert tar.read_header(header + b"data") == (path, size, len(header))


def test_a_layout_depends_on_nothing_but_the_lock(origin: bundles.Origin) -> None:
    text = lock_format.write(origin.lock)
    shuffled = replace(origin.lock, blobs=origin.lock.blobs[::-1], files=origin.lock.files[::-1])
    one = layout.plan(origin.lock, text, {"images/a": b"1", "images/b": b"2"})
    two = layout.plan(shuffled, text, {"images/b": b"2", "images/a": b"1"})
    assert one.extents == two.extents
    assert one.digest == two.digest


def test_the_frame_and_the_contents_are_the_whole_file(origin: bundles.Origin) -> None:
    made = origin.layout
    spans = [(piece.offset, piece.offset + len(piece.content)) for piece in made.frame()]
    spans += [(e.offset, e.offset + e.size) for e in made.fetched if e.size]
    spans.sort()
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == made.size


def test_an_unknown_member_is_a_key_error(origin: bundles.Origin) -> None:
    made = origin.layout
    assert made.extent("files/twin").size == len(origin.contents["files/twin"])
    with pytest.raises(KeyError):
        made.extent("files/other")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/etc/passwd", "the path is absolute"),
        ("files/../../x", "the path is not plain (it has an empty part, . or ..)"),
        ("files//x", "the path is not plain (it has an empty part, . or ..)"),
        ("files/./x", "the path is not plain (it has an empty part, . or ..)"),
        ("files/", "the path is not plain (it has an empty part, . or ..)"),
        ("files/a\nb", "the path contains a control character or a backslash"),
        ("files/a\\b", "the path contains a control character or a backslash"),
        ("files/\ud800", "the path contains a control character or a backslash"),
        ("files/" + "x" * 256, "the path is too long"),
        ("files/" + "x/" * 600 + "x", "the path is too long"),
        ("elsewhere/x", "a bundle has no members there"),
        ("cluster.lock", "a bundle has no members there"),
        ("files/twin", "two members have this path"),
        ("files/empty/x", None),
    ],
)
def test_unsafe_paths_are_refused(origin: bundles.Origin, path: str, what: str | None) -> None:
    odd = replace(origin.lock.files[0], path=path)
    lock = replace(origin.lock, files=(*origin.lock.files, odd))
    with pytest.raises(DocumentError) as caught:
        layout.plan(lock, b"", {})
    [fault] = caught.value.faults
    expected = (path, what) if what else ("files/empty", "is both a file and a folder")
    assert (fault.where, fault.what) == expected


def test_sizes_that_cannot_be_are_refused(origin: bundles.Origin) -> None:
    first, *rest = origin.lock.packages
    bad = [replace(first, size=-1), *rest]
    twin = next(file for file in origin.lock.files if file.path == "files/twin")
    files = [replace(f, size=3) if f is twin else f for f in origin.lock.files]
    with pytest.raises(DocumentError) as caught:
        layout.plan(replace(origin.lock, packages=tuple(bad), files=tuple(files)), b"", {})
    assert [str(fault) for fault in caught.value.faults] == [
        f"images/blobs/sha256/{twin.digest.hex}: {twin.digest} is listed with two sizes",
        f"{first.path}: the size -1 is impossible",
    ]
