"""Section 2 of the walkthrough: three control planes and two workers, all started at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e import leaks, traffic
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from e2e.cluster import Cluster

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

PLANES = ["k8s01", "k8s02", "k8s03"]


def test_five_machines_started_at_once_become_a_cluster(make_cluster: Maker) -> None:
    with make_cluster("five", payload="baked") as five:
        five.describe("ha")
        five.prepare()
        began = five.start()
        with leaks.watched(five):
            five.wait()
        print(f"\nfive at once, docker, baked:\n{five.report(began)}")
        assert sorted(five.ready()) == [*PLANES, "k8s04", "k8s05"]
        assert five.etcd_members() == PLANES
        five.wait_for_pods()
        traffic.check_dns(five, "10.233.0.10", "cluster.local", "10.233.0.1")
        traffic.check_pods(five, "k8s.gcr.io/coredns:1.6.7")
        # the first machine keeps the certificate key until all control planes are in
        first = five.machine("k8s01")
        await_moment(
            (first.root / "var/lib/airseed/stamps/closed").exists, "the window's end", patience=180
        )
        assert "kubeadm-certs" not in five.kubectl("-n", "kube-system", "get", "secrets")
        _check_status(five)
        for machine in five.machines.values():
            leaks.check_logs(five, machine)
            leaks.check_files(five, machine)


def _check_status(cluster: Cluster) -> None:
    """See the operator's table, from what machines recorded and from what their consoles showed."""
    results = [
        str(machine.root / "var/lib/airseed/result.json") for machine in cluster.machines.values()
    ]
    consoles = [str(machine.folder / "console.log") for machine in cluster.machines.values()]
    for files in (results, consoles):
        rows = json.loads(cluster.airseed("status", *files, "--json"))
        assert sorted((row["node"], row["state"]) for row in rows) == [
            (name, "done") for name in cluster.names
        ]
    assert "k8s05" in cluster.airseed("status", *results)
