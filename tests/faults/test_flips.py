"""One flipped bit anywhere in a bundle is always found, and its place named."""

from __future__ import annotations

import multiprocessing
import random
import re
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import flips
import pytest

from builder.pipeline.verify import verify
from builder.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

FLIPS = 1000
SHARES = 20


def test_a_sample_of_flips(sample: Sample, tmp_path: Path) -> None:
    found, missed = flips.campaign(sample.bundle, tmp_path, seed=0, count=8)
    assert missed == []
    assert found.total() == 8


def test_a_sample_of_flips_in_a_delta(sample: Sample, tmp_path: Path) -> None:
    made = flips.make_delta(sample.bundle, tmp_path / "delta.tar")
    found, missed = flips.campaign(made, tmp_path, seed=1, count=12)
    assert missed == []
    assert found.total() == 12


def test_a_damaged_header_hides_no_other_fault(sample: Sample, tmp_path: Path) -> None:
    header, content, *_ = (e for e in sample.layout.extents if e.path.endswith(".rpm"))
    damaged = bytearray(sample.bundle.read_bytes())
    damaged[header.header + 333] ^= 1
    damaged[content.offset + content.size // 2] ^= 1
    copy = tmp_path / "bundle.tar"
    copy.write_bytes(damaged)
    faults = verify(copy, reporter=Silent()).faults
    assert [fault.where for fault in faults] == [header.path, content.path]


def test_a_damaged_key_does_not_make_its_packages_suspect(sample: Sample, tmp_path: Path) -> None:
    key = next(one for one in sample.layout.extents if one.path.startswith("keys/"))
    damaged = bytearray(sample.bundle.read_bytes())
    damaged[key.offset + key.size // 2] ^= 1
    copy = tmp_path / "bundle.tar"
    copy.write_bytes(damaged)
    assert [fault.where for fault in verify(copy, reporter=Silent()).faults] == [key.path]


def test_the_command_names_the_place_and_the_way_out_is_1(sample: Sample, tmp_path: Path) -> None:
    kind, name, place = flips.draw(sample.layout, random.Random(3))
    content = bytearray(sample.bundle.read_bytes())
    content[place] ^= 1
    with sample.sandbox(tmp_path / "work") as sandbox:
        sandbox.bundle_path.write_bytes(content)
        ran = sandbox.run("verify", "bundle.tar")
        assert ran.code == 1, kind
        assert re.search(r"^error: bundle\.tar: 1 fault$", ran.err, re.MULTILINE), ran.err
        assert name in ran.err
        assert ran.requests == ()


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["tar", "delta"])
def test_a_thousand_flips(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    bundle = sample.bundle
    if kind == "delta":
        bundle = flips.make_delta(bundle, tmp_path / "delta.tar")
    start = time.monotonic()
    found: Counter[str] = Counter()
    missed: list[str] = []
    # processes, for verifying is work; spawned, because this one has threads
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(flips.campaign, bundle, tmp_path, seed, FLIPS // SHARES)
            for seed in range(SHARES)
        ]
        for job in jobs:
            some, others = job.result()
            found += some
            missed += others
    assert missed == []
    assert found.total() == FLIPS
    with capsys.disabled():
        kinds = ", ".join(f"{count} in {kind}" for kind, count in sorted(found.items()))
        took = time.monotonic() - start
        print(f"\n{kind}: {FLIPS} flipped bits found and named in {took:.0f} s: {kinds}")
