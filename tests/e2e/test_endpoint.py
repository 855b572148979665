"""An endpoint that the machines carry themselves, and machines that break while clients ask it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, endpoints, watch
from e2e.machine import Machine
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

LATE = {"name": "k8s06", "role": "worker", "address": "10.211.55.53"}
BREAKS: Mapping[str, tuple[Callable[[Machine], None], Callable[[Machine], None]]] = {
    "switched off": (Machine.power_off, Machine.start),
    "cut off": (Machine.kill, Machine.start),
    "frozen": (Machine.freeze, Machine.thaw),
}
"""How a machine goes, and how it comes back."""


@pytest.fixture(scope="module", params=endpoints.ENDPOINTS)
def five(
    request: pytest.FixtureRequest,
    workdir: Path,
    upstream: Upstream,
    image: RootImage,
    conntrack: None,
) -> Iterator[Cluster]:
    endpoint, _ = endpoints.ENDPOINTS[request.param]
    with endpoints.five(workdir / request.param, upstream, image, endpoint) as cluster:
        yield cluster


def _host(cluster: Cluster) -> str:
    endpoint: dict[str, str] = cluster.document["endpoint"]
    return endpoint.get("address") or endpoint["name"]


def _is_heard(cluster: Cluster, name: str, moment: float) -> bool:
    """Tell whether kubelet of a node has said since a moment that it is Ready."""
    words = ("-n", "kube-node-lease", "get", "lease", name, "-o", "jsonpath={.spec.renewTime}")
    heard = cluster.kubectl(*words, check=False)
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return name in cluster.ready() and heard[:4] == since[:4] and heard > since


def test_all_machines_join_through_the_endpoint(five: Cluster) -> None:
    endpoints.is_at(five, _host(five))
    assert five.etcd_members() == endpoints.PLANES
    for name in endpoints.WORKERS:
        said = five.machine(name).sh(
            "curl", "-s", "--cacert", "/etc/kubernetes/pki/ca.crt", f"https://{_host(five)}:6443/healthz"
        )  # fmt: skip
        assert said.stdout == "ok"


@pytest.mark.parametrize("how", BREAKS)
def test_clients_hardly_notice_that_a_machine_goes(five: Cluster, how: str) -> None:
    go, come_back = BREAKS[how]
    host, client = _host(five), five.machine("k8s04")
    with watch.asked(client, host) as seen, watch.held(five, host) as holders:
        if host == endpoints.ADDRESS:
            await_moment(lambda: holders.now() == ("k8s01",), "k8s01 to have the address again")
        # the first of etcd's members leads it, as a rule: another has to, too
        first, second = five.machine("k8s01"), five.machine("k8s02")
        gone = time.time()
        go(first)
        await_moment(lambda: endpoints.all_answer(seen, gone), "answers again", patience=60, poll=1)
        assert "k8s04" in second.sh("kubectl", "--request-timeout=20s", "get", "nodes").stdout
        back = time.time()
        come_back(first)
        await_moment(lambda: _is_heard(five, "k8s01", back), "k8s01", patience=300, poll=1)
        five.wait_for_pods()
    print(f"\nk8s01 {how}:\n{seen}\n  {host}: {holders}")
    endpoints.hardly_noticed(seen, holders, still=(gone, back) if how == "frozen" else None)


def test_a_node_joins_while_the_first_machine_is_off(five: Cluster) -> None:
    first, second = five.machine("k8s01"), five.machine("k8s02")
    first.power_off()
    changes.edit(five, lambda document: document["nodes"].append(LATE))
    five.airseed("secrets", "--rotate", "token", "--rotate", "certificate-key")
    five.airseed("seeds", "--node", LATE["name"], "--catalog", str(five.upstream.catalog))
    script = five.folder / "seeds" / LATE["name"] / "admit.sh"
    await_moment(
        lambda: second.sh("bash", "-s", input=script.read_text(), check=False).returncode == 0,
        "k8s06 to be let in",
        patience=120,
        poll=2,
    )
    five.start([LATE["name"]])
    five.wait([LATE["name"]])
    first.start()
    endpoints.is_at(five, _host(five))
    five.wait_for_pods()


def test_clients_hardly_notice_an_upgrade(five: Cluster) -> None:
    host = _host(five)

    def newer(document: dict[str, Any]) -> None:
        document["kubernetes"] = "1.19.5"
        document["changes"] = {"from": "1.18.5"}

    change = changes.write(five, newer)
    with watch.asked(five.machine("k8s04"), host) as seen, watch.held(five, host) as holders:
        said = changes.start(five, change)
    print(f"\nupgrade:\n{seen}\n  {host}: {holders}")
    assert {done.returncode for done in said.values()} == {0}, five.account()
    assert set(five.versions().values()) == {"v1.19.5"}
    endpoints.is_at(five, host)
    endpoints.hardly_noticed(seen, holders)
