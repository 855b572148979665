"""Power cuts at moments that nobody chose: which machine, when, torn or not, one or all five.

``CUTS=n`` says how many, ``SEED=x`` repeats those of an earlier run, as far as machines go at the
same pace again.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from e2e import power_cuts
from e2e.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

PLANES = ["k8s01", "k8s02", "k8s03"]
CUTS = int(os.environ.get("CUTS", "10"))
SEED = os.environ.get("SEED") or secrets.token_hex(4)
_EACH = 5
"""Cuts while one cluster comes up."""
_LONGEST = 60.0
"""Seconds before a cut; five machines need some hundred and fifty."""
_ALL = 0.2
"""Of the cuts, those that hit all five."""


@dataclass(frozen=True)
class Cut:
    after: float
    """Seconds since the last one."""
    victims: tuple[str, ...]
    torn: bool

    def __str__(self) -> str:
        whom = " ".join(self.victims) if len(self.victims) == 1 else "all"
        return f"{whom} after {self.after:.1f} s{', torn' if self.torn else ''}"


def plan(seed: str, cuts: int, names: list[str]) -> list[list[Cut]]:
    """Choose the cuts; one list for each cluster that comes up."""
    chance = random.Random(seed)
    chosen = [
        Cut(
            after=chance.uniform(1, _LONGEST),
            victims=tuple(names) if chance.random() < _ALL else (chance.choice(names),),
            torn=chance.random() < 0.5,
        )
        for _ in range(cuts)
    ]
    return [chosen[start : start + _EACH] for start in range(0, cuts, _EACH)]


@pytest.fixture(scope="module")
def prepared(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Cluster]:
    cluster = Cluster(workdir / "random", upstream, image)
    cluster.describe("ha")
    cluster.prepare()
    yield cluster
    cluster.close()


@pytest.mark.parametrize("round_", range(-(-CUTS // _EACH)))
def test_power_cuts_at_random(prepared: Cluster, switch: Switch, round_: int) -> None:
    prepared.switch = switch
    cuts = plan(SEED, CUTS, prepared.names)[round_]
    print(f"\nSEED={SEED} CUTS={CUTS}, round {round_ + 1}: {'; '.join(map(str, cuts))}")
    try:
        began = prepared.start()
        for cut in cuts:
            time.sleep(cut.after)
            machines = [prepared.machine(name) for name in cut.victims]
            for machine in machines:
                machine.kill()
            lost = [power_cuts.tear(machine) if cut.torn else [] for machine in machines]
            for machine, files in zip(machines, lost, strict=True):
                step = machine.result.get("step") if machine.root.exists() else ""
                print(f"  {machine.name} in step {step or '-'}: lost {len(files)} files")
                machine.start()
        prepared.wait()
        assert sorted(prepared.ready()) == prepared.names
        assert prepared.etcd_members() == PLANES
        prepared.wait_for_pods()
        authorities = {
            (machine.root / "etc/kubernetes/pki/ca.crt").read_bytes()
            for machine in prepared.machines.values()
        }
        assert len(authorities) == 1
        print(f"\nafter {len(cuts)} cuts:\n{prepared.report(began)}")
    finally:
        prepared.reset()
