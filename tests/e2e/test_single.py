"""Section 1 of the walkthrough: one machine, which runs pods itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from e2e import leaks, traffic, upstream
from e2e.power_cuts import await_moment
from e2e.resources import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Switch

    Maker = Callable[..., AbstractContextManager[Cluster]]

REGISTRY = "10.211.55.1:5000"
WEB = "10.211.55.1:8080"
HOME = "10.211.55.1:8081"
PAIR = ["k8s01", "k8s04"]

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("payload", ["baked", "disk"])
def test_one_machine_becomes_a_cluster(make_cluster: Maker, payload: str) -> None:
    with make_cluster(f"single-{payload}", payload=payload, gateway=payload == "baked") as cluster:
        cluster.describe("single")
        cluster.prepare()
        began = cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        print(f"\nsingle, docker, {payload}:\n{cluster.report(began)}")
        # without a gateway and a nameserver, too
        traffic.check_dns(cluster, "10.96.0.10", "cluster.local", "10.96.0.1")
        (name,) = cluster.names
        node = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
        assert "taints" not in node["spec"]
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.18.5"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("docker://")
        assert cluster.etcd_members() == [name]


def test_one_machine_takes_the_bundle_from_a_web_server(
    make_cluster: Maker, switch: Switch, workdir: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["seed"] = {"url": f"http://{WEB}/bundle", "phone-home": f"http://{HOME}/"}

    with make_cluster("single-url", payload="url") as cluster:
        cluster.describe("single", change)
        cluster.prepare()
        root = workdir / "web-root"
        root.mkdir()
        (root / "bundle").symlink_to(cluster.folder / "unpacked")
        heard = workdir / "heard"
        words = (sys.executable, str(DATA / "hear.py"), *HOME.split(":"), str(heard))
        with (
            upstream.web(workdir / "web", root, WEB, inside=switch),
            subprocess.Popen([*switch.prefix, *words]) as hearer,
        ):
            try:
                began = cluster.start()
                cluster.wait()
                await_moment(lambda: _states(heard)[-1:] == ["done"], "the word home", patience=30)
            finally:
                hearer.kill()
        assert {line["authorization"] for line in _heard(heard)} == {
            f"Bearer {leaks.secrets(cluster)['phone-home token']}"
        }
        states = _states(heard)
        assert states.count("done") == 1
        assert {"running", "done"} <= set(states) <= {"running", "waiting", "done"}
        cluster.wait_for_pods()
        print(f"\nsingle, docker, by URL:\n{cluster.report(began)}")
        (machine,) = cluster.machines.values()
        assert not (machine.root / "var/lib/airseed/payload").exists()


def _states(heard: Path) -> list[str]:
    """Return the states that a machine has told, in order."""
    return [line["state"] for line in _heard(heard)]


def _heard(heard: Path) -> list[dict[str, Any]]:
    lines = heard.read_text("utf-8").splitlines() if heard.exists() else []
    return [json.loads(line) for line in lines]


def test_a_control_plane_and_a_worker_with_containerd(make_cluster: Maker) -> None:
    def change(document: dict[str, Any]) -> None:
        document["runtime"] = {"name": "containerd", "version": "1.2.13"}
        document["nodes"] = [node for node in document["nodes"] if node["name"] in PAIR]

    with make_cluster("containerd") as two:
        two.describe("ha", change)
        two.prepare()
        began = two.start()
        two.wait()
        two.wait_for_pods()
        print(f"\ntwo, containerd, baked:\n{two.report(began)}")
        assert sorted(two.ready()) == PAIR
        for name in PAIR:
            node = json.loads(two.kubectl("get", "node", name, "-o", "json"))
            runtime = node["status"]["nodeInfo"]["containerRuntimeVersion"]
            assert runtime.startswith("containerd://")
        traffic.check_dns(two, "10.233.0.10", "cluster.local", "10.233.0.1")


def test_one_machine_pulls_its_images_from_an_internal_registry(
    make_cluster: Maker, switch: Switch, workdir: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["registry"] = f"{REGISTRY}/mirror"
        document["machine"] = {"registry": {"ca": "registry.pem"}}

    folder = workdir / "internal-registry"
    with (
        make_cluster("single-registry") as cluster,
        upstream.registry(folder, REGISTRY, inside=switch, tls=True) as certificate,
    ):
        cluster.describe("single", change)
        shutil.copy(certificate, cluster.folder / "registry.pem")
        cluster.prepare()
        cluster.fill(f"{REGISTRY}/mirror", switch)
        began = cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        print(f"\nsingle, docker, images from a registry:\n{cluster.report(began)}")
        images = cluster.pod_images()
        assert images
        assert {image.rpartition("/")[0] for image in images} <= {
            f"{REGISTRY}/mirror", f"{REGISTRY}/mirror/flannel",
        }  # fmt: skip
        names = (
            cluster.machine(*cluster.names)
            .sh("docker", "images", "--format", "{{.Repository}}")
            .stdout
        )
        assert all(name.startswith(f"{REGISTRY}/mirror") for name in names.split())
