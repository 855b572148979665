"""Section 3.3 of the walkthrough: machines, pods and services with an address of each family."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import traffic
from e2e.resources import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from e2e.cluster import Cluster

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

NODES = ["k8s01", "k8s04", "k8s05"]
PODS = ["10.222.0.0/18", "fd00:222::/56"]
SERVICES = ["10.233.0.0/18", "fd00:233::/112"]
_UNIT = """[Service]
ExecStart=/usr/local/sbin/bridge /etc/addresses
[Install]
WantedBy=multi-user.target
"""


def describe(document: dict[str, Any]) -> None:
    """Give everything two families; the network is what a user has without a network plugin."""
    document["network"] |= {"pods": PODS, "services": SERVICES}
    document["nodes"] = [node for node in document["nodes"] if node["name"] in NODES]
    for node in document["nodes"]:
        address = node["address"]
        node["address"] = [address, f"fd00:55::{address.rpartition('.')[2]}"]
    del document["extra"]
    table = "".join(f"{node['name']} {' '.join(node['address'])}\n" for node in document["nodes"])
    script = (DATA / "bridge.sh").read_text("utf-8")
    document["machine"] = {
        "files": [
            {"path": "/etc/addresses", "content": table},
            {"path": "/usr/local/sbin/bridge", "content": script, "permissions": "0755"},
            {"path": "/etc/systemd/system/bridge.service", "content": _UNIT},
        ],
        "commands": {"after": ["systemctl enable --now bridge.service"]},
    }


def test_both_families_are_answered_where_they_are_alpha(make_cluster: Maker) -> None:
    """1.18.5 with the gate on every component (kubernetes#93446 doubts that it does anything)."""
    with make_cluster("dual") as three:
        three.describe("ha", describe)
        three.prepare()
        began = three.start()
        three.wait()
        three.wait_for_pods()
        print(f"\nthree, two families, 1.18.5:\n{three.report(began)}")
        check_families(three, {"four": "ipFamily: IPv4", "six": "ipFamily: IPv6"})


def check_families(cluster: Cluster, services: dict[str, str]) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    for node in nodes:
        assert [":" in text for text in node["spec"]["podCIDRs"]] == [False, True], node["spec"]
    with traffic.probes(cluster, "k8s.gcr.io/coredns:1.6.7") as pods:
        print(f"pods: {pods}")
        for addresses in pods.values():
            assert [":" in address for address in addresses] == [False, True], pods
        for name, family in services.items():
            traffic.check_service(cluster, pods, name, family)
