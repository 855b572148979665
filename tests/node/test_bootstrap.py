"""The runner: order, stamps, retries, and what a power cut at any moment leaves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

STEPS = [
    "before",
    "preflight",
    "host",
    "packages",
    "runtime",
    "images",
    "kubeadm",
    "addons",
    "after",
    "finish",
]


@pytest.fixture
def alone(first: Machine) -> Machine:
    """Give the only node of a cluster, whose packages are installed and whose images are pulled."""
    first.set(REGISTRY="registry.lan/k8s", UNTAINT="1", CNI="none")
    first.write("rpms", "kubeadm-1.18.5-0\n")
    first.set(PACKAGES="kubeadm-1.18.5-0")
    first.write("opt/airseed/bundle/SHA256SUMS", "")
    first.set(SUMS="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    first.write("joined-control-planes", "node/k8s01\n")
    return first


def test_a_single_node_comes_up(alone: Machine) -> None:
    ran = alone.run("bootstrap")
    assert ran.returncode == 0, ran.stdout
    assert alone.result["state"] == "done"
    assert [step["name"] for step in alone.result["steps"]] == sorted(STEPS)
    assert [line for line in ran.stdout.splitlines() if re.fullmatch(r"airseed: step \w+", line)] == [
        f"airseed: step {name}" for name in STEPS
    ]


def test_a_finished_node_does_nothing(alone: Machine) -> None:
    alone.run("bootstrap")
    (alone.folder / "calls").unlink()
    alone.set(GENERATION="2")  # a new instance-id on a finished node
    ran = alone.run("bootstrap")
    assert (ran.returncode, ran.stdout) == (0, "airseed: this node is finished, nothing to do\n")
    assert alone.calls == []
