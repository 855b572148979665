"""The playbook of a change, run by Ansible over ssh: on all at once, and one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, ssh
from e2e.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.machine import Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0 ", re.MULTILINE)


@pytest.fixture
def five(workdir: Path, upstream: Upstream, image: RootImage, switch: Switch) -> Iterator[Cluster]:
    cluster = Cluster(workdir / "playbook", upstream, image, switch)
    try:
        cluster.stand()
        yield cluster
    finally:
        cluster.close()


def _to(release: str, before: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.update(kubernetes=release, changes={"from": before})


def _recap(text: str) -> dict[str, int]:
    """Return how many tasks changed something, by machine; all others were well."""
    return {name: int(changed) for name, _, changed in RECAP.findall(text)}


def test_ansible_runs_a_change(five: Cluster) -> None:
    key = ssh.make_key(five.folder)
    for machine in five.machines.values():
        ssh.let_in(machine, key)
    change = changes.write(five, _to("1.19.5", "1.18.5"))
    done = ssh.play(five, key, change)
    print(f"\nall at once:\n{done.stdout[-6000:]}")
    assert done.returncode == 0, five.account()
    assert _recap(done.stdout) == dict.fromkeys(five.names, 1)
    assert {*five.versions().values()} == {"v1.19.5"}
    five.wait_for_pods()

    again = ssh.play(five, key, change)
    assert again.returncode == 0, again.stdout
    assert _recap(again.stdout) == dict.fromkeys(five.names, 0)
    # what it brought back is what the next change begins with
    catalog = ("--catalog", str(five.upstream.catalog))
    five.airseed("changes", *catalog, code=0)

    def another(document: dict[str, Any]) -> None:
        server = document["kubeadm"]["ClusterConfiguration"]["apiServer"]
        server["certSANs"].append("api.example.com")

    change = changes.write(five, another)
    done = ssh.play(five, key, change, "-e", "airseed_serial=1")
    print(f"\none after another:\n{done.stdout[-6000:]}")
    assert done.returncode == 0, five.account()
