"""The script that lets a late node in, run by a real bash; kubectl and kubeadm are stand-ins."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import plans
import pytest
import yaml

from builder.render import admit

if TYPE_CHECKING:
    from pathlib import Path

PLAN = plans.plan(plans.example("ha"))
STAND_IN = """#!/bin/bash
printf '%s\\n' "$(basename "$0") $*" >>"$RECORD/argv"
for word; do
    case $word in
    -) cat >"$RECORD/stdin" ;;
    jsonpath=*airseed-window*) cat "$RECORD/window" 2>/dev/null || true ;;
    */kubeadm.yaml) cp "$word" "$RECORD/config" && stat -c %a "$word" >"$RECORD/mode" ;;
    esac
done
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name in ("kubectl", "kubeadm"):
        path = tmp_path / "bin" / name
        path.write_text(STAND_IN)
        path.chmod(0o755)
    (tmp_path / "admin.conf").write_text("kubeconfig")
    return tmp_path


def run(place: Path, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Pass the script on standard input, as over ssh."""
    environment = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "RECORD": str(place),
        "XDG_RUNTIME_DIR": str(place),
        "AIRSEED_ROOT": str(place),
        "KUBECONFIG": str(place / "admin.conf"),
        **more,
    }
    return subprocess.run(
        ["bash", "-s"], input=text, env=environment, capture_output=True, text=True, check=False
    )


def script(number: int) -> str:
    text = admit.script(PLAN, PLAN.cluster.nodes[number])
    assert text is not None
    return text


def test_the_first_node_lets_others_in_and_needs_nobody() -> None:
    assert admit.script(PLAN, PLAN.first) is None


def test_a_worker_gets_a_token_that_ends(place: Path) -> None:
    ran = run(place, script(3))
    assert ran.returncode == 0, ran.stderr
    assert (place / "argv").read_text() == "kubectl apply -f -\n"
    secret = yaml.safe_load((place / "stdin").read_text())
    ends = datetime.fromisoformat(secret["stringData"].pop("expiration"))
    assert abs(ends - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=5)
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "description": "airseed: lets k8s04 join",
            "token-id": "abcdef",
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        },
    }
    assert plans.CERTIFICATE_KEY not in script(3)


def test_a_control_plane_gets_the_certificates_too(place: Path) -> None:
    ran = run(place, script(1))
    assert ran.returncode == 0, ran.stderr
    argv = (place / "argv").read_text().splitlines()
    assert argv[1] == "kubectl apply -f -"
    assert argv[2].startswith(
        "kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config "
    )
    assert [*yaml.safe_load_all((place / "config").read_text())] == [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta2",
            "kind": "InitConfiguration",
            "certificateKey": plans.CERTIFICATE_KEY,
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta2",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": "v1.18.5",
        },
    ]
    assert (place / "mode").read_text() == "600\n"
    assert str(place / "tmp.") in argv[2], "not in memory"
    assert [entry.name for entry in place.glob("tmp.*")] == []


def test_kubeadm_need_not_guess_what_the_machine_knows(place: Path) -> None:
    (place / "etc/airseed").mkdir(parents=True)
    (place / "etc/airseed/node.env").write_text(
        "AIRSEED_ADDRESS='fd00::1'\nAIRSEED_CRI_SOCKET='unix:///run/cri.sock'\n"
    )
    assert run(place, script(1)).returncode == 0
    first = next(yaml.safe_load_all((place / "config").read_text()))
    assert first["localAPIEndpoint"] == {"advertiseAddress": "fd00::1"}
    assert first["nodeRegistration"] == {"criSocket": "unix:///run/cri.sock"}


def test_it_does_not_meddle_with_an_open_window(place: Path) -> None:
    """The first control planes could not read what is uploaded by another key."""
    (place / "window").write_text("open")
    ran = run(place, script(1))
    assert ran.returncode == 1
    assert (
        "still expected to join, with another certificate key\nhint: wait for them; or"
        in ran.stderr
    )
    assert "apply" not in (place / "argv").read_text()
    assert run(place, script(3)).returncode == 0, "a worker needs no certificates"


@pytest.mark.parametrize("number", [1, 3])
def test_no_secret_is_seen(place: Path, number: int) -> None:
    ran = run(place, script(number))
    seen = (place / "argv").read_text() + ran.stdout + ran.stderr
    assert "0123456789abcdef" not in seen


def test_elsewhere_it_says_where_it_belongs(place: Path) -> None:
    ran = run(place, script(3), KUBECONFIG=str(place / "none"))
    assert ran.returncode == 1
    assert ran.stderr == (
        f"error: {place / 'none'} cannot be read\nhint: run this as root on a control plane\n"
    )
    assert not (place / "argv").exists()


def test_hostile_names_stay_words(place: Path) -> None:
    text = script(3).replace("NODE='k8s04'", "NODE='x'\\''; touch \"$RECORD/gone\"; '\\'''", 1)
    run(place, text)
    assert not (place / "gone").exists()
