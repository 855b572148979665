"""An upgrade, machine by machine, and power cuts in it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from changes_node import (
    CORDON,
    DRAIN,
    ID,
    PLANES,
    UNCORDON,
    commands,
    finish,
    give,
    make,
    step,
)

if TYPE_CHECKING:
    from api_server import Api
    from conftest import Machine


def _yum(name: str) -> str:
    return (
        "yum -y '--disablerepo=*' '--enablerepo=airseed-*' --disableexcludes=all "
        f"--setopt=skip_missing_names_on_install=False --setopt=exit_on_lock=True install {name}"
    ).replace("'", "")


def test_a_worker_is_upgraded(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    assert make(node).returncode == 0
    assert commands(node) == [
        _yum("kubeadm-1.19.5-0.x86_64"),
        "kubeadm upgrade node",
        CORDON,
        DRAIN,
        _yum("kubelet-1.19.5-0.x86_64"),
        "systemctl restart kubelet.service",
        UNCORDON,
    ]
    assert not (node.state / "keep").exists()


def test_who_runs_the_release_already_is_not_drained(node: Machine, api: Api) -> None:
    """A change that was given up has brought some machines there, and another one has all."""
    node.write("kubelet-version", "1.19.5")
    node.write("cordon", "true/000-given-up")
    # one that was installed, and does not run yet, is not it
    node.environment["READY"] = "False"
    assert step(node, "upgrade", "drain").returncode == 0
    assert commands(node) == [DRAIN]
    (node.folder / "calls").unlink()
    node.environment["READY"] = "True"
    finish(api, *PLANES)
    assert make(node).returncode == 0
    assert commands(node)[-2:] == ["systemctl restart kubelet.service", UNCORDON]
    assert DRAIN not in commands(node)


PULLS = ("registry.lan/k8s/kube-proxy:v1.19.5", "registry.lan/k8s/calico/node:v3.18.6")


@pytest.mark.parametrize("runtime", ["docker", "containerd"])
def test_a_registrys_images_are_there_before_the_turn(
    node: Machine, api: Api, runtime: str
) -> None:
    """Pulled in a drained turn, one that the registry lacks would be found too late."""
    node.set(RUNTIME=runtime, PULLS=" ".join(PULLS))
    give(node)
    node.write("images", f"{PULLS[0]} sha256:there\n")
    node.write("refuse-pull", f"{PULLS[1]}\n")
    node.write("var/lib/kubelet/config.json", '{"auths": {}}', 0o600)
    finish(api, *PLANES)
    assert make(node).returncode == 1
    assert node.result["step"] == "pull"
    assert node.result["message"].startswith(f"{PULLS[1]} can't be pulled: ")
    assert node.result["message"].rstrip('"').endswith("manifest unknown")
    assert node.result["hint"] == (
        "the registry lacks this image: publish the bundle to it, and compare its name with "
        "images.map"
    )
    assert commands(node) == []
    assert f"change-{ID}.k8s04" not in api.leases  # nobody takes it for ready
    node.write("refuse-pull", "")
    (node.folder / "calls").unlink()
    assert make(node).returncode == 0
    words = ["crictl", "pull"]
    if runtime == "docker":
        words = ["docker", "--config", str(node.root / "var/lib/kubelet"), "pull"]
    assert node.called(*words) == [[*words, PULLS[1]]]
    assert node.calls.index([*words, PULLS[1]]) < node.calls.index(node.called("yum")[0])


def test_a_node_that_somebody_else_has_cordoned_stays_so(node: Machine, api: Api) -> None:
    node.write("cordon", "true/")
    finish(api, *PLANES)
    assert make(node).returncode == 0
    assert not [line for line in commands(node) if line.startswith("patch")]
    assert DRAIN in commands(node)


def test_the_first_control_plane_is_upgraded(first_plane: Machine, api: Api) -> None:
    ran = make(first_plane)
    assert ran.returncode == 0, ran.stdout
    seed = first_plane.state / f"changes/{ID}/1/before.yaml"
    assert [line for line in commands(first_plane) if line.startswith("kubeadm")] == [
        f"kubeadm init phase upload-config kubeadm --config {seed}",
        "kubeadm upgrade plan v1.19.5",
        "kubeadm upgrade apply v1.19.5 -y",
    ]
    assert {wait["for"] for wait in first_plane.result["waits"]} >= {
        "the cluster's configuration to be written",
        "kubeadm upgrade plan to end",
        "kubeadm upgrade apply to end",
    }
    ends = first_plane.result["certificates"]
    assert "/etc/kubernetes/pki/ca.crt" in ends
    assert "/etc/kubernetes/admin.conf" in ends


def test_a_stage_applies_the_manifests_that_it_names(first_plane: Machine) -> None:
    """By this node's own API server: the others may be of the release before."""
    names = ("001-tigera-operator.yaml", "002-own.yaml")
    texts = {f"manifests/{name}": f"kind: Namespace # {name}\n" for name in names}
    sums = "".join(f"{hashlib.sha256(t.encode()).hexdigest()}  {n}\n" for n, t in texts.items())
    for name, text in {**texts, "SHA256SUMS": sums}.items():
        first_plane.write(f"opt/airseed/bundle/{name}", text)
    first_plane.set(SUMS=hashlib.sha256(sums.encode()).hexdigest(), REGISTRY="")
    stage = {"AIRSEED_STAGE": "1"}
    give(first_plane, "upgrade", "configure")
    assert first_plane.run("run", "upgrade", "addons", environment=stage).returncode == 0
    assert not (first_plane.root / "applied").exists()
    first_plane.set(ADDONS=f"manifests/{names[0]}")
    give(first_plane, "upgrade", "configure")
    ran = first_plane.run("run", "upgrade", "addons", environment=stage)
    assert ran.returncode == 0, ran.stdout
    assert (first_plane.root / "applied").read_text() == f"{names[0]}\n"
    (call,) = [call for call in first_plane.called("kubectl") if "apply" in call]
    assert call[call.index("--server") + 1] == "https://127.0.0.1:6443"
    # what is too large for "apply" is there already, of the release before
    first_plane.write("refuse-apply", "metadata.annotations: Too long: must have at most 262144\n")
    first_plane.run("run", "upgrade", "addons", environment=stage)
    assert [call for call in first_plane.called("kubectl") if "--server-side" in call]
    assert not [call for call in first_plane.called("kubectl") if "create" in call]


def test_the_first_turn_waits_until_all_have_their_images(first_plane: Machine, api: Api) -> None:
    """From its upgrade on kube-proxy is of the new release on every node."""
    del api.leases[f"change-{ID}.k8s04"]
    first_plane.write("nodes", "k8s01 True\nk8s02 True\nk8s04 True\n")
    ran = make(first_plane, AIRSEED_TOGETHER_PATIENCE="1")
    assert ran.returncode == 1
    assert "waiting for all 3 nodes to have the images of this stage (so far: " in ran.stdout
    assert (
        first_plane.result["message"] == "these nodes do not have the images of this stage: k8s04"
    )
    assert first_plane.result["hint"].startswith("kube-proxy would not start there: run the ")
    assert first_plane.result["attempt"] == 1
    assert not [line for line in commands(first_plane) if "upgrade" in line]
    # one that is down has no kube-proxy to lose, and another one is not airseed's
    first_plane.write("nodes", "k8s01 True\nk8s02 True\nk8s04 Unknown\nstranger True\n")
    assert make(first_plane, AIRSEED_TOGETHER_PATIENCE="1").returncode == 0


def test_nobody_waits_for_the_programs_of_another_node(node: Machine, api: Api) -> None:
    """It has its images, which is all that the first turn needs of it."""
    node.stand_in("yum", "exit 1")
    assert make(node).returncode == 1
    assert node.result["step"] == "tools"
    assert api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"]["ready"] == "1"


def test_what_comes_before_a_far_turn_waits_until_that_is_near(node: Machine, api: Api) -> None:
    """Machines may share a host, and the first turn is to have that for itself."""
    node.environment["AIRSEED_NEAR_PATIENCE"] = "100"
    # workers have no order: any number of them may be near
    env = node.root / "etc/airseed/change/1.env"
    env.write_text(env.read_text().replace("AIRSEED_COUNT=3", "AIRSEED_COUNT=9"))
    ask = api.answer
    installed: list[bool] = []

    def later(method: str, path: str, *words: Any) -> Any:
        if method == "GET" and f"change-{ID}.k8s04" in api.leases and "=" in path:
            installed.append("kubeadm-1.19.5" in (node.root / "rpms").read_text())
            if len(installed) == 3:
                finish(api, *PLANES)
        return ask(method, path, *words)

    api.answer = later  # type: ignore[method-assign]
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    assert installed[:3] == [False] * 3
    assert "waiting for k8s01 to be done: control planes go one after another" in ran.stdout


CUTS = (4, 12, 19, 23, 26, 29, 31, 34, 37, 40, 44, 47, 50, 54, 58, 62)


@pytest.mark.parametrize("cut", CUTS)
def test_a_power_cut_at_any_call(node: Machine, api: Api, cut: int) -> None:
    """Whatever was under way is done once more, and the node is not left cordoned."""
    finish(api, *PLANES)
    make(node, CRASH=str(cut))
    cordoned = (node.root / "cordon").exists() and (node.root / "cordon").read_text() != "/"
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    done = commands(node)
    assert done.count("kubeadm upgrade node") <= 2
    assert done.count(DRAIN) <= 2
    assert not cordoned or done[-1] == UNCORDON
    assert not (node.root / "cordon").exists() or (node.root / "cordon").read_text() == "/"
    assert (node.root / "kubelet-version").read_text() == "1.19.5\n"
    assert api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"]["stage"] == "1"
    assert [name for name in api.leases if "turn" in name] == []


def test_no_cut_comes_behind_the_last_call(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    assert make(node).returncode == 0
    # those of the one that keeps its turn depend on time
    calls = [call for call in node.calls if call[0] != "sleep"]
    assert len(calls) >= CUTS[-1], "cuts that cut nothing"


def test_programs_that_were_being_installed_are_mended_before_anybody_is_asked(
    first_plane: Machine, api: Api
) -> None:
    """The API server that is asked is this node's own, and needs kubelet."""
    first_plane.write("var/lib/airseed/yum-runs", "kubelet-1.19.5-0.x86_64\n")
    api.opened = False
    make(first_plane, AIRSEED_TURN_PATIENCE="0")
    assert commands(first_plane)[-2:] == [
        _yum("kubelet-1.19.5-0.x86_64"),
        "systemctl restart kubelet.service",
    ]


def test_the_end_of_a_change_outlives_first_boots_own_look(node: Machine, api: Api) -> None:
    """At power-on both start; the one that has nothing to do must not speak for the other."""
    finish(api, "k8s01")
    make(node, AIRSEED_TURN_PATIENCE="0")
    assert node.result["plan"] == "upgrade"
    node.boot()
    assert (node.result["plan"], node.result["state"]) == ("upgrade", "failed")


def test_a_node_of_another_release_is_refused(node: Machine, api: Api) -> None:
    node.write("kubelet-version", "1.17.9\n")
    assert make(node).returncode == 1
    assert node.result["message"] == (
        "this node runs Kubernetes 1.17.9, and the change goes from 1.18.5 to 1.19.5"
    )


def test_a_bundle_of_another_lock_is_refused_before_anything_is_touched(
    node: Machine, api: Api
) -> None:
    node.write("opt/airseed/bundle/SHA256SUMS", "other\n")
    finish(api, *PLANES)
    assert make(node).returncode == 1
    assert node.result["step"] == "examine"
    assert node.result["message"].startswith("this is not the bundle that the seed names")
    assert node.result["hint"].startswith("take the bundle of this very cluster.lock; ")
    assert commands(node) == []
    node.write("opt/airseed/bundle/SHA256SUMS", "")
    assert make(node).returncode == 0
