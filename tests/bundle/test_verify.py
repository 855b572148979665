from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import bundles
import pytest

from builder.bundle import tar
from builder.bundle.reader import open_bundle
from builder.bundle.verify import verify_bundle
from builder.errors import DocumentError, VerificationError
from builder.formats import lock as lock_format
from builder.report import Silent

if TYPE_CHECKING:
    import io
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path, expected: bytes) -> Path:
    path = tmp_path / "bundle.tar"
    path.write_bytes(expected)
    return path


@pytest.fixture
def folder(tmp_path: Path, bundle: Path) -> Path:
    path = tmp_path / "unpacked"
    path.mkdir()
    subprocess.run(["tar", "-xf", bundle, "-C", path], check=True)
    return path


def faults_of(path: Path) -> list[str]:
    with open_bundle(path) as opened:
        return [str(fault) for fault in verify_bundle(opened, bundles.plan, Silent()).faults]


def test_a_whole_bundle_has_no_faults(bundle: Path, folder: Path) -> None:
    assert faults_of(bundle) == []
    assert faults_of(folder) == []


@pytest.mark.parametrize("seed", range(4))
def test_one_flipped_bit_is_found_and_named(bundle: Path, expected: bytes, seed: int) -> None:
    assert bundles.missed_flips(bundle, seed, 40) == []
    assert bundle.read_bytes() == expected


def test_every_byte_of_the_lock_and_its_sums_is_told_apart(
    bundle: Path, origin: bundles.Origin
) -> None:
    content = bytearray(bundle.read_bytes())
    made = origin.layout
    lines = made.sums.split(b"\n")
    start = made.extent("SHA256SUMS").offset + len(lines[0]) + 1
    for place in range(start, start + len(lines[1]) + 1):  # the line of cluster.lock
        changed = bytearray(content)
        changed[place] ^= 1
        bundle.write_bytes(changed)
        [fault] = faults_of(bundle)
        assert fault.startswith("SHA256SUMS: has the digest")


def test_several_faults_are_named_at_once(bundle: Path, origin: bundles.Origin) -> None:
    content = bytearray(bundle.read_bytes())
    twin, key = origin.layout.extent("files/twin"), origin.layout.extent("keys/site.asc")
    content[twin.offset + 5] ^= 4
    content[key.header + 3] ^= 4
    content[key.offset + key.size] = 1
    content[-1] = 1
    bundle.write_bytes(content + b"tail")
    behind = key.offset + key.size
    digest = bundles.Digest.of(bytes(content[twin.offset : twin.offset + twin.size]))
    assert faults_of(bundle) == [
        f"keys/site.asc: its tar header is damaged (byte {key.header + 3:,} of the file)",
        f"keys/site.asc: the padding after it is not zero (byte {behind:,} of the file)",
        f"files/twin: has the digest {digest} (expected {twin.digest})",
        f"end of the file: 4 bytes too many (expected {origin.layout.size:,} bytes)",
        f"end of the file: the end blocks are damaged (byte {len(content) - 1:,} of the file)",
    ]


def test_a_truncated_bundle(bundle: Path, origin: bundles.Origin) -> None:
    last = origin.layout.extents[-1]
    os.truncate(bundle, last.offset + 10)
    first, second = sorted(faults_of(bundle))[::-1]
    assert first == f"{last.path}: the last {last.size - 10:,} bytes are missing"
    assert second == (
        f"{bundle}: ends at byte {last.offset + 10:,}, within {last.path}"
        f" (expected {origin.layout.size:,})"
    )


@pytest.mark.parametrize("length", [600, 2048, 2600, 4096])
def test_a_bundle_cut_in_its_first_members(bundle: Path, length: int) -> None:
    os.truncate(bundle, length)
    assert any(fault.startswith("cluster.lock: ") for fault in faults_of(bundle))


def test_a_lock_that_was_always_wrong_is_a_wrong_document(
    bundle: Path, origin: bundles.Origin
) -> None:
    twice = replace(origin.lock, files=(*origin.lock.files, origin.lock.files[0]))
    made = bundles.layout.plan(
        replace(origin.lock, files=()), lock_format.write(twice), {"images/index.json": b""}
    )
    with bundle.open("wb") as file:
        for piece in made.frame():
            file.seek(piece.offset)
            file.write(piece.content)
    with open_bundle(bundle) as opened, pytest.raises(DocumentError, match="1 mistake"):
        verify_bundle(opened, bundles.plan, Silent())


def test_a_damaged_lock_does_not_hide_other_faults(bundle: Path, origin: bundles.Origin) -> None:
    content = bytearray(bundle.read_bytes())
    lock, twin = origin.layout.extent("cluster.lock"), origin.layout.extent("files/twin")
    content[lock.offset] = ord("?")
    content[twin.offset] ^= 1
    bundle.write_bytes(content)
    assert [fault.partition(":")[0] for fault in faults_of(bundle)] == [
        "cluster.lock",
        "files/twin",
    ]


def test_a_folder_tells_what_is_missing_added_changed_or_no_file(
    folder: Path, origin: bundles.Origin
) -> None:
    (folder / "files/twin").unlink()
    (folder / "files/link").symlink_to("/etc/passwd")
    (folder / "files/more").write_text("x")
    (folder / "keys/site.asc").write_text("x")
    calico = folder / "manifests/calico.yaml"
    calico.write_bytes(calico.read_bytes()[::-1])
    found = faults_of(folder)
    assert [fault.partition(" (")[0].partition(" sha256")[0] for fault in found] == [
        "keys/site.asc: has 1 bytes",
        "manifests/calico.yaml: has the digest",
        "files/twin: is missing",
        "files/link: is a symbolic link, not a plain file",
        "files/more: is not in the lock",
    ]


def test_a_folder_with_a_damaged_lock_is_compared_with_its_sums(folder: Path) -> None:
    lock = folder / "cluster.lock"
    lock.write_bytes(lock.read_bytes().replace(b"1.18.5", b"1.18.6"))
    (folder / "files/more").write_text("x")
    assert [fault.partition(" sha256")[0] for fault in faults_of(folder)] == [
        "cluster.lock: has the digest",
        "files/more: is not in SHA256SUMS",
    ]


def test_a_folder_without_its_sums_is_compared_with_its_lock(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()
    assert faults_of(folder) == ["SHA256SUMS: is missing"]
    (folder / "files/more").write_text("x")
    (folder / "files/twin").unlink()
    assert faults_of(folder) == [
        "SHA256SUMS: is missing",
        "files/twin: is missing",
        "files/more: is not in the lock",
    ]
    (folder / "SHA256SUMS").write_bytes(b"")
    assert faults_of(folder)[0].startswith("SHA256SUMS: has 0 bytes (expected ")
    (folder / "SHA256SUMS").unlink()
    (folder / "cluster.lock").write_text("{")
    assert [fault.partition(" sha256")[0] for fault in faults_of(folder)] == [
        "SHA256SUMS: is missing",
        "cluster.lock: has the digest",
    ]


def test_what_inspects_members_gets_right_ones_and_its_faults_are_told(
    bundle: Path, origin: bundles.Origin
) -> None:
    seen: dict[str, bytes] = {}

    def inspect(path: str, file: io.BufferedReader) -> None:
        seen[path] = file.read()
        if path.endswith("tool1-1.0-1.x86_64.rpm"):
            raise VerificationError("is not signed", where=path)

    with open_bundle(bundle) as opened:
        found = verify_bundle(opened, bundles.plan, Silent(), inspect=inspect)
    assert [str(fault) for fault in found.faults] == [
        "yum/base/Packages/tool1-1.0-1.x86_64.rpm: is not signed"
    ]
    assert {path: seen[path] for path in origin.contents} == origin.contents


HERE = "byte 2,048: the member here"


def refused(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "odd.tar"
    path.write_bytes(content)
    with open_bundle(path) as opened, pytest.raises(VerificationError) as caught:
        opened.members()
    return [str(fault) for fault in caught.value.faults]


def kind(header: bytes, letter: bytes) -> bytes:
    """Change the type of a header, and its checksum with it."""
    changed = header[:148] + b" " * 8 + header[156:]
    changed = changed[:156] + letter + changed[157:]
    return changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (tar.header("../x", 0), "'../x': the path is not plain (it has an empty part, . or ..)"),
        (tar.header("/etc/x", 0), "'/etc/x': the path is absolute"),
        (tar.header("a\x1b", 0), r"'a\x1b': the path contains a control character or a backslash"),
        (tar.header("README.txt", 0), "README.txt: two members have this path"),
        (kind(tar.header("x", 0), b"2"), f"{HERE} is a symbolic link, not a plain file"),
        (kind(tar.header("x", 0), b"1"), f"{HERE} is a hard link, not a plain file"),
        (kind(tar.header("x", 0), b"3"), f"{HERE} is a character device, not a plain file"),
        (kind(tar.header("x", 0), b"S"), f"{HERE} is a sparse file, not a plain file"),
        (kind(tar.header("x", 0), b"x"), f"{HERE} is a pax header, not a plain file"),
        (kind(tar.header("x", 0), b"5"), f"{HERE} is a folder, not a plain file"),
        (b"x" * 512, f"{HERE} has a header with an invalid number"),
        (tar.header("x", 1)[:-1], f"{HERE} is cut off within its header"),
    ],
)
def test_a_hostile_tar_is_refused(
    tmp_path: Path, expected: bytes, header: bytes, fault: str
) -> None:
    front = expected[:2048]  # README.txt
    end = b"" if len(header) % 512 else bytes(20480 - 2048 - len(header))
    assert refused(tmp_path, front + header + end)[:1] == [fault]


def test_a_member_longer_than_the_file_is_refused(tmp_path: Path, expected: bytes) -> None:
    huge = tar.header("x", 2**50)
    assert refused(tmp_path, expected[:2048] + huge) == ["x: is cut off"]


def test_something_else_is_no_bundle(tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    other.write_bytes(tar.header("x", 0) + bytes(1024))
    with pytest.raises(VerificationError) as caught:
        open_bundle(other)
    assert str(caught.value) == (
        f"{other}: not an airseed bundle (expected a tar that begins with README.txt"
        " (airseed offline bundle, format 1))"
    )
    with pytest.raises(VerificationError, match=r"expected a folder with README\.txt"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("way", ["bundle", "folder"])
def test_members_are_read_by_path(
    request: pytest.FixtureRequest, origin: bundles.Origin, way: str
) -> None:
    with open_bundle(request.getfixturevalue(way)) as opened:
        assert sorted(opened.members()) == sorted(e.path for e in origin.layout.extents)
        assert opened.read("files/twin", 1 << 20) == origin.contents["files/twin"]
        with opened.open("files/twin") as file:
            file.seek(100)
            assert file.read(20) == origin.contents["files/twin"][100:120]
        with pytest.raises(VerificationError, match=r"files/twin: the member is too large"):
            opened.read("files/twin", 10)
        with pytest.raises(VerificationError, match=r"^no: the bundle has no such member$"):
            opened.read("no", 10)


def test_a_lock_with_a_damaged_header_ends_the_search(bundle: Path, origin: bundles.Origin) -> None:
    content = bytearray(bundle.read_bytes())
    content[origin.layout.extent("cluster.lock").header] ^= 1
    bundle.write_bytes(content)
    assert faults_of(bundle) == [
        "cluster.lock: the member at its place has a header whose checksum is wrong",
        "cluster.lock: without the lock, nothing else can be checked",
    ]
