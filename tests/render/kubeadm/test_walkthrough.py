"""The example ``ha`` gives the documents of the walkthrough that it is taken from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import plans
import pytest
import yaml

from builder.render import kubeadm

HERE = Path(__file__).parent / "walkthrough"
SHARED = Path(__file__).parents[4] / "shared" / "seed.md"
INIT = {
    "bootstrapTokens": [
        {
            "token": plans.TOKEN,
            "ttl": "24h0m0s",
            "usages": ["signing", "authentication"],
            "groups": ["system:bootstrappers:kubeadm:default-node-token"],
        }
    ],
    "certificateKey": plans.CERTIFICATE_KEY,
}
"""What the walkthrough leaves to the command line."""
ADDED = {
    "cgroupDriver": "systemd",
    "imageGCHighThresholdPercent": 100,
    "evictionHard": {
        "memory.available": "100Mi",
        "nodefs.available": "1Gi",
        "nodefs.inodesFree": "2%",
        "imagefs.available": "1Gi",
    },
}
"""What airseed says beyond it: docker is set up for systemd, and images that were loaded from the
bundle can't be pulled again."""


def documents(name: str) -> list[Any]:
    """Render one node of the example and read the text back."""
    plan = plans.plan(plans.example("ha"))
    node = next(node for node in plan.cluster.nodes if node.name == name)
    found = list(yaml.safe_load_all(kubeadm.text(plan, node)))
    assert found == list(kubeadm.documents(plan, node))
    return found


def expected(name: str) -> list[Any]:
    return list(yaml.safe_load_all((HERE / f"{name}.yaml").read_text("utf-8")))


def with_secrets(join: Any, *, key: bool) -> Any:
    """Put this plan's secrets in the place of the walkthrough's."""
    token = join["discovery"]["bootstrapToken"]
    token["token"], token["caCertHashes"] = plans.TOKEN, [plans.AUTHORITY.digest]
    if key:
        join["controlPlane"]["certificateKey"] = plans.CERTIFICATE_KEY
    return join


def test_init() -> None:
    init, cluster, proxy, kubelet = expected("k8s01")
    assert documents("k8s01") == [{**init, **INIT}, cluster, proxy, {**kubelet, **ADDED}]


def test_null_stays_null() -> None:
    client = documents("k8s01")[2]["clientConnection"]
    assert client["kubeconfig"] is None
    assert "acceptContentTypes" in client


def test_control_plane_joins() -> None:
    (join,) = expected("k8s02")
    assert documents("k8s02") == [with_secrets(join, key=True)]


def test_worker_joins() -> None:
    (join,) = expected("k8s04")
    assert documents("k8s04") == [with_secrets(join, key=False)]


@pytest.mark.skipif(not SHARED.exists(), reason="the walkthrough itself is not here")
def test_the_walkthrough_says_the_same() -> None:
    blocks = re.findall(
        r"```yaml\n(apiVersion: kubeadm.*?)```", SHARED.read_text("utf-8"), re.DOTALL
    )
    init, control_plane, worker = (list(yaml.safe_load_all(block)) for block in blocks)
    assert init == expected("k8s01")
    for documents, name, key in ((control_plane, "k8s02", True), (worker, "k8s04", False)):
        assert [with_secrets(documents[0], key=key)] == [with_secrets(expected(name)[0], key=key)]
