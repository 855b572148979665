"""Clusters that keep up their endpoint themselves, and what may be felt there of a breakage."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from e2e.cluster import Cluster, separate
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from e2e import watch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

ADDRESS, NAME = "10.211.55.60", "lb-apiserver.kubernetes.local"
CARRIED = {"address": ADDRESS, "by": "keepalived"}
PROXIED = {"name": NAME, "by": "local-proxy"}
ENDPOINTS: Mapping[str, tuple[dict[str, str], str]] = {
    "keepalived": (CARRIED, ADDRESS),
    "local-proxy": (PROXIED, NAME),
}
"""What cluster.yaml says, and the host that clients ask for."""
PLANES, WORKERS = ["k8s01", "k8s02", "k8s03"], ["k8s04", "k8s05"]
LONGEST = 10.0
"""Seconds that nobody may be without an answer."""
ELECTION = 5.0
"""So much longer until an API server calls itself healthy, wherever clients ask: etcd elects a
leader first, which takes 5 to 10 seconds with the walkthrough's election-timeout."""
LEASE = 4.0
"""Seconds after which VRRP counts a silent machine as gone: three words and a little."""


@contextmanager
def five(
    folder: Path,
    upstream: Upstream,
    image: RootImage,
    endpoint: dict[str, str] | None,
) -> Iterator[Cluster]:
    """Hold the five machines of the walkthrough, all powered on at the same moment."""

    def fit(document: dict[str, Any]) -> None:
        document["endpoint"] = endpoint or document["endpoint"]
        # as private clouds without load balancers are: user-data has to be small
        document.setdefault("seed", {})["provider"] = "openstack"

    with separate(folder, upstream, image) as cluster:
        cluster.describe("ha", fit)
        cluster.prepare()
        began = cluster.start()
        cluster.wait()
        print(f"\n{endpoint or 'k8s01'}, five at once:\n{cluster.report(began)}")
        cluster.end_window()
        cluster.wait_for_pods()
        yield cluster


def is_at(cluster: Cluster, host: str) -> None:
    """See every kubeconfig lead to the endpoint, which all nodes are Ready by."""
    await_moment(
        lambda: sorted(cluster.ready()) == sorted(cluster.names), "all to be Ready", patience=300
    )
    for name in cluster.names:
        machine = cluster.machine(name)
        confs = [*(machine.root / "etc/kubernetes").glob("*.conf")]
        assert len(confs) in {1, 4}
        for path in confs:
            assert f"server: https://{host}:6443\n" in path.read_text("utf-8"), f"{name}: {path}"
    proxies = cluster.kubectl("-n", "kube-system", "get", "configmap", "kube-proxy", "-o", "yaml")
    assert f"server: https://{host}:6443\n" in proxies
    known = cluster.kubectl("-n", "kube-public", "get", "configmap", "cluster-info", "-o", "yaml")
    assert f"server: https://{host}:6443\n" in known


def all_answer(seen: watch.Watch, gone: float) -> bool:
    """Tell whether all is answered at once, by when a question that nobody answers has ended."""
    now = time.time()
    return now - gone > LONGEST and all(
        answers.good_for > 3 and now - answers.last < 1 for answers in seen.answers().values()
    )


def hardly_noticed(
    seen: watch.Watch, holders: watch.Holders, still: tuple[float, float] | None = None
) -> None:
    """Hold gaps against their limits; who stood still could let go of nothing meanwhile."""
    found = seen.answers()
    assert found["version"].longest <= LONGEST, seen
    assert found["healthz"].longest <= LONGEST + ELECTION, seen
    for began, ended, names in holders.doubles():
        stood = min(ended, still[1]) - max(began, still[0]) if still else 0
        assert ended - began - max(0, stood) <= LEASE, f"{names}: {holders}"
