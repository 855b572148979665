"""One run after another: what a run leaves, the next one finds, trusts or checks again."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import bundles
import pytest
from fault_lab import faults

from builder.bundle.existing import is_whole
from builder.bundle.part import Part
from builder.bundle.writer import journal_path, part_path, write
from builder.errors import StorageError, UnavailableError
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent
    from builder.bundle.source import Supply
    from builder.bundle.writer import BundleResult

    Make = Callable[..., BundleResult]


@pytest.fixture
def interrupted(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, target: Path
) -> Extent:
    """Leave a bundle that lacks one artifact, its largest; return that."""
    largest = max(origin.layout.fetched, key=lambda extent: extent.size)
    upstream.faults.add(faults.Status(404), path=f"/{largest.digest.hex}")
    with pytest.raises(UnavailableError):
        make()
    upstream.faults.clear()
    upstream.access_log.clear()
    assert bundles.leftovers(target) == ["bundle.tar.journal", "bundle.tar.part"]
    return largest


def asked(upstream: FaultyUpstream) -> list[str]:
    return sorted(served.path.strip("/") for served in upstream.requests)


def test_a_whole_bundle_asks_nobody(
    make: Make, target: Path, upstream: FaultyUpstream, expected: bytes
) -> None:
    target.write_bytes(expected)
    part_path(target).write_bytes(b"old")
    journal_path(target).write_bytes(b"old")
    result = make()
    assert (result.whole, result.outcomes, result.size) == (True, (), len(expected))
    assert (asked(upstream), bundles.leftovers(target)) == ([], [])


def test_another_bundle_of_that_name_is_replaced_at_the_end(
    make: Make, target: Path, interrupted: Extent, expected: bytes
) -> None:
    target.write_bytes(b"precious")
    assert not make().whole
    assert target.read_bytes() == expected


@pytest.mark.parametrize("place", [0, 600, -1])
def test_a_bundle_with_another_head_or_length_is_not_whole(
    origin: bundles.Origin, target: Path, expected: bytes, place: int
) -> None:
    assert not is_whole(origin.layout, target)
    target.write_bytes(expected)
    assert is_whole(origin.layout, target)
    target.write_bytes(expected[:place] + b"?" + expected[place + 1 :] if place >= 0 else b"x")
    assert not is_whole(origin.layout, target)


def test_a_folder_in_its_place_is_refused(make: Make, target: Path) -> None:
    target.mkdir()
    with pytest.raises(StorageError) as caught:
        make()
    assert str(caught.value) == f"{target}: not a file (expected the name of a file)"


def test_only_what_is_missing_is_asked_for(
    make: Make, interrupted: Extent, upstream: FaultyUpstream, expected: bytes
) -> None:
    result = make()
    assert asked(upstream) == [interrupted.digest.hex]
    assert result.target.read_bytes() == expected
    states = {outcome.path: outcome.state for outcome in result.outcomes}
    assert states.pop(interrupted.path) == "fetched"
    assert set(states.values()) == {"cached", "copied"} or set(states.values()) == {"cached"}


def test_a_power_cut_costs_what_was_not_on_the_disk(
    make: Make,
    interrupted: Extent,
    origin: bundles.Origin,
    upstream: FaultyUpstream,
    target: Path,
    expected: bytes,
) -> None:
    """Take the word that all is on the disk away, and the bytes of one artifact with it."""
    lines = journal_path(target).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b"synced" not in line]
    journal_path(target).write_bytes(b"".join(kept))
    lost = origin.layout.extent("keys/site.asc")
    with part_path(target).open("r+b") as file:
        file.seek(lost.offset)
        file.write(bytes(lost.size))
    assert make().target.read_bytes() == expected
    assert asked(upstream) == sorted([interrupted.digest.hex, lost.digest.hex])


def test_a_part_of_another_length_is_not_believed(
    make: Make, interrupted: Extent, upstream: FaultyUpstream, target: Path, expected: bytes
) -> None:
    os.truncate(part_path(target), 4096)
    result = make()
    assert result.target.read_bytes() == expected
    assert interrupted.digest.hex in asked(upstream)


def test_without_its_journal_a_part_is_only_space(
    make: Make, interrupted: Extent, upstream: FaultyUpstream, target: Path, expected: bytes
) -> None:
    journal_path(target).unlink()
    assert make().target.read_bytes() == expected
    assert len(asked(upstream)) > 10


def test_what_a_run_for_another_lock_fetched_is_used(
    make: Make,
    interrupted: Extent,
    origin: bundles.Origin,
    supply: Callable[[Extent], Supply],
    upstream: FaultyUpstream,
    target: Path,
) -> None:
    lock = replace(origin.lock, files=origin.lock.files[1:])
    layout = bundles.plan(bundles.lock_format.write(lock))
    assert layout.digest != origin.layout.digest
    result = make(layout=layout)
    assert asked(upstream) == [interrupted.digest.hex]
    assert [o.path for o in result.outcomes if o.state == "fetched"] == [interrupted.path]
    content = target.read_bytes()
    for extent in layout.fetched:
        found = content[extent.offset : extent.offset + extent.size]
        assert found == origin.contents[extent.path]


def test_a_second_run_at_the_same_time_is_refused(
    make: Make, target: Path, upstream: FaultyUpstream
) -> None:
    other = Part(part_path(target))
    with pytest.raises(StorageError, match="another airseed process is writing this bundle"):
        make()
    assert asked(upstream) == []
    other.close()


def test_space_is_compared_before_anything_is_written(
    origin: bundles.Origin, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(target.parent)

    class Small:
        f_bavail, f_frsize = 10, real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda _path: Small)

    def supply(_extent: Extent) -> Supply:
        raise AssertionError

    with pytest.raises(StorageError) as caught:
        write(origin.layout, target, supply, Silent())
    assert str(caught.value) == (
        f"{target.parent}: {origin.layout.size:,} bytes are needed, {10 * real.f_frsize:,} are free"
    )
    assert bundles.leftovers(target) == []


def test_size_and_space_are_told_first(
    make: Make, interrupted: Extent, origin: bundles.Origin, upstream: FaultyUpstream
) -> None:
    messages: list[tuple[str, int]] = []

    class Telling(Silent):
        def info(self, text: str) -> None:
            messages.append((text, len(upstream.requests)))

    make(reporter=Telling())
    [(text, requests)] = messages
    total, missing = origin.layout.size, interrupted.size
    assert requests == 0
    assert text.startswith(f"bundle.tar: {total:,} bytes, {missing:,} of them to fetch; ")
    assert text.endswith(" bytes are free")
