"""What kubelet is told about a full disk, and what preflight counts for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml

from builder.render import kubeadm
from builder.render.cloudinit import values

if TYPE_CHECKING:
    from builder.render.plan import Plan

NODES = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1}
  - {name: b, role: worker, address: 10.0.0.2}
"""
OURS = {
    "memory.available": "100Mi",
    "nodefs.available": "1Gi",
    "nodefs.inodesFree": "2%",
    "imagefs.available": "1Gi",
}


def kubelet(plan: Plan) -> Any:
    documents = yaml.safe_load_all(kubeadm.text(plan, plan.first))
    return next(one for one in documents if one["kind"] == "KubeletConfiguration")


def kept(plan: Plan, name: str) -> str:
    node = next(node for node in plan.cluster.nodes if node.name == name)
    lines = dict(line.split("=", 1) for line in values.env(plan, node).splitlines())
    return lines["AIRSEED_KEEP_FREE"].strip("'")


def configured(text: str) -> str:
    return f"{NODES}kubeadm:\n  KubeletConfiguration:\n    {text}\n"


def test_images_of_the_bundle_are_taken_late() -> None:
    plan = plans.plan(NODES)
    assert kubelet(plan)["evictionHard"] == OURS
    assert kept(plan, "a") == kept(plan, "b") == "1024"


def test_what_a_registry_has_may_be_taken() -> None:
    plan = plans.plan(f"{NODES}registry: registry.lan/k8s\n")
    assert "evictionHard" not in kubelet(plan)
    assert kept(plan, "b") == "10% 15%"


SOFT = """evictionSoft: {imagefs.available: 7.5%}
    evictionSoftGracePeriod: {imagefs.available: 1m}"""


@pytest.mark.parametrize(
    ("text", "limits", "free"),
    [
        (
            "evictionHard: {nodefs.available: 10%}",
            {**OURS, "nodefs.available": "10%"},
            "10% 1024",
        ),
        ("evictionHard: {nodefs.available: 2.5Gi, imagefs.available: 2Gi}", None, "2048 2560"),
        (
            "evictionHard: {nodefs.available: 3G, imagefs.available: '5000000000'}",
            None,
            "2862 4769",
        ),
        (SOFT, OURS, "1024 8%"),
        ("evictionHard: {memory.available: 1Gi}", {**OURS, "memory.available": "1Gi"}, "1024"),
    ],
)
def test_what_the_user_says_wins(text: str, limits: dict[str, str] | None, free: str) -> None:
    plan = plans.plan(configured(text))
    if limits:
        assert kubelet(plan)["evictionHard"] == limits
    assert kept(plan, "b") == free


def test_a_flag_goes_before_the_configuration() -> None:
    flags = "{nodeRegistration: {kubeletExtraArgs: {eviction-hard: 'nodefs.available<20%'}}}"
    plan = plans.plan(f"{NODES}roles: {{worker: {{kubeadm: {{JoinConfiguration: {flags}}}}}}}\n")
    assert kept(plan, "a") == "1024"
    assert kept(plan, "b") == "20%"
