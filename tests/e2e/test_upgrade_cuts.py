"""Power cuts while a cluster is upgraded: in every step of every role, at random, all at once."""

from __future__ import annotations

import os
import random
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, power_cuts
from e2e.cluster import Cluster, only
from e2e.power_cuts import cut_in_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s02", "k8s04"]
OLD, NEW = "1.18.5", "1.19.5"
BUSY = ("upgrade", "drain", "kubelet", "settle")
"""Steps that disturb, which one control plane at a time may be in."""
STEPS = ("examine", "images", "tools", "turn", *BUSY)
"""Those that take long enough to be hit."""
CUTS = int(os.environ.get("CUTS", "10"))
SEED = os.environ.get("SEED") or secrets.token_hex(4)
_LONGEST = 40.0
_LATER = 1.0
"""Seconds in a step before the cut."""
_PATIENCE = 2400
_ALL = 0.2


def _newer(document: dict[str, Any]) -> None:
    document["kubernetes"] = NEW
    document["changes"] = {"from": OLD}


class Prepared:
    """A cluster's seeds and its change, each with the bundle that it goes with."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.planes = [name for name in cluster.names if name < "k8s04"]
        self._old = cluster.folder / "old.tar"
        (cluster.folder / "bundle.tar").rename(self._old)
        self.change = changes.write(cluster, _newer)

    def boot(self) -> None:
        """Have the first day over."""
        changes.bring(self.cluster, self._old)
        self.cluster.start()
        self.cluster.wait()
        self.cluster.end_window()
        self.cluster.wait_for_pods()
        changes.bring(self.cluster)

    def begin(self) -> None:
        """Start the change on all machines, and leave them."""
        for name, done in changes.start(self.cluster, self.change, None, "--no-wait").items():
            assert done.returncode == 0, f"{name}: {done.stdout}"
        # by then all that the scripts laid down is on the disk
        power_cuts.await_moment(
            lambda: all(
                changes.stamped(self.cluster.machine(name), self.change, 1, "agree")
                for name in self.cluster.names
            ),
            "all to agree",
            poll=0.1,
        )

    def check(self) -> None:
        """It converges by itself: one cluster of the new release, nobody left cordoned."""
        cluster = self.cluster

        def done() -> bool:
            self.look()
            return all(
                changes.is_done(cluster.machine(name), self.change) for name in cluster.names
            )

        try:
            power_cuts.await_moment(done, "the end of the change", patience=_PATIENCE, poll=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{cluster.account()}") from error
        power_cuts.await_moment(
            lambda: sorted(cluster.ready()) == cluster.names, "all nodes", patience=300, poll=1
        )
        assert {*cluster.versions().values()} == {f"v{NEW}"}
        assert cluster.etcd_members() == self.planes
        cordoned = cluster.kubectl("get", "nodes", "--field-selector=spec.unschedulable=true")
        assert "k8s0" not in cordoned
        cluster.wait_for_pods(patience=300)
        assert changes.call(cluster.machine("k8s01")).returncode == 0

    def look(self) -> None:
        """See that never two control planes are in the steps that disturb."""
        busy = [
            f"{name} in {result['step']}"
            for name in self.planes
            if (result := self.cluster.machine(name).result).get("plan") == "upgrade"
            and result.get("state") != "done"
            and result.get("step") in BUSY
        ]
        assert len(busy) < 2, busy

    def cut_each(self, names: list[str], *, torn: bool) -> None:
        """Pull the plug of each machine once in each of its steps, whichever comes first."""
        left = {name: list(STEPS) for name in names}
        seen = set()
        end = time.monotonic() + _PATIENCE
        while any(left.values()):
            assert time.monotonic() < end, f"left: {left}\n{self.cluster.account()}"
            self.look()
            for name, steps in left.items():
                machine = self.cluster.machine(name)
                result = machine.result
                if result.get("plan") != "upgrade" or result["updated"] < machine.started:
                    continue
                over = {step["name"] for step in result["steps"]} | {None}
                while steps and steps[0] != result["step"] and steps[0] in over:
                    print(f"  {name}: too late for {steps.pop(0)}")
                if not steps or result["step"] != steps[0]:
                    continue
                time.sleep(_LATER)
                machine.kill()
                lost = power_cuts.tear(machine) if torn else []
                seen.add(steps.pop(0))
                print(f"  {name} cut in {result['step']}{': lost ' * torn}{', '.join(lost)}")
                machine.start()
            time.sleep(0.02)
        assert seen == {*STEPS}


@pytest.fixture(scope="module")
def three(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Prepared]:
    cluster = Cluster(workdir / "upgrade-cuts", upstream, image)
    cluster.describe("ha", only(*NODES))
    cluster.prepare()
    yield Prepared(cluster)
    cluster.close()


@pytest.fixture(scope="module")
def five(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Prepared]:
    cluster = Cluster(workdir / "upgrade-random", upstream, image)
    cluster.describe("ha")
    cluster.prepare()
    yield Prepared(cluster)
    cluster.close()


@pytest.mark.parametrize("torn", [False, True], ids=["cut", "torn"])
def test_a_power_cut_in_each_step_of_each_role(
    three: Prepared, switch: Switch, *, torn: bool
) -> None:
    three.cluster.switch = switch
    try:
        three.boot()
        began = time.time()
        three.begin()
        three.cut_each(NODES, torn=torn)
        three.check()
        print(changes.table(three.cluster, three.change, began))
    finally:
        three.cluster.reset()


@pytest.mark.parametrize("machines", ["three", "five"])
def test_all_lose_their_power_at_once(
    request: pytest.FixtureRequest, switch: Switch, machines: str
) -> None:
    """While a control plane is at its turn, and again while a worker is."""
    prepared: Prepared = request.getfixturevalue(machines)
    cluster = prepared.cluster
    cluster.switch = switch
    try:
        prepared.boot()
        began = time.time()
        prepared.begin()
        for name in ("k8s02", "k8s04"):
            cut_in_step(cluster.machine(name), "kubelet", plan="upgrade", later=_LATER)
            for machine in cluster.machines.values():
                machine.kill()
            cluster.start()
        prepared.check()
        print(changes.table(cluster, prepared.change, began))
    finally:
        cluster.reset()


def test_power_cuts_at_random(five: Prepared, switch: Switch) -> None:
    five.cluster.switch = switch
    chance = random.Random(SEED)
    names = five.cluster.names
    print(f"\nSEED={SEED} CUTS={CUTS}")
    try:
        five.boot()
        five.begin()
        for _ in range(CUTS):
            time.sleep(chance.uniform(1, _LONGEST))
            victims = names if chance.random() < _ALL else [chance.choice(names)]
            torn = chance.random() < 0.5
            machines = [five.cluster.machine(name) for name in victims]
            for machine in machines:
                machine.kill()
            for machine in machines:
                lost = power_cuts.tear(machine) if torn else []
                step = machine.result.get("step")
                print(f"  {machine.name} in step {step or '-'}: lost {len(lost)} files")
                machine.start()
        five.check()
    finally:
        five.cluster.reset()
