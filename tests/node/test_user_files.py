"""What the user lays down survives all that first boot does, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

FILES = {
    "etc/kubernetes/vsphere.conf": "[Global]\nserver = vc.example.internal\n",
    "etc/kubernetes/audit/policy.yaml": "kind: Policy\n",
    "etc/kubernetes/manifests/kube-vip.yaml": "kind: Pod\nspec: {containers: []}\n",
    "etc/kubernetes/manifests/haproxy.yml": "kind: Pod\n",
    "etc/kubernetes/manifests/with a space.json": "{}",
    "etc/kubernetes/pki/oidc.crt": "no certificate that openssl knows\n",
    "etc/kubernetes/pki/etcd/backup.key": "",
    "var/lib/kubelet/credential-provider.yaml": "kind: CredentialProviderConfig\n",
    "etc/systemd/system/kubelet.service.d/20-site.conf": "[Service]\nCPUAccounting=yes\n",
    "etc/yum.repos.d/site.repo": "[site]\n",
}
JOIN = ("tls", "api", "lease", "etcd", "kubeadm", "registry", "join", "role")
ALONE = "wait_for_cluster() { :; }; claim_machine_id() { :; }; wait_for_name() { :; }; "
SUMS = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def lay(machine: Machine) -> None:
    for path, content in FILES.items():
        machine.write(path, content, 0o640)
    # the folder of kubeadm's files is searched; what lies elsewhere is listed
    machine.write("etc/airseed/user-files", "".join(f"/{path}\n" for path in FILES))


def left(machine: Machine) -> dict[str, str]:
    """Return what is there of the user's files, the mode of each included in what must be."""
    paths = [path for path in FILES if (machine.root / path).exists()]
    for path in paths:
        assert (machine.root / path).stat().st_mode & 0o777 == 0o640, path
    return {path: (machine.root / path).read_text() for path in paths}


@pytest.fixture
def alone(first: Machine) -> Machine:
    first.set(REGISTRY="registry.lan/k8s", UNTAINT="1", PACKAGES="kubeadm-1.18.5-0", SUMS=SUMS)
    first.write("opt/airseed/bundle/SHA256SUMS", "")
    first.write("joined-control-planes", "node/k8s01\n")
    lay(first)
    return first


@pytest.mark.parametrize("turn", [0, 30, 40, 46, 52])
def test_the_first_node_leaves_them_alone(alone: Machine, turn: int) -> None:
    """Whole by kubeadm's measure or not: repair after a power cut is for kubeadm's own files."""
    if turn:
        alone.boot(environment={"CRASH": str(turn)})
    ran = alone.boot()
    assert ran.returncode == 0, ran.stdout
    assert left(alone) == FILES
    assert "is damaged" not in (alone.state / "log/kubeadm.log").read_text()


def test_they_are_no_leftovers_of_a_join(joiner: Machine) -> None:
    lay(joiner)
    ran = joiner.source(ALONE + "join_worker", *JOIN)
    assert ran.returncode == 0, ran.stdout
    assert joiner.called("kubeadm", "reset") == []
    assert left(joiner) == FILES


def test_what_no_list_has_is_the_users_too(joiner: Machine) -> None:
    """A command of machine.commands.before may have written it, or the image have brought it."""
    lay(joiner)
    (joiner.root / "etc/airseed/user-files").unlink()
    joiner.write("etc/kubernetes/kubelet.conf", "")
    ran = joiner.source(ALONE + "join_worker", *JOIN)
    assert ran.returncode == 0, ran.stdout
    assert len(joiner.called("kubeadm", "reset")) == 1
    assert {*FILES} - {*left(joiner)} == {"var/lib/kubelet/credential-provider.yaml"}


@pytest.mark.parametrize("cut", [False, True])
def test_a_join_that_begins_again_keeps_them(joiner: Machine, *, cut: bool) -> None:
    lay(joiner)
    leftovers = ("kubelet.conf", "manifests/etcd.yaml", "pki/ca.crt", "pki/etcd/peer.key")
    for name in leftovers:
        joiner.write(f"etc/kubernetes/{name}", "")
    if cut:
        joiner.write("cut-in-reset", "")
        assert joiner.source(ALONE + "join_worker", *JOIN).returncode != 0
        assert left(joiner) != FILES
        joiner.write("etc/kubernetes/kubelet.conf", "")
    ran = joiner.source(f"restore_users_files; {ALONE} join_worker", *JOIN)
    assert ran.returncode == 0, ran.stdout
    assert len(joiner.called("kubeadm", "reset")) == 1 + cut
    assert left(joiner) == FILES
    assert not (joiner.state / "user-files").exists()
    for name in ("manifests/etcd.yaml", "pki/etcd/peer.key"):
        assert not (joiner.root / "etc/kubernetes" / name).exists()


def test_a_withdrawal_takes_what_is_kubeadms_alone(first: Machine) -> None:
    lay(first)
    ran = first.source("run_kubeadm '' init; withdraw", "tls", "init")
    assert ran.returncode == 0, ran.stdout
    assert left(first) == FILES
    there = [path for path in (first.root / "etc/kubernetes").rglob("*") if path.is_file()]
    assert {path.relative_to(first.root).as_posix() for path in there} <= {*FILES}


def test_a_static_pod_of_the_users_takes_no_port_away(joiner: Machine) -> None:
    """A machine with kubeadm's own manifests is not asked who has the ports."""
    lay(joiner)
    joiner.stand_in("ss", "echo State; echo 'LISTEN 0 1 *:10250 *:* users:((\"other\"))'")
    assert joiner.boot("preflight").returncode == 1
    assert joiner.result["message"].startswith("port 10250 is taken")


def test_kubeadms_names_are_those_of_the_release(first: Machine) -> None:
    """What 1.29 calls its own was a name like any other before."""
    file = first.write("etc/kubernetes/super-admin.conf", "")
    assert first.source("remove_kubeadm_files", "owners").returncode == 0
    assert file.exists()
    first.set(KUBEADM_FILES=f"{first.values['KUBEADM_FILES']} super-admin.conf")
    assert first.source("remove_kubeadm_files", "owners").returncode == 0
    assert not file.exists()
