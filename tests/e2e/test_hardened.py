"""What a security review asks for, on a real API server and etcd: proved, and able to fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e.power_cuts import await_moment

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

        _see_it_fail(cluster, machine)


def _see_it_fail(cluster: Cluster, machine: Machine) -> None:
    """Let the API server write in plain text, as a wrong order of providers does."""
    text = (machine.root / ENCRYPTION.lstrip("/")).read_text("utf-8")
    plain = text.replace("  - identity: {}\n", "").replace(
        "  providers:\n", "  providers:\n  - identity: {}\n"
    )
    assert plain != text
    # the same file, which the API server's container has mounted
    (machine.root / ENCRYPTION.lstrip("/")).write_text(plain, "utf-8")
    words = "docker ps -q --filter name=k8s_kube-apiserver"
    before = machine.sh("bash", "-c", words).stdout
    machine.sh("bash", "-c", f"docker stop $({words})")
    after = f"{words} | grep -v {before.strip()} && kubectl get --raw /readyz"
    await_moment(
        lambda: machine.sh("bash", "-c", after, check=False).returncode == 0,
        "the API server again",
        patience=180,
    )
    ran = machine.sh("/usr/libexec/airseed/run", "first-boot", "after", check=False)
    assert ran.returncode == 1, ran.stdout
    assert machine.result["message"] == (
        "etcd holds Secrets in plain text, though the API server has an encryption-provider-config"
    )
    assert machine.result["hint"] == (
        f"its first provider must not be identity: look into {ENCRYPTION}"
    )
