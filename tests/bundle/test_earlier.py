"""Bytes of an earlier bundle are used where they are right, and only there."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import bundles
import pytest

from builder.bundle.reader import open_bundle
from builder.bundle.writer import write
from builder.errors import VerificationError
from builder.report import Silent
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent, Layout
    from builder.bundle.source import Supply
    from builder.bundle.writer import BundleResult

    Make = Callable[..., BundleResult]

SPLIT = 1 << 15


@pytest.fixture
def newer(origin: bundles.Origin) -> Layout:
    """Return a bundle that has one file less: every member stands elsewhere."""
    lock = replace(origin.lock, files=origin.lock.files[1:])
    return bundles.plan(bundles.lock_format.write(lock))


@pytest.fixture(params=["tar", "folder", "parts"])
def old(request: pytest.FixtureRequest, tmp_path: Path, make: Make) -> Path:
    """Return the origin's bundle in each of its shapes."""
    folder = tmp_path / "old"
    folder.mkdir()
    path = folder / "bundle.tar"
    make(target=path, split=SPLIT if request.param == "parts" else 0)
    if request.param == "folder":
        with tarfile.open(path) as tar:
            tar.extractall(folder / "unpacked", filter="data")
        return folder / "unpacked"
    return path


def test_nobody_is_asked_for_what_an_earlier_bundle_has(
    make: Make, newer: Layout, old: Path, upstream: FaultyUpstream, origin: bundles.Origin
) -> None:
    upstream.access_log.clear()
    with open_bundle(old) as bundle:
        result = make(layout=newer, near=contents(bundle))
    assert list(upstream.requests) == []
    assert {outcome.state for outcome in result.outcomes} == {"reused", "copied"}
    assert (result.fetched, result.reused) == (
        0,
        sum(o.size for o in result.outcomes if o.state == "reused"),
    )
    content = result.target.read_bytes()
    for extent in newer.fetched:
        found = content[extent.offset : extent.offset + extent.size]
        assert found == origin.contents[extent.path]


def test_what_is_damaged_there_is_fetched(
    make: Make, old: Path, newer: Layout, upstream: FaultyUpstream, origin: bundles.Origin
) -> None:
    damaged = max(newer.fetched, key=lambda extent: extent.size)
    if old.is_dir():
        file, place = old / damaged.path, 1000
    else:
        place = origin.layout.extent(damaged.path).offset + 1000
        number, rest = divmod(place, SPLIT)
        file = old
        if not old.exists():
            file, place = old.with_name(f"bundle.tar.{number + 1:03}"), rest
    with file.open("r+b") as opened:
        opened.seek(place)
        byte = opened.read(1)[0]
        opened.seek(place)
        opened.write(bytes([byte ^ 1]))
    upstream.access_log.clear()
    with open_bundle(old) as bundle:
        result = make(layout=newer, near=contents(bundle))
    assert [one.path.strip("/") for one in upstream.requests] == [damaged.digest.hex]
    [passed] = result.fallbacks
    assert passed.path == damaged.path
    assert passed.passed_over[0].where == f"{old}: {damaged.path}"
    assert passed.passed_over[0].what.startswith("sent the wrong bytes (sha256:")
    content = result.target.read_bytes()
    assert content[damaged.offset :][: damaged.size] == origin.contents[damaged.path]


def test_an_interrupted_run_goes_on_with_the_same_base(
    make: Make,
    newer: Layout,
    old: Path,
    supply: Callable[[Extent], Supply],
    upstream: FaultyUpstream,
) -> None:
    with open_bundle(old) as bundle:
        half = dict(list(contents(bundle).items())[::2])
        first = make(layout=newer, near=half)
        assert first.fetched
        upstream.access_log.clear()
        again = make(layout=newer, near=contents(bundle))
    assert (again.whole, list(upstream.requests)) == (True, [])


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(VerificationError, match="not an airseed bundle"):
        open_bundle(tmp_path / "x")


def test_a_base_that_vanishes_is_no_traceback(
    newer: Layout, old: Path, target: Path, supply: Callable[[Extent], Supply]
) -> None:
    bundle = open_bundle(old)
    near = contents(bundle)
    bundle.close()
    if old.is_dir():
        for path in sorted(old.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
    result = write(newer, target, supply, Silent(), near=near, policy=bundles.QUICK)
    assert {o.state for o in result.outcomes if o.size} == {"fetched", "copied"}
    assert len(result.fallbacks) == sum(o.state == "fetched" for o in result.outcomes)
