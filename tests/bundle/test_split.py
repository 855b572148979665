"""A bundle in parts: cut anywhere, whole or not there, and the same bytes as the tar."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import bundles
import pytest
from fault_lab import faults

from builder.bundle import journal, split
from builder.bundle.reader import open_bundle
from builder.bundle.verify import verify_bundle, verify_parts
from builder.bundle.writer import journal_path, part_path, write
from builder.errors import StorageError, UnavailableError, UsageError, VerificationError
from builder.model.digest import Digest
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent, Layout
    from builder.bundle.source import Supply
    from builder.bundle.writer import BundleResult

    Make = Callable[..., BundleResult]

SIZES = [511, 4096, 20000, 1 << 15, 1 << 20]


def joined(target: Path) -> bytes:
    """Join the parts as people do."""
    command = f"cat {target.name}.[0-9][0-9][0-9]"
    return subprocess.run(
        ["sh", "-c", command], cwd=target.parent, check=True, capture_output=True
    ).stdout


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.fixture
def newer(origin: bundles.Origin) -> Layout:
    lock = replace(origin.lock, files=origin.lock.files[1:])
    return bundles.plan(bundles.lock_format.write(lock))


@pytest.mark.parametrize("size", SIZES)
def test_cat_gives_the_tar(make: Make, target: Path, expected: bytes, size: int) -> None:
    if -(-len(expected) // size) > 999:
        with pytest.raises(UsageError, match=r"are [0-9,]+ parts"):
            make(split=size)
        assert names(target) == []
        return
    result = make(split=size)
    assert joined(target) == expected
    count = -(-len(expected) // size)
    assert [part.name for part in result.parts] == [
        f"bundle.tar.{number:03}" for number in range(1, count + 1)
    ]
    assert names(target) == [*(part.name for part in result.parts), "bundle.tar.sha256"]
    assert {part.stat().st_size for part in result.parts[:-1]} <= {size}
    subprocess.run(
        ["sha256sum", "--strict", "--quiet", "-c", "bundle.tar.sha256"],
        cwd=target.parent,
        check=True,
    )
    for path in (target, result.parts[0], result.parts[-1], split.sums_path(target)):
        with open_bundle(path) as bundle:
            assert bundle.size == len(expected)
            assert len(bundle.members()) > 10


def test_a_second_run_asks_nobody(make: Make, target: Path, upstream: FaultyUpstream) -> None:
    make(split=1 << 15)
    upstream.access_log.clear()
    before = {path: path.stat().st_mtime_ns for path in target.parent.iterdir()}
    result = make(split=1 << 15)
    assert (result.whole, list(upstream.requests)) == (True, [])
    assert {path: path.stat().st_mtime_ns for path in target.parent.iterdir()} == before


def test_stale_parts_are_cleaned(make: Make, target: Path, newer: Layout) -> None:
    make(split=4096)
    for name in ("bundle.tar.700", "bundle.tar.701.part"):
        (target.parent / name).write_bytes(b"of an earlier run")
    for name in ("other.tar.001", "bundle.tar.asc", "bundle.tar.0001"):
        (target.parent / name).write_bytes(b"of somebody else")
    result = make(layout=newer, split=1 << 15)
    assert names(target) == sorted(
        [
            *(part.name for part in result.parts),
            "bundle.tar.0001",
            "bundle.tar.asc",
            "bundle.tar.sha256",
            "other.tar.001",
        ]
    )
    assert len(joined(target)) == newer.size


def test_a_tar_of_another_lock_takes_the_place_of_parts(
    make: Make, target: Path, newer: Layout
) -> None:
    make(split=1 << 15)
    make()
    assert len(names(target)) > 3  # the same bundle: both may stay
    make(layout=newer)
    assert names(target) == ["bundle.tar"]


def stop_at(upstream: FaultyUpstream, make: Make, origin: bundles.Origin, **how: object) -> Extent:
    """Leave a run that lacks one artifact; return that."""
    largest = max(origin.layout.fetched, key=lambda extent: extent.size)
    upstream.faults.add(faults.Status(404), path=f"/{largest.digest.hex}")
    with pytest.raises(UnavailableError):
        make(**how)
    upstream.faults.clear()
    upstream.access_log.clear()
    return largest


def test_parts_are_resumed(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, target: Path, expected: bytes
) -> None:
    largest = stop_at(upstream, make, origin, split=1 << 15)
    assert not [name for name in names(target) if not name.endswith((".part", ".journal"))]
    make(split=1 << 15)
    assert [one.path.strip("/") for one in upstream.requests] == [largest.digest.hex]
    assert joined(target) == expected


@pytest.mark.parametrize(("before", "after"), [(0, 1 << 15), (1 << 15, 0), (1 << 15, 20000)])
def test_what_a_run_in_another_shape_fetched_is_used(
    make: Make,
    origin: bundles.Origin,
    upstream: FaultyUpstream,
    target: Path,
    expected: bytes,
    before: int,
    after: int,
) -> None:
    largest = stop_at(upstream, make, origin, split=before)
    result = make(split=after)
    assert [one.path.strip("/") for one in upstream.requests] == [largest.digest.hex]
    assert (joined(target) if after else target.read_bytes()) == expected
    assert len(names(target)) == (len(result.parts) + 1 if after else 1)


@pytest.mark.parametrize("count", range(5))
def test_a_cut_between_the_names_is_mended_without_the_network(
    make: Make,
    target: Path,
    upstream: FaultyUpstream,
    expected: bytes,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """End a run when it has renamed so many parts, or before it wrote their checksums."""
    size = -(-len(expected) // 4)
    real, done = type(target).replace, []

    def replace_some(path: Path, other: Path) -> Path:
        if path.name.endswith(".part"):
            if len(done) == count:
                raise OSError(5, "cut", str(path))
            done.append(path)
        elif other.name.endswith(".sha256"):
            raise OSError(5, "cut", str(path))
        return real(path, other)

    monkeypatch.setattr(type(target), "replace", replace_some)
    with pytest.raises(StorageError):
        make(split=size)
    monkeypatch.undo()
    assert not split.sums_path(target).exists()
    upstream.access_log.clear()
    assert journal.read(journal_path(target)).naming
    make(split=size)
    assert list(upstream.requests) == []
    assert joined(target) == expected
    assert len(names(target)) == 5


def test_a_cut_after_the_checksums_leaves_a_whole_bundle(
    make: Make, target: Path, newer: Layout, upstream: FaultyUpstream, expected: bytes
) -> None:
    """The journal is still there; the next run, for another lock, must not eat the parts."""
    make(split=1 << 15)
    part_path(target).touch()
    layout = split.read_sums(target).layout.hex
    head = {"airseed": "journal", "format": 1, "layout": layout, "size": len(expected)}
    lines = [head | {"split": 1 << 15}, {"naming": True}]
    journal_path(target).write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    upstream.faults.add(faults.Status(404), path="/*")
    with pytest.raises(UnavailableError):
        make(layout=newer, split=1 << 15)
    assert joined(target) == expected
    assert split.read_sums(target).size == len(expected)


def test_a_cut_before_the_older_checksums_go_costs_no_download(
    make: Make,
    target: Path,
    newer: Layout,
    upstream: FaultyUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(split=1 << 15)
    name = journal.Journal.naming

    def cut(own: journal.Journal) -> None:
        name(own)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(journal.Journal, "naming", cut)
        with pytest.raises(KeyboardInterrupt):
            make(layout=newer, split=1 << 15)
    upstream.faults.add(faults.Status(404), path="/*")
    make(layout=newer, split=1 << 15)
    assert split.read_sums(target).layout == newer.digest
    assert verify_parts(target, Silent())[0] == []


def test_checksums_of_somebody_elses_are_left(
    make: Make, target: Path, upstream: FaultyUpstream
) -> None:
    """Such as those that sha256sum has written of the tar; nothing is fetched before that."""
    sums = split.sums_path(target)
    sums.write_text(f"{'0' * 64}  {target.name}\n", "utf-8")
    with pytest.raises(UsageError) as caught:
        make(split=4096)
    assert str(caught.value) == (
        f"{sums}: another file has the name that the checksums of the parts need"
    )
    assert sums.read_text("utf-8") == f"{'0' * 64}  {target.name}\n"
    assert [path.name for path in target.parent.iterdir()] == [sums.name]
    assert not upstream.requests
    assert not make().parts  # a tar needs no such file
    assert sums.read_text("utf-8") == f"{'0' * 64}  {target.name}\n"


def test_one_run_at_a_time(make: Make, target: Path) -> None:
    from builder.bundle.part import Part

    other = Part(part_path(target))
    with pytest.raises(StorageError, match="another airseed process is writing this bundle"):
        make(split=1 << 15)
    other.close()


def test_checksums_are_believed_only_as_they_were_written(make: Make, target: Path) -> None:
    make(split=1 << 15)
    path = split.sums_path(target)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            read = split.read_sums(target)
        except VerificationError:
            continue
        assert read.write() != content  # another digest; it will be found wrong


@pytest.mark.parametrize("count", [0, 1000])
def test_checksums_of_impossibly_many_parts_are_damaged(
    make: Make, target: Path, count: int
) -> None:
    """Nobody but airseed --split is told how many parts there may be."""
    make(split=1 << 15)
    sums = split.read_sums(target)
    forged = replace(sums, size=count * sums.split, digests=(sums.digests[0],) * count)
    split.sums_path(target).write_bytes(forged.write())
    with pytest.raises(VerificationError, match="the checksums of the parts are damaged"):
        split.read_sums(target)
    found, complete = verify_parts(target, Silent())
    assert (list(map(str, found)), complete) == (
        ["bundle.tar.sha256: is not as airseed wrote it"],
        True,
    )


def test_a_part_of_another_size_is_not_there_already(
    make: Make, target: Path, upstream: FaultyUpstream, expected: bytes
) -> None:
    parts = make(split=1 << 15).parts
    os.truncate(parts[1], 100)
    assert not make(split=1 << 15).whole
    assert joined(target) == expected


def test_parts_need_no_more_space_than_the_tar(
    origin: bundles.Origin,
    target: Path,
    supply: Callable[[Extent], Supply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.statvfs(target.parent)

    class Exact:
        f_bavail, f_frsize = -(-origin.layout.size // real.f_frsize), real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda _path: Exact)
    write(origin.layout, target, supply, Silent(), split=1 << 15, policy=bundles.QUICK)
    assert Digest.of(joined(target))


def test_every_fault_of_parts_is_told_at_once(make: Make, target: Path, expected: bytes) -> None:
    parts = make(split=1 << 15).parts
    assert verify_parts(target, Silent()) == ([], True)
    content = bytearray(parts[2].read_bytes())
    content[77] ^= 1
    parts[2].write_bytes(content)
    found, complete = verify_parts(parts[0], Silent())
    assert complete
    has, wanted = Digest.of(bytes(content)), Digest.of(expected[2 << 15 : 3 << 15])
    texts = [str(fault) for fault in found]
    assert texts == [f"bundle.tar.003: has the digest {has} (expected {wanted})"]
    with open_bundle(target) as bundle:
        [fault] = verify_bundle(bundle, bundles.plan, Silent()).faults
    assert fault.where != "bundle.tar.003"  # the member is named by itself
    parts[1].unlink()
    os.truncate(parts[3], 9)
    found, complete = verify_parts(split.sums_path(target), Silent())
    assert not complete
    assert [f"{fault.where} {fault.what[:10]}" for fault in found] == [
        "bundle.tar.002 is missing",
        "bundle.tar.003 has the di",
        "bundle.tar.004 has 9 byte",
    ]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": _socket,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_in_a_parts_place_is_told(
    kind: str, make: Make, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = make(split=1 << 15).parts[1]
    part.unlink()
    monkeypatch.chdir(part.parent)  # a socket's path is short
    KINDS[kind](Path(part.name))
    found, complete = verify_parts(target, Silent())
    assert not complete
    assert list(map(str, found)) == [f"bundle.tar.002: is a {kind}, not a file"]
    with pytest.raises(StorageError) as caught:
        open_bundle(target)
    assert str(caught.value) == f"{part}: is a {kind}, not a file"
    assert caught.value.hint == "remove it, and copy the part again"


@pytest.mark.parametrize("suffix", ["", ".part"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_parts_place_is_asked_for_before_anything_is_fetched(
    kind: str,
    suffix: str,
    make: Make,
    target: Path,
    upstream: FaultyUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(target.parent)
    taken = target.with_name(f"{target.name}.002{suffix}")
    KINDS[kind](Path(taken.name))
    before = sorted(target.parent.iterdir())
    with pytest.raises(UsageError) as caught:
        make(split=1 << 15)
    assert str(caught.value) == f"{taken}: is not a regular file, so it can't be replaced"
    assert sorted(target.parent.iterdir()) == before
    assert list(upstream.requests) == []


@pytest.mark.parametrize("number", ["000", "004", "999"])
def test_a_part_too_many_is_a_fault(make: Make, target: Path, expected: bytes, number: str) -> None:
    """``cat`` would join it, as its checksums say."""
    make(split=-(-len(expected) // 3))
    assert verify_parts(target, Silent()) == ([], True)
    target.with_name(f"{target.name}.{number}").write_bytes(b"x")
    [fault], complete = verify_parts(target, Silent())
    assert complete
    assert str(fault) == f"{target.name}.{number}: is not part of this bundle"
    make(split=-(-len(expected) // 3))
    assert verify_parts(target, Silent()) == ([], True)


def test_parts_whose_checksums_are_damaged_are_examined_all_the_same(
    make: Make, target: Path
) -> None:
    make(split=1 << 15)
    path = split.sums_path(target)
    path.write_bytes(path.read_bytes() + b"?")
    found, complete = verify_parts(target, Silent())
    assert complete
    assert list(map(str, found)) == ["bundle.tar.sha256: is not as airseed wrote it"]
    with open_bundle(target) as bundle:
        assert verify_bundle(bundle, bundles.plan, Silent()).faults == ()
