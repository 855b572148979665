"""Calico on the real API server, by the operator and by the plain manifest.

Its programs can't be had here, so no node becomes Ready: images with their names only wait. Its
manifests are the real ones where they lie beside the project, else the lab's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import upstream as servers
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Machine, Switch

    Maker = Callable[..., AbstractContextManager[Cluster]]

REGISTRY = "10.211.55.1:5000"
PREFIX = f"{REGISTRY}/mirror"
PODS = "192.168.0.0/16"

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("install", ["operator", "manifest"])
def test_calico_is_applied(
    make_cluster: Maker, switch: Switch, workdir: Path, install: str
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["registry"] = PREFIX
        document["machine"] = {"registry": {"ca": "registry.pem"}}
        document["cni"] = {"name": "calico", "version": 3.18, "install": install}
        del document["extra"]

    with (
        make_cluster(f"calico-{install}") as cluster,
        servers.registry(
            workdir / f"calico-registry-{install}", REGISTRY, inside=switch, tls=True
        ) as certificate,
    ):
        cluster.describe("single", change)
        (cluster.folder / "registry.pem").write_bytes(certificate.read_bytes())
        cluster.prepare()
        cluster.fill(PREFIX, switch)
        cluster.start()
        (machine,) = cluster.machines.values()
        await_moment(lambda: "airseed: step addons is done" in machine.console, "Calico", poll=0.5)
        _check_definitions(cluster)
        if install == "operator":
            _check_operator(cluster)
        else:
            _check_manifest(cluster)
        _check_images(cluster)
        if install == "operator":
            _try(machine, cluster.upstream.stock / "calico/calico.yaml")
        await_moment(
            lambda: machine.result.get("waiting_for") == "this node to be Ready",
            "the wait for a network",
            poll=0.5,
        )


def _check_definitions(cluster: Cluster) -> None:
    definitions = json.loads(cluster.kubectl("get", "crd", "-o", "json"))["items"]
    assert definitions
    for definition in definitions:
        states = {state["type"]: state["status"] for state in definition["status"]["conditions"]}
        assert states["Established"] == "True", definition["metadata"]["name"]


def _check_operator(cluster: Cluster) -> None:
    installation = json.loads(cluster.kubectl("get", "installation", "default", "-o", "json"))
    assert installation["spec"]["registry"] == f"{PREFIX}/"
    assert [pool["cidr"] for pool in installation["spec"]["calicoNetwork"]["ipPools"]] == [PODS]
    words = ("-n", "tigera-operator", "get", "deployment", "tigera-operator", "-o", "json")
    assert json.loads(cluster.kubectl(*words))["spec"]["replicas"] == 1


def _check_manifest(cluster: Cluster) -> None:
    words = ("-n", "kube-system", "get", "daemonset", "calico-node", "-o", "json")
    daemonset = json.loads(cluster.kubectl(*words))
    (node,) = daemonset["spec"]["template"]["spec"]["containers"]
    values = {variable["name"]: variable.get("value") for variable in node["env"]}
    assert values["CALICO_IPV4POOL_CIDR"] == PODS


def _check_images(cluster: Cluster) -> None:
    """No pod that anything in the cluster wants asks for an image from outside."""
    kinds = "deployments,daemonsets,pods"
    objects = json.loads(cluster.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    specs = [
        item["spec"]["template"]["spec"] if "template" in item["spec"] else item["spec"]
        for item in objects
    ]
    images = {
        container["image"]
        for spec in specs
        for kind in ("containers", "initContainers")
        for container in spec.get(kind, ())
    }
    assert any("calico" in image or "tigera" in image for image in images)
    assert all(image.startswith(f"{PREFIX}/") for image in images), images


def _try(machine: Machine, file: Path) -> None:
    """Let the API server look at the plain manifest without keeping it."""
    done = machine.sh(
        "kubectl", "apply", "--dry-run=server", "-f", "-", input=file.read_text("utf-8")
    )
    accepted = [line for line in done.stdout.splitlines() if "(server dry run)" in line]
    kinds = {line.partition("/")[0] for line in accepted}
    assert {"daemonset.apps", "deployment.apps"} <= kinds, done.stdout
