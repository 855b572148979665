"""What guards a cluster is proved before the user's commands run."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

MANIFEST = """spec:
  containers:
  - command:
    - kube-apiserver
    - --audit-log-path=/var/log/kubernetes/audit/audit.log
    - --encryption-provider-config=/etc/kubernetes/encryption.yaml
  volumes:
  - hostPath:
      path: /var/log/kubernetes/audit
"""


@pytest.fixture
def plane(machine: Machine) -> Machine:
    machine.write("etc/kubernetes/manifests/kube-apiserver.yaml", MANIFEST)
    machine.stand_in("curl", 'printf "%s\\n" "$*" >>"$R/asked"; cat "$R/answer"')
    machine.stand_in("kubectl", 'cat >/dev/null; [[ $* != *create* ]] || echo "kind: Secret"')
    return machine


def holds(machine: Machine, value: bytes) -> None:
    kept = [{"key": "x", "value": base64.b64encode(value).decode()}] if value else []
    machine.write("answer", json.dumps({"header": {}, "kvs": kept, "count": "1"}))


def test_secrets_that_etcd_holds_encrypted(plane: Machine) -> None:
    holds(plane, b"k8s:enc:secretbox:v1:key1:\x00\x01")
    ran = plane.source("prove_encryption", "proof")
    assert ran.returncode == 0, ran.stdout
    assert "Secrets are encrypted in etcd" in ran.stdout
    (asked,) = (plane.root / "asked").read_text().splitlines()
    key = json.loads(asked.partition(" -d ")[2].partition("}")[0] + "}")["key"]
    assert base64.b64decode(key).startswith(b"/registry/secrets/airseed/proof-")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"k8s\x00\n\x0c\n\x02v1\x12\x06Secret", "etcd holds Secrets in plain text"),
        (b"", "what etcd holds of a Secret can't be read"),
    ],
)
def test_secrets_that_are_not_fail(plane: Machine, value: bytes, message: str) -> None:
    holds(plane, value)
    ran = plane.source("prove_encryption", "proof")
    assert ran.returncode != 0
    assert message in ran.stdout


def test_an_audit_log_that_is_written_and_one_that_is_not(plane: Machine) -> None:
    plane.environment["AIRSEED_AUDIT_PATIENCE"] = "0"
    ran = plane.source("prove_audit", "proof")
    assert ran.returncode != 0
    assert "writes no audit log to /var/log/kubernetes/audit/audit.log" in ran.stdout
    plane.write("var/log/kubernetes/audit/audit.log", "{}\n")
    assert plane.source("prove_audit", "proof").returncode == 0


def test_nothing_is_asked_where_nothing_is_set(plane: Machine) -> None:
    plane.write("etc/kubernetes/manifests/kube-apiserver.yaml", "spec: {}\n")
    ran = plane.source("prove_encryption; prove_audit", "proof")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert not (plane.root / "asked").exists()
