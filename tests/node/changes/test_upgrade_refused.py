"""What stops an upgrade before anything is touched, and what lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from changes_node import (
    CORDON,
    DRAIN,
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


def test_what_must_be_upgraded_by_hand_stops_the_change(first_plane: Machine, api: Api) -> None:
    table = (
        "API GROUP                 CURRENT VERSION   PREFERRED VERSION   MANUAL UPGRADE REQUIRED\n"
        "kubeproxy.config.k8s.io   v1alpha1          v1alpha1            no\n"
        "kubelet.config.k8s.io     v1beta1           v1beta2             yes\n"
    )
    first_plane.write("upgrade-plan", table)
    assert make(first_plane).returncode == 1
    assert first_plane.result["message"] == (
        "kubeadm wants this to be upgraded by hand: kubelet.config.k8s.io from v1beta1 to v1beta2"
    )
    assert first_plane.called("kubeadm", "upgrade", "apply") == []
    # nobody waits for it
    assert "change-turn" not in api.leases


def test_a_torn_manifest_is_put_back_before_anything_else(first_plane: Machine, api: Api) -> None:
    """Without it there would be no API server to ask whose turn it is."""
    manifest = first_plane.root / "etc/kubernetes/manifests/etcd.yaml"
    first_plane.write("var/lib/airseed/keep/manifests/etcd.yaml", manifest.read_bytes())
    manifest.write_bytes(b"")
    first_plane.stand_in(
        "kubectl", 'cat "$R/etc/kubernetes/manifests/etcd.yaml" >"$R/seen"; exit 1'
    )
    make(first_plane, AIRSEED_API_PATIENCE="0")
    assert "kind: Pod" in (first_plane.root / "seen").read_text()


def test_a_budget_that_never_lets_go_is_found_before_anything_is_touched(
    node: Machine, api: Api
) -> None:
    node.write("budgets", "default web 0 2 2 app=web,\n")
    finish(api, *PLANES)
    assert make(node).returncode == 1
    assert node.result["step"] == "examine"
    assert node.result["message"] == (
        "this node can't be drained: pod default/web-1, kept by the budget default/web"
    )
    assert node.result["hint"] == (
        "the budget wants as many healthy pods as there are: give the workload one more replica, "
        "or the budget more room"
    )
    assert commands(node) == []
    node.write("budgets", "default web 1 2 3 app=web,\n")
    assert make(node).returncode == 0


def test_a_pod_that_nothing_makes_again_is_found_before_anything_is_touched(
    node: Machine, api: Api
) -> None:
    pods = ("default/web-1 Running owned", "kube-system/etcd-k8s04 Running owned static")
    done, lone = "default/job Succeeded", "default/by-hand Running"
    node.write("pods", "\n".join((*pods, done, lone, "")))
    assert step(node, "upgrade", "examine").returncode == 1
    assert node.result["message"] == (
        "this node can't be drained: nothing would make these pods again: default/by-hand"
    )
    # one that somebody has started since
    assert step(node, "upgrade", "drain").returncode == 1
    assert "nothing would make these pods again: default/by-hand" in node.result["message"]
    assert commands(node) == []
    node.write("pods", "\n".join((*pods, done, "")))
    assert step(node, "upgrade", "examine").returncode == 0
    assert step(node, "upgrade", "drain").returncode == 0
    assert DRAIN in commands(node)


def _alone(machine: Machine) -> None:
    """Have nobody else take part in the change."""
    env = machine.root / "etc/airseed/change/1.env"
    env.write_text(env.read_text().replace("AIRSEED_COUNT=3", "AIRSEED_COUNT=1"))


def test_only_the_node_of_a_cluster_of_one_is_not_drained(node: Machine, api: Api) -> None:
    """One that takes part alone, as after a change that was given up, has others beside it."""
    node.set(ROLE="control-plane")
    give(node)
    # others that take part are others
    node.write("node-names", "node/k8s04\n")
    assert step(node, "upgrade", "drain").returncode == 0
    assert DRAIN in commands(node)
    (node.folder / "calls").unlink()
    _alone(node)
    node.write("node-names", "node/k8s01\nnode/k8s04\n")
    assert step(node, "upgrade", "drain").returncode == 0
    assert DRAIN in commands(node)
    node.write("node-names", "node/k8s04\n")
    (node.folder / "calls").unlink()
    assert step(node, "upgrade", "drain").returncode == 0
    assert commands(node) == []


def test_a_node_that_can_t_be_drained_takes_pods_again(node: Machine, api: Api) -> None:
    node.write("budgets", "default web 0 2 3 app=web,\n")
    node.write("refuse-drain", "error: unable to drain node\n")
    finish(api, *PLANES)
    assert make(node, AIRSEED_DRAIN_PATIENCE="7").returncode == 1
    assert node.result["message"] == (
        "this node can't be drained within 7 s: pod default/web-1, kept by the budget default/web"
    )
    assert (node.root / "cordon").read_text() == "/"
    assert "change-turn-1" not in api.leases
    assert node.called("systemctl", "restart", "kubelet.service") == []
    (node.root / "refuse-drain").unlink()
    assert make(node).returncode == 0
    assert commands(node)[-1] == UNCORDON


def _away(machine: Machine, *, lone: bool = False) -> None:
    """Have no API server answer until a step has waited a hundred times."""
    machine.write("api-down", "")
    machine.write("node-names", "node/k8s04\n" if lone else "node/k8s01\nnode/k8s04\n")
    machine.stand_in(
        "sleep",
        'echo >>"$R/waits"; [ "$(wc -l <"$R/waits")" -lt 100 ] || rm -f "$R/api-down" "$R/waits"\n'
        "exec /bin/sleep 0.005",
    )


def test_an_api_server_that_is_away_is_no_failure_of_what_asks_it(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    for name in ("upgrade", "drain"):
        _away(node)
        ran = step(node, "upgrade", name)
        assert ran.returncode == 0, ran.stdout
        assert "waiting for the cluster to tell of this node" in ran.stdout
    assert commands(node) == ["kubeadm upgrade node", CORDON, DRAIN]


def test_draining_goes_on_when_the_api_server_is_back(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    node.write("refuse-drain", "error: the connection was refused\n")
    kubectl = (node.folder / "bin/kubectl").read_text()
    _away(node)
    (node.root / "api-down").unlink()
    node.stand_in(
        "kubectl",
        'case "$*" in *" drain k8s04 "*) if [ -e "$R/refuse-drain" ]; then rm "$R/refuse-drain"; '
        f': >"$R/api-down"; exit 1; fi ;; esac\n{kubectl.partition("PRELUDE")[2][1:]}',
    )
    ran = step(node, "upgrade", "drain")
    assert ran.returncode == 0, ran.stdout
    assert len([line for line in commands(node) if line.startswith("drain k8s04 ")]) == 2
    assert (node.root / "cordon").read_text() == "true/ours"


def test_a_node_alone_is_known_by_an_answer_only(node: Machine, api: Api) -> None:
    node.set(ROLE="control-plane")
    give(node)
    _alone(node)
    _away(node, lone=True)
    assert step(node, "upgrade", "drain").returncode == 0
    assert commands(node) == []


YOUNG, OLD = "true 2026-01-01T00:01:00Z\n", "true 2025-01-01T00:01:00Z\n"


@pytest.mark.parametrize(
    ("pods", "kubelet", "well"),
    [
        (YOUNG * 4, "Thu 2026-01-01 00:00:00 UTC", True),
        (YOUNG * 4, "", False),
        # of before kubelet's start, not running, or about to be named again
        (YOUNG * 3 + OLD, "Thu 2026-01-01 00:00:00 UTC", False),
        (YOUNG * 3 + "false \n", "Thu 2026-01-01 00:00:00 UTC", False),
        (YOUNG * 3, "Thu 2026-01-01 00:00:00 UTC", False),
    ],
)
def test_static_pods_that_are_new_already_need_no_long_look(
    plane: Machine, pods: str, kubelet: str, well: bool
) -> None:
    plane.write("kubelet-version", "1.19.5\n")
    plane.write("control-plane", pods)
    answer = f'case $* in show*) echo "ActiveEnterTimestamp={kubelet}" ;; esac'
    plane.stand_in("systemctl", answer)
    plane.environment |= {"AIRSEED_GOOD_SECONDS": "4", "AIRSEED_READY_PATIENCE": "2"}
    assert (step(plane, "upgrade", "settle").returncode == 0) == well


@pytest.mark.parametrize(
    ("manifest", "inactive", "well"),
    [("", "", True), ("", "kubelet.service", False), ("haproxy.yaml", "", False)],
)
def test_a_worker_without_static_pods_needs_no_long_look(
    node: Machine, manifest: str, inactive: str, well: bool
) -> None:
    """Kubelet makes nothing else anew. One that has ended is called Ready for a while."""
    node.write("kubelet-version", "1.19.5\n")
    node.write("inactive", f"{inactive}\n")
    if manifest:
        node.write(f"etc/kubernetes/manifests/{manifest}", "kind: Pod\n")
    node.environment |= {"AIRSEED_GOOD_SECONDS": "4", "AIRSEED_READY_PATIENCE": "2"}
    assert (step(node, "upgrade", "settle").returncode == 0) == well


def test_a_full_disk_is_found_before_anything_is_touched(node: Machine, api: Api) -> None:
    node.set(NEED_MIB="99999999")
    give(node)
    finish(api, *PLANES)
    assert make(node).returncode == 1
    assert node.result["step"] == "examine"
    assert "this node needs 99999999 MiB for packages and images" in node.result["message"]
    assert node.result["hint"] == "make the disk larger"
    assert commands(node) == []
    node.set(NEED_MIB="1")
    give(node)
    assert make(node).returncode == 0
