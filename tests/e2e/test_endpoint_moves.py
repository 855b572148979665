"""The walkthrough's cluster, whose endpoint is k8s01, gets another one and loses k8s01."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from e2e import changes, endpoints, watch
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

NEXT = {"name": "k8s07", "role": "control-plane", "address": "10.211.55.54"}


def _change(cluster: Cluster, without: str = "") -> None:
    """See the change through that cluster.yaml asks for, and record it."""
    catalog = ("--catalog", str(cluster.upstream.catalog))
    print(cluster.airseed("changes", *catalog, "--write", code=5))
    change = changes.folder(cluster)
    scripts = sorted(path.stem for path in change.glob("*.sh") if path.stem != without)
    changes.go_through(cluster, change, scripts)
    cluster.airseed("changes", *catalog, "--applied", change.name, code=None)


@pytest.mark.parametrize("by", endpoints.ENDPOINTS)
def test_the_walkthroughs_cluster_gets_one_and_loses_its_first_machine(
    workdir: Path, upstream: Upstream, image: RootImage, conntrack: None, by: str
) -> None:
    endpoint, host = endpoints.ENDPOINTS[by]
    with endpoints.five(workdir / f"moved-{by}", upstream, image, None) as five:
        change = changes.write(five, lambda document: document.update(endpoint=endpoint))
        with watch.watched(five, endpoints.PLANES, []) as seen:
            changes.go_through(five, change)
        print(f"\nmoving to {host}:\n{seen}")
        changes.collect(five, change)
        five.airseed("changes", "--catalog", str(five.upstream.catalog), code=0)
        endpoints.is_at(five, host)
        five.wait_for_pods()

        with watch.asked(five.machine("k8s04"), host) as seen, watch.held(five, host) as holders:
            gone = time.time()
            five.machine("k8s01").kill()
            await_moment(
                lambda: endpoints.all_answer(seen, gone), "answers again", patience=60, poll=1
            )
        print(f"\nk8s01 is gone for good:\n{seen}\n  {host}: {holders}")
        endpoints.hardly_noticed(seen, holders)
        _replace_first(five)
        endpoints.is_at(five, host)
        five.wait_for_pods()
        assert five.etcd_members() == ["k8s02", "k8s03", NEXT["name"]]


def _replace_first(cluster: Cluster) -> None:
    """Take k8s01 out, which is dead; tell the others of its successor, and let that in."""
    changes.edit(cluster, lambda document: document["nodes"].pop(0))
    _change(cluster, without="k8s01")
    cluster.machines.pop("k8s01").wipe()
    changes.edit(cluster, lambda document: document["nodes"].append(NEXT))
    _change(cluster)
    name = NEXT["name"]
    cluster.airseed("secrets", "--rotate", "token", "--rotate", "certificate-key")
    cluster.airseed("seeds", "--node", name, "--catalog", str(cluster.upstream.catalog))
    script = cluster.folder / "seeds" / name / "admit.sh"
    cluster.machine("k8s02").sh("bash", "-s", input=script.read_text())
    cluster.start([name])
    cluster.wait([name])
