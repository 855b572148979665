"""From docker to containerd and back, on a node that runs: the steps that are this change's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Machine

DOCKER, CONTAINERD = "/var/run/dockershim.sock", "/run/containerd/containerd.sock"
FLAGS = "var/lib/kubelet/kubeadm-flags.env"
HELD = "sha256:" + "ab" * 32
FROM_DOCKER = {"RUNTIME": "containerd", "RUNTIME_BEFORE": "docker", "CRI_SOCKET": CONTAINERD}
FROM_CONTAINERD = {"RUNTIME": "docker", "RUNTIME_BEFORE": "containerd", "CRI_SOCKET": DOCKER}
REMOTE = f"--container-runtime=remote --container-runtime-endpoint={CONTAINERD}"
_PS = (
    'case "$*" in *name=k8s_*) [ -e "$R/stopped" ] || echo 17 ;; '
    '*) cat "$R/others" 2>/dev/null ;; esac; true'
)


@pytest.fixture
def node(machine: Machine) -> Machine:
    """Return a worker that is in its cluster, with docker and one image of ours."""
    machine.set(**FROM_DOCKER, LEAVE="docker-ce docker-ce-cli")
    machine.write("etc/kubernetes/kubelet.conf", "x\n")
    machine.write(FLAGS, flags("--cgroup-driver=systemd --network-plugin=cni --v=2"))
    machine.write("var/lib/airseed/images/wanted", f"k8s.gcr.io/pause:3.2 {HELD}\n")
    machine.write("rpms", "docker-ce\ndocker-ce-cli\ncontainerd.io-1.2.13-3.2.el7\n")
    machine.stand_in(
        "docker",
        f'case "$1" in ps) {_PS} ;; rm) [ "$2" != -f ] || : >"$R/stopped" ;;'
        ' info) case "$*" in *Root*) echo /var/lib/docker ;; esac ;;'
        ' images | volume) cat "$R/others-$1" 2>/dev/null || true ;; esac',
    )
    return machine


def flags(words: str) -> str:
    return f'KUBELET_KUBEADM_ARGS="{words}"\nSITE=yes\n'


def step(machine: Machine, name: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    ran = machine.run(f"steps/{name}.sh", environment={"AIRSEED_API_PATIENCE": "1"})
    assert ran.returncode == code, ran.stdout
    if code == 0:
        stamp(machine, name)
    return ran


def stamp(machine: Machine, name: str) -> None:
    """Say that a step is through, as the runner does."""
    machine.write(f"var/lib/airseed/stamps/step-{name}", f"airseed 1 step-{name} - 0 1 .\n")


def place(machine: Machine, *words: str) -> int:
    return machine.calls.index([*words])


def test_docker_is_left_without_anything_of_kubernetes(node: Machine) -> None:
    lease = node.write("var/lib/cni/networks/cbr0/10.222.1.7", "0123\n")
    last = node.write("var/lib/cni/networks/cbr0/last_reserved_ip.0", "10.222.1.7")
    step(node, "unload")
    # a power cut from here on starts neither again
    off = place(node, "systemctl", "disable", "docker.socket", "docker.service")
    kubelet = place(node, "systemctl", "stop", "kubelet.service")
    assert place(node, "systemctl", "disable", "kubelet.service") < kubelet
    assert max(off, kubelet) < place(node, "docker", "stop", "--time", "20", "17")
    assert node.called("docker", "rm", "-f", "-v", "17")
    assert node.called("docker", "rmi", "k8s.gcr.io/pause:3.2")
    assert place(node, "systemctl", "stop", "docker.socket", "docker.service") > place(
        node, "docker", "rmi", "k8s.gcr.io/pause:3.2"
    )
    # kubelet would have given it back
    assert (lease.exists(), last.exists()) == (False, True)
    assert (node.state / "unused").read_text() == "/var/lib/docker\n"


@pytest.mark.parametrize("kind", ["others", "others-images", "others-volume"])
def test_what_is_the_users_in_docker_stays(node: Machine, kind: str) -> None:
    node.write(kind, "4711\n")
    data = node.write("var/lib/docker/volumes/users/_data/file", "x")
    step(node, "unload")
    said = step(node, "clear").stdout
    assert "docker's data stay" in said
    assert data.exists()
    assert node.called("rpm", "-e", "docker-ce", "docker-ce-cli")


def test_docker_goes_with_its_data(node: Machine) -> None:
    data = node.write("var/lib/docker/overlay2/l/x", "x")
    own = node.write("etc/docker/daemon.json", '{"labels": ["by=airseed"]}\n')
    step(node, "unload")
    step(node, "clear")
    assert (data.exists(), own.exists()) == (False, False)
    assert data.parents[2].is_dir()  # which may be a mount


def test_docker_is_kept_for_who_wants_it(node: Machine) -> None:
    node.set(LEAVE="")
    step(node, "unload")
    step(node, "clear")
    assert not node.called("rpm", "-e")
    assert node.called("systemctl", "start", "docker.service")


def test_a_package_that_somebody_needs_is_named(node: Machine) -> None:
    node.stand_in("rpm", 'case "$1" in -e) exit 1 ;; esac')
    stamp(node, "unload")
    said = step(node, "clear", 1).stdout
    assert "error: docker-ce docker-ce-cli can't be removed: another package needs them\n" in said
    assert "hint: write the change again with --keep-docker, or remove that package\n" in said


def test_docker_that_is_gone_is_not_asked_again(node: Machine) -> None:
    """As where a change was given up after it had gone, and another one takes its place."""
    node.without("docker")
    assert "docker is not on this machine any more" in step(node, "unload").stdout
    assert not node.called("systemctl")


def test_the_runtime_before_is_this_nodes_until_it_was_let_go(node: Machine) -> None:
    say = 'printf %s "$AIRSEED_RUNTIME"'
    assert node.source(say).stdout == "docker"
    stamp(node, "unload")
    assert node.source(say).stdout == "containerd"


@pytest.mark.parametrize("name", ["agree", "turn", "drain"])
def test_a_control_plane_that_stopped_itself_asks_nobody(node: Machine, name: str) -> None:
    """It may be the one that answers at the endpoint; a power cut has it begin from the top."""
    node.set(ROLE="control-plane", CHANGE="001-x", COUNT="3")
    step(node, "unload")
    (node.folder / "calls").unlink()
    step(node, name)
    assert node.calls == []
    _runs_in(node, "containerd")
    step(node, "switch")
    assert not (node.state / "stamps/away").exists()


def _runs_in(machine: Machine, runtime: str) -> None:
    machine.stand_in(
        "kubectl",
        f'case "$*" in *RuntimeVersion*) echo {runtime}://1.2 ;; '
        "*Ready*) printf True ;; *healthz*) echo ok ;; esac",
    )


@pytest.mark.parametrize(
    ("values", "before", "after"),
    [
        (
            FROM_DOCKER,
            "--cgroup-driver=systemd --network-plugin=cni --v=2",
            f"{REMOTE} --cgroup-driver=systemd --v=2",
        ),
        (FROM_DOCKER, "--network-plugin=cni", None),
        (FROM_DOCKER, "", None),
        (
            FROM_CONTAINERD,
            f"{REMOTE} --v=2",
            "--network-plugin=cni --v=2",
        ),
    ],
)
def test_kubelet_is_told_its_runtime(
    node: Machine, values: dict[str, str], before: str, after: str | None
) -> None:
    node.set(**values)
    _runs_in(node, values["RUNTIME"])
    node.write(FLAGS, flags(before))
    stamp(node, "unload")
    for _ in range(2):  # as after a power cut
        step(node, "switch")
        assert (node.root / FLAGS).read_text() == flags(after or REMOTE)
    annotated = [call for call in node.called("kubectl") if "annotate" in call]
    socket = values["CRI_SOCKET"]
    assert annotated[0][-1] == f"kubeadm.alpha.kubernetes.io/cri-socket={socket}"
    assert place(node, "systemctl", "restart", "kubelet.service") < node.calls.index(annotated[0])


def test_flags_that_somebody_changed_are_pointed_out(node: Machine) -> None:
    file: Path = node.write(FLAGS, "KUBELET_KUBEADM_ARGS=--v=2\n")
    said = step(node, "switch", 1).stdout
    assert f"error: {file} has no KUBELET_KUBEADM_ARGS\n" in said
    assert not node.called("systemctl", "restart", "kubelet.service")


def test_images_are_looked_for_in_the_runtime_that_has_them(node: Machine) -> None:
    """While a change is under way node.env still says docker."""
    node.set(RUNTIME="docker")
    node.write("var/lib/airseed/images/runtime", "containerd\n")
    node.write("images", f"k8s.gcr.io/pause:3.2 type {HELD} complete (1/1) 1MiB true\n")
    assert node.run("actions/images").returncode == 0
    assert not node.called("docker")
    assert node.called("ctr", "--namespace", "k8s.io", "images", "check")
