"""What a security review asks for, on a real API server and etcd, as first boot proved it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from e2e.cluster import Cluster
    from e2e.machine import Machine

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e

INSIDE = {"10248", "10249", "10257", "10259", "2381"}
"""Ports of health and metrics, which others have no business with."""
ETCD = "/etc/kubernetes/pki/etcd"
AUDIT = "/var/log/kubernetes/audit/audit.log"
ENCRYPTION = "/etc/kubernetes/encryption.yaml"


def _describe(document: dict[str, Any]) -> None:
    document["nodes"] = document["nodes"][:1]
    # these machines share one kernel and have no firewalld
    del document["machine"]["firewall"]


def _kept(machine: Machine, secret: str) -> str:
    """Return what etcd holds of a Secret."""
    key = f"/registry/secrets/default/{secret}"
    words = (
        *("curl", "-sSf", "--cacert", f"{ETCD}/ca.crt", "--cert", f"{ETCD}/peer.crt"),
        *("--key", f"{ETCD}/peer.key", "-X", "POST", f"https://{machine.address}:2379/v3/kv/range"),
    )
    coded = machine.sh("bash", "-c", f"printf %s {key} | base64 -w 0").stdout
    answer = json.loads(machine.sh(*words, "-d", json.dumps({"key": coded})).stdout)
    (value,) = (entry["value"] for entry in answer["kvs"])
    return machine.sh("base64", "-d", input=value).stdout


def test_a_review_finds_what_first_boot_has_proved(make_cluster: Maker) -> None:
    with make_cluster("hardened") as cluster:
        cluster.describe("hardened", _describe)
        cluster.prepare()
        began = cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        print(f"\nhardened, docker:\n{cluster.report(began)}")
        (machine,) = cluster.machines.values()
        journal = machine.sh("journalctl", "--no-pager", "-o", "cat").stdout
        assert "Secrets are encrypted in etcd\n" in journal
        assert f"requests are written to {AUDIT}\n" in journal
        proofs = cluster.kubectl("-n", "airseed", "get", "secrets", "-o", "name")
        assert "proof-" not in proofs

        cluster.kubectl("create", "secret", "generic", "mine", "--from-literal=word=in-plain-sight")
        kept = _kept(machine, "mine")
        assert kept.startswith("k8s:enc:secretbox:v1:key1:")
        assert "in-plain-sight" not in kept
        log = machine.sh("cat", AUDIT).stdout
        events = [json.loads(line) for line in log.splitlines()]
        (made,) = (
            event
            for event in events
            if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "mine"
        )
        assert made["level"] == "Metadata"
        assert "in-plain-sight" not in log
        assert machine.sh("stat", "-c", "%a %U", ENCRYPTION).stdout == "600 root\n"

        heard = [
            line.split()[3].rpartition(":")
            for line in machine.sh("ss", "-Hltn").stdout.splitlines()
        ]
        assert {port for _, _, port in heard} >= INSIDE
        assert {address for address, _, port in heard if port in INSIDE} == {"127.0.0.1"}
        assert "10255" not in {port for _, _, port in heard}
        asked = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}")
        assert machine.sh(*asked, f"https://{machine.address}:10250/pods").stdout == "401"
