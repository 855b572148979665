"""An endpoint that the machines carry themselves, and machines that break while clients ask it."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from e2e import changes, watch
from e2e.cluster import Cluster
from e2e.machine import Machine, Switch
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

ADDRESS, NAME = "10.211.55.60", "lb-apiserver.kubernetes.local"
CARRIED = {"address": ADDRESS, "by": "keepalived"}
PROXIED = {"name": NAME, "by": "local-proxy"}
ENDPOINTS: Mapping[str, tuple[dict[str, str], str]] = {
    "keepalived": (CARRIED, ADDRESS),
    "local-proxy": (PROXIED, NAME),
}
"""What cluster.yaml says, and the host that clients ask for."""
PLANES, WORKERS = ["k8s01", "k8s02", "k8s03"], ["k8s04", "k8s05"]
LATE = {"name": "k8s06", "role": "worker", "address": "10.211.55.53"}
NEXT = {"name": "k8s07", "role": "control-plane", "address": "10.211.55.54"}
LONGEST = 10.0
"""Seconds that nobody may be without an answer."""
ELECTION = 5.0
"""So much longer until an API server calls itself healthy, wherever clients ask: etcd elects a
leader first, which takes 5 to 10 seconds with the walkthrough's election-timeout."""
LEASE = 4.0
"""Seconds after which VRRP counts a silent machine as gone: three words and a little."""
BREAKS: Mapping[str, tuple[Callable[[Machine], None], Callable[[Machine], None]]] = {
    "switched off": (Machine.power_off, Machine.start),
    "cut off": (Machine.kill, Machine.start),
    "frozen": (Machine.freeze, Machine.thaw),
}
"""How a machine goes, and how it comes back."""


@contextmanager
def _five(
    folder: Path,
    upstream: Upstream,
    image: RootImage,
    endpoint: dict[str, str] | None,
) -> Iterator[Cluster]:
    """Hold the five machines of the walkthrough, all powered on at the same moment."""

    def fit(document: dict[str, Any]) -> None:
        document["endpoint"] = endpoint or document["endpoint"]

    switch = Switch()
    cluster = Cluster(folder, upstream, image, switch)
    try:
        cluster.describe("ha", fit)
        cluster.prepare()
        began = cluster.start()
        cluster.wait()
        print(f"\n{endpoint or 'k8s01'}, five at once:\n{cluster.report(began)}")
        cluster.end_window()
        cluster.wait_for_pods()
        yield cluster
    finally:
        cluster.close()
        switch.close()


@pytest.fixture(scope="module", params=ENDPOINTS)
def five(
    request: pytest.FixtureRequest,
    workdir: Path,
    upstream: Upstream,
    image: RootImage,
    conntrack: None,
) -> Iterator[Cluster]:
    endpoint, _ = ENDPOINTS[request.param]
    with _five(workdir / request.param, upstream, image, endpoint) as cluster:
        yield cluster


def _host(cluster: Cluster) -> str:
    endpoint: dict[str, str] = cluster.document["endpoint"]
    return endpoint.get("address") or endpoint["name"]


def _is_at(cluster: Cluster, host: str) -> None:
    """See every kubeconfig lead to the endpoint, which all nodes are Ready by."""
    await_moment(
        lambda: sorted(cluster.ready()) == sorted(cluster.names), "all to be Ready", patience=300
    )
    for name in cluster.names:
        machine = cluster.machine(name)
        names = ["kubelet.conf"]
        names += ["admin.conf"] if name in PLANES else []
        for conf in names:
            text = (machine.root / "etc/kubernetes" / conf).read_text("utf-8")
            assert f"server: https://{host}:6443\n" in text, f"{name}: {conf}"
    proxies = cluster.kubectl("-n", "kube-system", "get", "configmap", "kube-proxy", "-o", "yaml")
    assert f"server: https://{host}:6443\n" in proxies
    known = cluster.kubectl("-n", "kube-public", "get", "configmap", "cluster-info", "-o", "yaml")
    assert f"server: https://{host}:6443\n" in known


def _is_heard(cluster: Cluster, name: str, moment: float) -> bool:
    """Tell whether kubelet of a node has said since a moment that it is Ready."""
    words = ("-n", "kube-node-lease", "get", "lease", name, "-o", "jsonpath={.spec.renewTime}")
    heard = cluster.kubectl(*words, check=False)
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return name in cluster.ready() and heard[:4] == since[:4] and heard > since


def test_all_machines_join_through_the_endpoint(five: Cluster) -> None:
    _is_at(five, _host(five))
    assert five.etcd_members() == PLANES
    for name in WORKERS:
        said = five.machine(name).sh(
            "curl", "-s", "--cacert", "/etc/kubernetes/pki/ca.crt", f"https://{_host(five)}:6443/healthz"
        )  # fmt: skip
        assert said.stdout == "ok"


@pytest.mark.parametrize("how", BREAKS)
def test_clients_hardly_notice_that_a_machine_goes(five: Cluster, how: str) -> None:
    go, come_back = BREAKS[how]
    host, client = _host(five), five.machine("k8s04")
    with watch.asked(client, host) as seen, watch.held(five, host) as holders:
        if host == ADDRESS:
            await_moment(lambda: holders.now() == ("k8s01",), "k8s01 to have the address again")
        # the first of etcd's members leads it, as a rule: another has to, too
        first, second = five.machine("k8s01"), five.machine("k8s02")
        gone = time.time()
        go(first)
        await_moment(lambda: _answers(seen, gone), "answers again", patience=60, poll=1)
        assert "k8s04" in second.sh("kubectl", "--request-timeout=20s", "get", "nodes").stdout
        back = time.time()
        come_back(first)
        await_moment(lambda: _is_heard(five, "k8s01", back), "k8s01", patience=300, poll=1)
        five.wait_for_pods()
    print(f"\nk8s01 {how}:\n{seen}\n  {host}: {holders}")
    _hardly_noticed(seen, holders, still=(gone, back) if how == "frozen" else None)


def _answers(seen: watch.Watch, gone: float) -> bool:
    """Tell whether all is answered at once, by when a question that nobody answers has ended."""
    now = time.time()
    return now - gone > LONGEST and all(
        answers.good_for > 3 and now - answers.last < 1 for answers in seen.answers().values()
    )


def _hardly_noticed(
    seen: watch.Watch, holders: watch.Holders, still: tuple[float, float] | None = None
) -> None:
    """Hold gaps against their limits; who stood still could let go of nothing meanwhile."""
    found = seen.answers()
    assert found["version"].longest <= LONGEST, seen
    assert found["healthz"].longest <= LONGEST + ELECTION, seen
    for began, ended, names in holders.doubles():
        stood = min(ended, still[1]) - max(began, still[0]) if still else 0
        assert ended - began - max(0, stood) <= LEASE, f"{names}: {holders}"


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
    _is_at(five, _host(five))
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
    _is_at(five, host)
    _hardly_noticed(seen, holders)


def _change(cluster: Cluster, without: str = "") -> Path:
    """Write the change that cluster.yaml asks for, run it on all machines at once, record it."""
    catalog = ("--catalog", str(cluster.upstream.catalog))
    print(cluster.airseed("changes", *catalog, "--write", code=5))
    change = changes.folder(cluster)
    names = [path.stem for path in change.glob("*.sh") if path.stem != without]
    began = time.time()
    for name, done in changes.start(cluster, change, sorted(names)).items():
        print(f"--- {name}: exit {done.returncode}\n{done.stdout[-3000:]}")
        assert done.returncode == 0, cluster.account()
    print(f"{change.name}: {time.time() - began:.0f} s")
    cluster.airseed("changes", *catalog, "--applied", change.name, code=None)
    return change


@pytest.mark.parametrize("by", ENDPOINTS)
def test_the_walkthroughs_cluster_gets_one_and_loses_its_first_machine(
    workdir: Path, upstream: Upstream, image: RootImage, conntrack: None, by: str
) -> None:
    endpoint, host = ENDPOINTS[by]
    with _five(workdir / f"moved-{by}", upstream, image, None) as five:
        change = changes.write(five, lambda document: document.update(endpoint=endpoint))
        shutil.rmtree(change)
        with watch.watched(five, PLANES, []) as seen:
            change = _change(five)
        print(f"\nmoving to {host}:\n{seen}")
        changes.collect(five, change)
        five.airseed("changes", "--catalog", str(five.upstream.catalog), code=0)
        _is_at(five, host)
        five.wait_for_pods()
        for name in five.names:
            said = five.machine(name).sh(
                "grep", "-r", "10.211.55.48:6443", "/etc/kubernetes", check=False
            )
            assert said.returncode != 0, said.stdout

        with watch.asked(five.machine("k8s04"), host) as seen, watch.held(five, host) as holders:
            gone = time.time()
            five.machine("k8s01").kill()
            await_moment(lambda: _answers(seen, gone), "answers again", patience=60, poll=1)
        print(f"\nk8s01 is gone for good:\n{seen}\n  {host}: {holders}")
        _hardly_noticed(seen, holders)
        _replace_first(five)
        _is_at(five, host)
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
