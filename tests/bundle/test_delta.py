"""A delta: laid out by (lock, what is left out), and proved together with what it leaves out."""

from __future__ import annotations

import random
import subprocess
import tarfile
from typing import TYPE_CHECKING

import bundles
import pytest

from builder.bundle import delta
from builder.bundle.layout import DELTA_PATH
from builder.bundle.reader import open_bundle
from builder.bundle.verify import verify_bundle
from builder.report import Silent
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Layout
    from builder.bundle.writer import BundleResult
    from builder.model.digest import Digest

    Make = Callable[..., BundleResult]


def some(layout: Layout, seed: int = 0) -> set[Digest]:
    """Choose about half of all digests, also of what cannot be left out."""
    dice = random.Random(seed)
    return {extent.digest for extent in layout.extents if dice.random() < 0.5}


@pytest.fixture
def smaller(origin: bundles.Origin) -> Layout:
    return delta.without(origin.layout, some(origin.layout))


def test_nothing_left_out_is_the_whole_bundle(origin: bundles.Origin) -> None:
    small = {e.digest for e in origin.layout.extents if e.path.startswith(("keys/", "manifests/"))}
    layout = origin.layout
    assert delta.without(layout, set()) is layout
    assert delta.without(layout, small) is layout


def test_only_what_is_large_is_left_out(origin: bundles.Origin) -> None:
    every = {extent.digest for extent in origin.layout.extents}
    layout = delta.without(origin.layout, every)
    manifest, config = origin.lock.images[0].digest, origin.lock.images[0].manifests[0].config
    kept = [extent.path for extent in layout.extents]
    assert kept == [
        "README.txt",
        "cluster.lock",
        "DELTA.txt",
        "SHA256SUMS",
        "keys/site.asc",
        "manifests/calico.yaml",
        "yum/base/repodata/repomd.xml",
        "images/index.json",
        f"images/blobs/sha256/{manifest.hex}",
        f"images/blobs/sha256/{config.hex}",
    ]
    assert len(kept) + len(layout.left_out) == len(origin.layout.extents) + 1


def test_the_layout_depends_on_what_is_left_out_alone(origin: bundles.Origin) -> None:
    chosen = some(origin.layout)
    layout = delta.without(origin.layout, chosen)
    again = delta.without(origin.layout, [*chosen, *some(bundles.Origin(seed=9).layout)])
    assert again == layout
    assert layout.digest != origin.layout.digest
    assert layout.sums == origin.layout.sums
    assert delta.recover(origin.layout, layout.delta) >= {c.digest for c in layout.left_out}
    assert delta.without(origin.layout, delta.recover(origin.layout, layout.delta)) == layout


def test_its_text_stays_as_it_is() -> None:
    """Format 1: a change of one byte makes all deltas unreadable."""
    assert delta.Digest.of(delta.describe(())).hex == (
        "8fb1ba352ad8d94599712cf2dc51e2ca41381071fdcf23e85909eb598cb8056f"
    )


@pytest.mark.parametrize("split", [0, 1 << 15])
def test_a_delta_is_whole_by_itself(
    make: Make, smaller: Layout, target: Path, upstream: FaultyUpstream, split: int
) -> None:
    made = make(layout=smaller, split=split)
    asked = {one.path.strip("/") for one in upstream.requests}
    assert asked == {e.digest.hex for e in smaller.fetched if e.size}
    with open_bundle(target) as bundle:
        found = verify_bundle(bundle, bundles.plan, Silent())
    assert found.faults == ()
    assert found.layout == smaller
    assert set(found.elsewhere) == set(smaller.left_out)
    assert make(layout=smaller, split=split).whole
    assert made.size == smaller.size


def test_unpacked_over_the_earlier_bundle_it_is_the_whole(
    make: Make, smaller: Layout, origin: bundles.Origin, tmp_path: Path
) -> None:
    """The earlier one here has exactly what the delta lacks."""
    folder = tmp_path / "merged"
    make(target=tmp_path / "delta.tar", layout=smaller)
    for content in smaller.left_out:
        (folder / content.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / content.path).write_bytes(origin.contents[content.path])
    with tarfile.open(tmp_path / "delta.tar") as tar:
        tar.extractall(folder, filter="data")
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    with open_bundle(folder) as bundle:
        found = verify_bundle(bundle, bundles.plan, Silent())
    assert (found.faults, found.elsewhere, found.unread) == ((), (), ())
    (folder / "files/earlier").parent.mkdir(exist_ok=True)
    (folder / "files/earlier").write_bytes(b"of the earlier bundle")
    with open_bundle(folder) as bundle:
        found = verify_bundle(bundle, bundles.plan, Silent())
    assert (found.faults, found.elsewhere, found.unread) == ((), (), ("files/earlier",))
    planted = [
        "images/blobs/sha256/x",
        "images/signatures.json",
        "keys/evil.asc",
        "manifests/zz.yaml",
        "yum/base/Packages/evil.sh",
        "yum/base/repodata/evil.xml",
        "yum/evil/repodata/repomd.xml",
    ]
    earlier = [f"images/blobs/sha256/{'0' * 64}", "yum/gone/Packages/a-1-1.noarch.rpm"]
    for path in (*planted, *earlier):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    with open_bundle(folder) as bundle:
        found = verify_bundle(bundle, bundles.plan, Silent())
    assert sorted(found.unread) == sorted(["files/earlier", *earlier])
    assert [str(fault) for fault in found.faults] == [
        f"{path}: is not in the lock" for path in planted
    ]
    assert {fault.hint for fault in found.faults} == {
        "delete it if it came from the earlier bundle"
    }
    for path in ("files/earlier", *planted, *earlier):
        (folder / path).unlink()
    damaged = folder / smaller.left_out[0].path
    damaged.write_bytes(bytes(damaged.stat().st_size))
    (folder / smaller.left_out[-1].path).unlink()
    with open_bundle(folder) as bundle:
        found = verify_bundle(bundle, bundles.plan, Silent())
    assert {fault.where for fault in found.faults} == {smaller.left_out[0].path}
    assert [content.path for content in found.elsewhere] == [smaller.left_out[-1].path]


def test_with_what_it_lacks_it_gives_the_whole_tar(
    make: Make, smaller: Layout, tmp_path: Path, upstream: FaultyUpstream, expected: bytes
) -> None:
    make(target=tmp_path / "old.tar")
    make(target=tmp_path / "delta.tar", layout=smaller)
    upstream.access_log.clear()
    with open_bundle(tmp_path / "old.tar") as old, open_bundle(tmp_path / "delta.tar") as new:
        left = {content.digest for content in smaller.left_out}
        near = {digest: one for digest, one in contents(old).items() if digest in left}
        result = make(near=near | contents(new))
    assert list(upstream.requests) == []
    assert result.target.read_bytes() == expected


def test_every_flip_in_a_delta_is_found_and_named(
    make: Make, smaller: Layout, target: Path
) -> None:
    make(layout=smaller)
    assert bundles.missed_flips(target, seed=3, count=120) == []


def test_every_flip_in_its_own_member_is_named(make: Make, smaller: Layout, target: Path) -> None:
    make(layout=smaller)
    extent = smaller.extent(DELTA_PATH)
    content = bytearray(target.read_bytes())
    for place in range(extent.header, extent.end, 3):
        content[place] ^= 4
        target.write_bytes(content)
        content[place] ^= 4
        with open_bundle(target) as bundle:
            found = verify_bundle(bundle, bundles.plan, Silent(), workers=1)
        assert {fault.where for fault in found.faults} == {DELTA_PATH}, place


def test_a_delta_may_not_leave_out_what_it_needs(
    make: Make, smaller: Layout, target: Path, origin: bundles.Origin
) -> None:
    """Say in DELTA.txt that a key is elsewhere."""
    make(layout=smaller)
    key = origin.layout.extent("keys/site.asc")
    content = target.read_bytes()
    line = f"{smaller.left_out[0].digest.hex}  {smaller.left_out[0].path}\n".encode()
    other = f"{key.digest.hex}  {key.path}".ljust(len(line) - 1).encode() + b"\n"
    assert len(line) == len(other)
    assert content.count(line) == 2  # in SHA256SUMS, too, which comes after
    target.write_bytes(content.replace(line, other, 1))
    with open_bundle(target) as bundle:
        assert verify_bundle(bundle, bundles.plan, Silent()).faults
