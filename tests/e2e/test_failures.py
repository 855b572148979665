"""What goes wrong is said with step, cause and hint; after it is mended the same boot goes on."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from e2e import upstream as servers
from e2e.cluster import Cluster
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.machine import Machine, Switch
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

REGISTRY = "10.211.55.1:5000"
WORKER = "10.211.55.49"
STRANGER = "10.211.55.60"


@pytest.fixture(scope="module")
def prepared(workdir: Path, upstream: Upstream, image: RootImage) -> Iterator[Cluster]:
    """Hold a control plane and a worker."""

    def change(document: dict[str, Any]) -> None:
        document["nodes"][0]["address"] = "10.211.55.48"
        document["nodes"].append({"name": "worker", "role": "worker", "address": WORKER})

    cluster = Cluster(workdir / "failures", upstream, image)
    cluster.describe("single", change)
    cluster.prepare()
    yield cluster
    cluster.close()


@pytest.fixture
def two(prepared: Cluster, switch: Switch) -> Iterator[Cluster]:
    prepared.switch = switch
    yield prepared
    prepared.reset()


def _refusal(machine: Machine, step: str, message: str, hint: str) -> None:
    """See a step fail in result.json and on the console, with what is said about it."""
    pattern = re.compile(message)

    def refused() -> bool:
        result = machine.result
        return result.get("state") == "failed" and bool(pattern.search(result["message"]))

    try:
        await_moment(refused, f"{machine.name}: {message}", patience=180)
    except AssertionError as error:
        raise AssertionError(f"{error}: {machine.result}\n{machine.console[-2000:]}") from None
    result = machine.result
    assert result["step"] == step, result
    assert re.search(hint, result["hint"]), result
    assert result["exit_code"] != 0
    assert result["retry_in"] > 0
    # by way of journald, which may be behind
    words = (f"airseed: step {step} failed", result["hint"])
    await_moment(lambda: all(word in machine.console for word in words), "the console", patience=60)
    status = machine.sh("airseed-status", check=False)
    assert status.returncode == 1
    assert result["message"] in status.stdout
    assert result["hint"] in status.stdout


def test_a_port_that_is_taken(two: Cluster) -> None:
    machine = two.machine("test")
    machine.start()
    assert machine.cable
    words = ("python3", "-m", "http.server", "6443", "--bind", "127.0.0.1")
    with subprocess.Popen([*machine.cable.prefix, *words], stderr=subprocess.DEVNULL) as server:
        try:
            _refusal(machine, "preflight", "port 6443 is taken", "ss -ltnp shows it")
        finally:
            server.kill()
    two.wait(["test"])


def test_a_disk_that_is_too_small(two: Cluster) -> None:
    machine = two.other("test", "10.211.55.48", two.seed("test"), size=1024)
    two.machines["test"] = machine
    machine.start()
    _refusal(machine, "preflight", r"/var/lib has \d+ MiB free, this node needs 4096", "larger")
    machine.power_off()
    machine.grow(8192)
    machine.start()
    two.wait(["test"])


def test_a_wrong_hash_of_the_authority(two: Cluster) -> None:
    worker = two.machine("worker")
    seed = dict(two.seed("worker"))
    wrong = re.sub(rb"sha256:[0-9a-f]{64}", b"sha256:" + b"0" * 64, seed["user-data"])
    assert wrong != seed["user-data"]
    worker.insert({**seed, "user-data": wrong})
    two.start()
    _refusal(worker, "kubeadm", "kubeadm join failed", "CA differs from the one in the seed")
    path = worker.root / "etc/airseed/kubeadm.yaml"
    right = re.search(rb"sha256:[0-9a-f]{64}", seed["user-data"])
    assert right
    path.write_text(re.sub("sha256:0{64}", right[0].decode(), path.read_text()))
    two.wait()


def test_a_node_of_that_name_that_is_ready(two: Cluster) -> None:
    two.start()
    two.wait()
    seed = {
        name: text.replace(WORKER.encode(), STRANGER.encode())
        for name, text in two.seed("worker").items()
    }
    stranger = two.other("worker", STRANGER, seed)
    two.machines["stranger"] = stranger
    stranger.start()
    _refusal(stranger, "kubeadm", "a Node named worker is Ready", "give this one another")
    assert "worker" in two.ready()
    # the mend that the hint names: stop the other machine
    two.machines.pop("worker").wipe()
    two.machines["worker"] = two.machines.pop("stranger")
    two.wait()
    addresses = two.kubectl(
        "get", "node", "worker", "-o", "jsonpath={.status.addresses[*].address}"
    )
    assert STRANGER in addresses.split()


def test_a_registry_that_is_not_there_and_one_that_lacks_an_image(
    make_cluster: Maker, switch: Switch, workdir: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["registry"] = f"{REGISTRY}/mirror"
        document["machine"] = {"registry": {"ca": "registry.pem"}}

    folder = workdir / "wrong-registry"
    with make_cluster("registries") as cluster:
        cluster.describe("single", change)
        with servers.registry(folder, REGISTRY, inside=switch, tls=True) as certificate:
            shutil.copy(certificate, cluster.folder / "registry.pem")
        cluster.prepare()
        (name,) = cluster.names
        machine = cluster.machine(name)
        machine.start()
        _refusal(machine, "kubeadm", "kubeadm init failed", "is the registry reachable")
        with servers.registry(folder, REGISTRY, inside=switch, tls=True):
            cluster.fill(f"{REGISTRY}/mirror", switch, without="etcd")
            _refusal(machine, "kubeadm", "etcd", "the registry lacks this image")
            cluster.fill(f"{REGISTRY}/mirror", switch)
            cluster.wait()
            cluster.wait_for_pods()
