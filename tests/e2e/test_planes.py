"""Three control planes: the third is cut off while it joins, and the first is lost for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e import power_cuts
from e2e.cluster import Cluster, only
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Machine, Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

PLANES = ["k8s01", "k8s02", "k8s03"]
ENDPOINT = "10.211.55.48"
"""Of the cluster, and the address of its first machine."""
OTHER = "10.211.55.53"


@pytest.fixture
def planes(
    workdir: Path, upstream: Upstream, image: RootImage, switch: Switch
) -> Iterator[Cluster]:
    cluster = Cluster(workdir / "planes", upstream, image, switch)
    try:
        cluster.describe("ha", only(*PLANES))
        cluster.prepare()
        yield cluster
    finally:
        cluster.close()


def _second(cluster: Cluster) -> Machine:
    """Wait until one of the joiners is in, and give the other one."""
    joiners = [cluster.machine(name) for name in PLANES[1:]]

    def joined() -> list[Machine]:
        return [
            joiner for joiner in joiners if (joiner.root / "var/lib/airseed/stamps/joined").exists()
        ]

    await_moment(lambda: bool(joined()), "the first joiner's end")
    (first,) = joined()
    return next(joiner for joiner in joiners if joiner is not first)


def test_the_third_member_is_cut_off_while_it_joins(planes: Cluster) -> None:
    began = planes.start()
    victim = _second(planes)
    power_cuts.cut_between_member_and_etcd(planes, victim)
    victim.start()
    # on its way forward, once more
    power_cuts.cut_in_step(victim, "kubeadm", torn=True)
    victim.start()
    planes.wait()
    assert planes.etcd_members() == PLANES
    planes.wait_for_pods()
    print(f"\n{victim.name}, the third, cut twice:\n{planes.report(began)}")


def test_a_first_machine_that_is_lost_joins_as_its_hint_says(planes: Cluster) -> None:
    planes.start()
    planes.wait()
    planes.end_window()
    planes.machines.pop("k8s01").wipe()
    again = planes.machine("k8s01")
    again.start()
    await_moment(lambda: again.result.get("state") == "failed", "its refusal")
    hint = again.result["hint"]
    planes.machines.pop("k8s01").wipe()

    assert "one that runs has to take that over, and this machine needs another" in hint
    runs = planes.machine("k8s02")
    runs.sh("ip", "address", "add", f"{ENDPOINT}/24", "dev", "host0")
    assert "in cluster.yaml put another control plane above k8s01" in hint
    document = planes.document
    lost = next(node for node in document["nodes"] if node["name"] == "k8s01")
    document["nodes"].remove(lost)
    document["nodes"].append({**lost, "address": OTHER})
    (planes.folder / "cluster.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert "kubectl delete node k8s01 and etcdctl member remove what it was" in hint
    await_moment(lambda: "k8s02" in planes.ready(), "the cluster without its first machine", poll=1)
    planes.kubectl("delete", "node", "k8s01")
    _remove_member(runs, "k8s01")
    assert "airseed secrets --rotate token --rotate certificate-key, airseed seeds --node" in hint
    planes.airseed("secrets", "--rotate", "token", "--rotate", "certificate-key")
    planes.airseed("seeds", "--node", "k8s01", "--catalog", str(planes.upstream.catalog))
    script = planes.folder / "seeds" / "k8s01" / "admit.sh"
    runs.sh("bash", "-s", input=script.read_text())
    began = planes.start(["k8s01"])
    planes.wait()
    assert planes.etcd_members() == PLANES
    planes.wait_for_pods()
    print(f"\nk8s01 made anew, as a joiner:\n{planes.report(began)}")


def _remove_member(machine: Machine, name: str) -> None:
    """Do what ``etcdctl member remove`` does; the lab's image of etcd has no etcdctl."""
    pki = "/etc/kubernetes/pki/etcd"

    def ask(what: str, body: str) -> Any:
        words = (
            "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/peer.crt", "--key", f"{pki}/peer.key",
            "-X", "POST", "-d", body, f"https://{machine.address}:2379/v3/cluster/member/{what}",
        )  # fmt: skip
        return json.loads(machine.sh("curl", "-s", "-S", "--fail", *words).stdout)

    member = next(member for member in ask("list", "{}")["members"] if member["name"] == name)
    ask("remove", json.dumps({"ID": member["ID"]}))
