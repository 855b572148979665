"""What the user lays down survives all that first boot does, wherever it lies."""

from __future__ import annotations

import json
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


CONTAINERD = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "own"\n'


def info(sandbox: str = "k8s.gcr.io/pause:3.2", *, default: str = "runc", runc: bool = True) -> str:
    """Return what containerd 1.6 says of itself, indented as crictl does."""
    runtimes = {
        name: {"runtimeType": "io.containerd.runc.v2", "options": {"Root": "", "SystemdCgroup": on}}
        for name, on in (("nvidia", not runc), ("runc", runc))
    }
    containerd = {"defaultRuntimeName": default, "runtimes": runtimes}
    config = {"containerd": containerd, "sandboxImage": sandbox, "registry": {"configs": {}}}
    return json.dumps({"status": {}, "config": config}, indent=2)


@pytest.fixture
def containerd(machine: Machine) -> Machine:
    socket = "/run/containerd/containerd.sock"
    machine.set(RUNTIME="containerd", CRI_SOCKET=socket)
    machine.environment["CONTAINERD"] = "1.6.33"
    return machine


def test_a_configuration_of_containerds_stays(containerd: Machine) -> None:
    file = containerd.write("etc/containerd/config.toml", CONTAINERD)
    containerd.write("etc/crictl.yaml", "timeout: 9\n")
    containerd.write("etc/airseed/user-files", "/etc/containerd/config.toml\n/etc/crictl.yaml\n")
    containerd.write("crictl-info", info())
    assert containerd.boot("runtime").returncode == 0, containerd.result
    assert file.read_text() == CONTAINERD
    assert (containerd.root / "etc/crictl.yaml").read_text() == "timeout: 9\n"
    log = (containerd.state / "log/runtime.log").read_text()
    assert "/etc/containerd/config.toml is the user's own: it stays" in log


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "containerd does not answer kubelet at /run/containerd/containerd.sock"),
        (info("k8s.gcr.io/pause:3.6"), "containerd's sandbox_image is not k8s.gcr.io/pause:3.2"),
        (info(runc=False), "containerd does not leave cgroups to systemd"),
        (info(default="nvidia"), "containerd does not leave cgroups to systemd"),
        (info(default="nvidia", runc=False), None),
        # as newer ones print it
        (json.dumps(json.loads(info()), sort_keys=True, indent=2), None),
        (
            json.dumps(json.loads(info(runc=False)), sort_keys=True, indent=2),
            "containerd does not leave cgroups to systemd",
        ),
        (json.dumps({"config": {"systemdCgroup": True}}), None),
    ],
)
def test_and_is_checked_by_what_containerd_makes_of_it(
    containerd: Machine, said: str, message: str | None
) -> None:
    """Not by its text, which may import others."""
    containerd.write("etc/containerd/config.toml", CONTAINERD)
    containerd.write("crictl-info", said)
    ran = containerd.boot("runtime")
    assert ran.returncode == bool(message), ran.stdout
    if message:
        assert containerd.result["message"] == message


@pytest.mark.parametrize("auth", [None, {"username": "ops", "password": "hunter2"}])
def test_it_needs_the_registrys_password(containerd: Machine, auth: object) -> None:
    containerd.set(REGISTRY="reg.lan:5000/k8s")
    containerd.write("etc/airseed/registry.json", '{"auths": {"reg.lan:5000": {"auth": "b3Bz"}}}')
    containerd.write("etc/containerd/config.toml", CONTAINERD)
    said = json.loads(info())
    said["config"]["registry"]["configs"] = {"reg.lan:5000": {"tls": None, "auth": auth}}
    containerd.write("crictl-info", json.dumps(said, indent=2))
    ran = containerd.boot("runtime")
    assert ran.returncode == (not auth), ran.stdout
    if not auth:
        message = "containerd has no credentials for reg.lan:5000"
        assert containerd.result["message"] == message
    assert not any(
        b"hunter2" in path.read_bytes() for path in containerd.state.rglob("*") if path.is_file()
    )


def test_the_packages_own_configuration_is_nobodys(containerd: Machine) -> None:
    file = containerd.write("etc/containerd/config.toml", 'disabled_plugins = ["cri"]\n')
    containerd.stand_in("rpm", 'case "$*" in "-q --quiet -f "*) ;; "-V "*) ;; esac')
    assert containerd.boot("runtime").returncode == 0, containerd.result
    assert file.read_text().startswith("# by airseed\nversion = 2\n")
    # ours is written again when it has to be another one
    containerd.stand_in("rpm", 'case "$*" in "-V "*) echo "S.5....T.  c ${*: -1}" ;; esac')
    containerd.set(SANDBOX_IMAGE="k8s.gcr.io/pause:3.6")
    assert containerd.boot("runtime").returncode == 0, containerd.result
    assert "pause:3.6" in file.read_text()


def test_a_package_leaves_the_users_configuration(containerd: Machine) -> None:
    file = containerd.write("etc/containerd/config.toml", CONTAINERD)
    containerd.stand_in("rpm", 'case "$*" in "-V "*) echo "S.5....T.  c ${*: -1}" ;; esac')
    assert containerd.boot("runtime").returncode == 0, containerd.result
    assert file.read_text() == CONTAINERD


def test_an_images_runtime_learns_of_the_users_settings(machine: Machine) -> None:
    """It runs already when cloud-init lays them down; once is enough."""
    machine.write("etc/docker/daemon.json", '{"exec-opts": ["native.cgroupdriver=systemd"]}')
    machine.write("etc/airseed/user-files", "/etc/motd\n/etc/docker/daemon.json\n")
    for restarts in (1, 1):
        assert machine.boot("identity").returncode == 0, machine.result
        assert machine.boot("runtime").returncode == 0, machine.result
        assert len(machine.called("systemctl", "restart", "docker.service")) == restarts
    machine.write(
        "etc/docker/daemon.json", '{"exec-opts": ["native.cgroupdriver=systemd"], "x": 1}'
    )
    assert machine.boot("identity").returncode == 0, machine.result
    assert machine.boot("runtime").returncode == 0, machine.result
    assert len(machine.called("systemctl", "restart", "docker.service")) == 2


def test_the_users_kernel_settings_count_at_once(machine: Machine) -> None:
    for name in ("sysctl.d/90-airseed.conf", "sysctl.d/99-site.conf", "modules-load.d/site.conf"):
        machine.write(f"etc/{name}", "net.ipv4.ip_forward = 1\n")
    machine.write("etc/airseed/user-files", "/etc/sysctl.d/99-site.conf\n/etc/modules-load.d/x\n")
    assert machine.boot("identity").returncode == 0, machine.result
    set_ = [call[-1].rpartition("/")[2] for call in machine.called("sysctl")]
    assert set_ == ["90-airseed.conf", "99-site.conf"]
    assert ["systemctl", "restart", "systemd-modules-load.service"] in machine.calls


@pytest.mark.parametrize(
    ("path", "line", "refused"),
    [
        ("sysctl.d/99-cis.conf", "net.ipv4.ip_forward = 0", True),
        ("sysctl.d/99-cis.conf", " -net/ipv4/ip_forward=0 # hardened", True),
        ("sysctl.conf", "net.ipv4.ip_forward=0", True),
        ("sysctl.d/99-cis.conf", "#net.ipv4.ip_forward = 0", False),
        ("sysctl.d/99-cis.conf", "net.ipv4.ip_forward=1", False),
        ("sysctl.d/50-early.conf", "net.ipv4.ip_forward = 0", False),
    ],
)
def test_what_would_end_the_nodes_network_at_its_next_start_is_told(
    machine: Machine, path: str, line: str, refused: bool
) -> None:
    machine.write("etc/sysctl.d/90-airseed.conf", "net.ipv4.ip_forward = 1\nfs.x = 2\n")
    machine.write(f"etc/{path}", f"{line}\n")
    ran = machine.boot("identity")
    assert ran.returncode == refused, ran.stdout
    if refused:
        file = f"{machine.root}/etc/{path}"
        assert machine.result["message"] == (
            f"net.ipv4.ip_forward would be 0 in {file} when this machine starts again"
        )
