"""The Ansible inventory."""

from __future__ import annotations

import plans
import yaml

from builder.render import inventory


def test_groups_and_hosts() -> None:
    cluster = plans.plan(plans.example("ha")).cluster
    text = inventory.render(cluster)
    assert text == inventory.render(cluster)
    everything = yaml.safe_load(text)["all"]
    assert {name: [*group["hosts"]] for name, group in everything["children"].items()} == {
        "first": ["k8s01"],
        "control_plane": ["k8s01", "k8s02", "k8s03"],
        "worker": ["k8s04", "k8s05"],
    }
    assert everything["hosts"]["k8s05"] == {
        "ansible_host": "10.211.55.52",
        "airseed_addresses": ["10.211.55.52"],
        "airseed_generation": 1,
    }
    assert everything["vars"] == {
        "airseed_cluster": "cluster.local",
        "airseed_kubernetes": "1.18.5",
        "airseed_endpoint": "10.211.55.48:6443",
    }


def test_a_lone_node_without_an_address_and_no_workers() -> None:
    text = "kubernetes: 1.18.5\nnodes: [{name: a, role: control-plane}]\n"
    everything = yaml.safe_load(inventory.render(plans.plan(text).cluster))["all"]
    assert everything["hosts"] == {"a": {"airseed_generation": 1}}
    assert everything["children"]["worker"] == {"hosts": {}}
