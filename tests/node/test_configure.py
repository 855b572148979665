"""Other settings for a node that runs: what comes out as it was is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from conftest import Machine

PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
CLUSTER = "k8s02=https://10.0.0.2:2380,k8s01=https://10.0.0.1:2380"
MANIFEST = """\
apiVersion: v1
kind: Pod
spec:
  containers:
  - command:
    - {name}
{arguments}status: {{}}
"""
URL = "    - --initial-advertise-peer-urls=https://10.0.0.1:2380\n"
ALONE = f"{URL}    - --initial-cluster=k8s01=https://10.0.0.1:2380\n    - --key-file=x\n"
JOINED = (
    f"{URL}    - --initial-cluster={CLUSTER}\n    - --initial-cluster-state=existing\n"
    "    - --key-file=x\n"
)


@pytest.fixture
def plane(first: Machine) -> Machine:
    """Return a control plane that runs with what kubeadm would make of its documents now."""
    first.use("pods", "configure")
    first.environment["AIRSEED_STAGE"] = "1"
    for name in PODS:
        made, runs = (ALONE, JOINED) if name == "etcd" else ("", "")
        first.write(f"made/{name}.yaml", MANIFEST.format(name=name, arguments=made))
        text = MANIFEST.format(name=name, arguments=runs)
        first.write(f"etc/kubernetes/manifests/{name}.yaml", text, 0o600)
    for folder in ("made", "var/lib/kubelet"):
        first.write(f"{folder}/config.yaml", "maxPods: 110\n")
        first.write(f"{folder}/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--a=b --v=2"\n')
    for name in ("apiserver.crt", "apiserver.key"):
        content = (first.authority.folder / name).read_bytes()
        first.write(f"etc/kubernetes/pki/{name}", content, 0o600)
        first.write(f"new-{name}", content)
    first.write("etc/airseed/change/id", f"001-configure sha256:{'0' * 64}\n")
    first.write("etc/airseed/change/1.yaml", "kind: ClusterConfiguration\n", 0o600)
    return first


def _run(
    machine: Machine, parts: str, *, planes: str = "k8s01 k8s02"
) -> subprocess.CompletedProcess[str]:
    values = {
        "CHANGE": "001-configure",
        "STAGES": "1",
        "LAST": "1",
        "PLANES": planes,
        "PARTS": parts,
    }
    machine.lay_env("etc/airseed/change/1.env", **values)
    return machine.run("run", "configure", "configure")


EVERYTHING = "certificate apiserver controller-manager scheduler etcd kubelet kube-proxy"


def _manifests(machine: Machine) -> dict[str, tuple[bytes, float]]:
    folder = machine.root / "etc/kubernetes/manifests"
    return {one.name: (one.read_bytes(), one.stat().st_mtime) for one in folder.iterdir()}


def test_what_comes_out_as_it_was_is_left_alone(plane: Machine) -> None:
    before = _manifests(plane)
    ran = _run(plane, EVERYTHING.replace(" kube-proxy", ""))
    assert ran.returncode == 0, ran.stdout
    assert _manifests(plane) == before
    assert plane.called("systemctl") == []
    assert plane.called("kubectl", "rollout") == []
    uploads = plane.called("kubeadm", "init", "phase", "upload-config", "all")
    assert len(uploads) == 1


def test_only_the_first_control_plane_uploads(plane: Machine) -> None:
    assert _run(plane, "kubelet kube-proxy", planes="k8s02 k8s01").returncode == 0
    assert plane.called("kubeadm", "init", "phase", "upload-config") == []
    assert plane.called("kubeadm", "init", "phase", "addon") == []


def test_a_program_with_another_argument_starts_again_alone(plane: Machine) -> None:
    text = MANIFEST.format(name="kube-apiserver", arguments="    - --audit-log-maxage=9\n")
    plane.write("made/kube-apiserver.yaml", text)
    # not what the change is about
    plane.write("made/kube-scheduler.yaml", MANIFEST.format(name="kube-scheduler", arguments="x"))
    before = _manifests(plane)
    ran = _run(plane, "apiserver")
    assert ran.returncode == 0, ran.stdout
    after = _manifests(plane)
    assert after.pop("kube-apiserver.yaml")[0].decode() == text
    assert before.pop("kube-apiserver.yaml")
    assert after == before
    # kubelet takes every file there but those with a dot in front
    assert {name for name in after if not name.startswith(".")} == {
        f"{name}.yaml" for name in PODS if name != "kube-apiserver"
    }


def test_members_of_etcd_stay_as_they_are(plane: Machine) -> None:
    made = ALONE + "    - --quota-backend-bytes=1\n"
    plane.write("made/etcd.yaml", MANIFEST.format(name="etcd", arguments=made))
    assert _run(plane, "etcd").returncode == 0
    wanted = JOINED + "    - --quota-backend-bytes=1\n"
    text = (plane.root / "etc/kubernetes/manifests/etcd.yaml").read_text()
    assert text == MANIFEST.format(name="etcd", arguments=wanted)


def test_another_name_for_the_api_server(plane: Machine) -> None:
    other = plane.authority.in_folder(plane.folder / "other")
    other.issue("apiserver", alternatives=["127.0.0.1", "10.0.0.99"])
    for name in ("apiserver.crt", "apiserver.key"):
        plane.write(f"new-{name}", (other.folder / name).read_bytes())
    ran = _run(plane, "certificate")
    assert ran.returncode == 0, ran.stdout
    for name in ("apiserver.crt", "apiserver.key"):
        file = plane.root / "etc/kubernetes/pki" / name
        assert file.read_bytes() == (other.folder / name).read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    # it reads its certificate again by itself
    assert plane.called("docker", "stop") == []


def test_kubelet_starts_again_once_and_keeps_what_joining_gave_it(plane: Machine) -> None:
    flags = 'KUBELET_KUBEADM_ARGS="--a=b --register-with-taints=x=y:NoSchedule --v=2"\n'
    plane.write("var/lib/kubelet/kubeadm-flags.env", flags)
    plane.write("made/config.yaml", "maxPods: 99\n")
    assert _run(plane, "kubelet").returncode == 0
    assert (plane.root / "var/lib/kubelet/kubeadm-flags.env").read_text() == flags
    assert (plane.root / "var/lib/kubelet/config.yaml").read_text() == "maxPods: 99\n"
    assert plane.called("systemctl", "restart") == [["systemctl", "restart", "kubelet.service"]]
    assert _run(plane, "kubelet").returncode == 0
    assert len(plane.called("systemctl", "restart")) == 1


def test_a_worker_has_kubelet_alone(plane: Machine) -> None:
    plane.set(NODE="k8s04", ROLE="worker")
    plane.write("etc/kubernetes/pki/ca.crt", (plane.authority.folder / "ca.crt").read_bytes())
    plane.write("made/kube-apiserver.yaml", "x")
    plane.write("made/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--a=b --v=3"\n')
    before = _manifests(plane)
    assert _run(plane, EVERYTHING).returncode == 0
    assert _manifests(plane) == before
    assert "--v=3" in (plane.root / "var/lib/kubelet/kubeadm-flags.env").read_text()


def test_kube_proxy_starts_again_where_its_settings_are_others(plane: Machine) -> None:
    for _ in range(2):
        ran = _run(plane, "kube-proxy")
        assert ran.returncode == 0, ran.stdout
    restarts = [call for call in plane.calls if "restart" in call and "daemonset" in call]
    assert len(restarts) == 1


def test_settings_that_kubeadm_refuses_touch_nothing(plane: Machine) -> None:
    (plane.root / "made/kubeadm-flags.env").unlink()
    before = _manifests(plane)
    assert _run(plane, EVERYTHING).returncode == 1
    assert plane.result["message"].startswith("kubeadm does not take the new settings")
    assert _manifests(plane) == before
    assert not (plane.root / "run/airseed-aside").exists()


def test_a_program_that_does_not_come_up_is_named(plane: Machine) -> None:
    plane.write("made/etcd.yaml", MANIFEST.format(name="etcd", arguments=f"{ALONE}    - --no\n"))
    plane.stand_in("docker", 'case "$*" in *status=running*) echo "1 k8s_etcd_x" ;; esac')
    before = (plane.root / "etc/kubernetes/manifests/etcd.yaml").read_text()
    plane.environment["AIRSEED_POD_PATIENCE"] = "0"
    assert _run(plane, EVERYTHING).returncode == 1
    assert plane.result["message"].startswith("etcd does not come up again")
    assert plane.result["message"].endswith("; it has its settings of before again")
    assert plane.result["exit_code"] == 3  # no further try helps
    assert "is each file that this names on the machine? " in plane.result["hint"]
    assert (plane.root / "etc/kubernetes/manifests/etcd.yaml").read_text() == before
    # nothing else was touched, and the next run makes another try
    assert plane.called("kubeadm", "init", "phase", "upload-config") == []
    plane.use("pods")
    del plane.environment["AIRSEED_POD_PATIENCE"]
    assert _run(plane, EVERYTHING).returncode == 0
