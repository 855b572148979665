"""Changes to a cluster that runs: how stages begin and end, and what is left behind."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from changes_node import (
    DIGEST,
    ID,
    PLANES,
    commands,
    finish,
    give,
    make,
    step,
)

if TYPE_CHECKING:
    from api_server import Api
    from conftest import Machine


def test_a_worker_goes_when_the_control_planes_are_done(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith(f"airseed: {ID} is done\n")
    # the last one makes room for the next change
    assert sorted(api.leases) == [f"change-{ID}.{name}" for name in (*PLANES, "k8s04")]
    labels = {"change": ID, "digest": DIGEST[:12], "stage": "1"}
    assert api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"] == labels
    text = (node.root / "etc/airseed/node.env").read_text()
    assert "AIRSEED_KUBERNETES=1.19.5\n" in text
    assert "AIRSEED_CHANGE=" not in text
    assert "AIRSEED_STAGE" not in text
    assert {path.name for path in (node.root / "etc/airseed/change").iterdir()} == {"id", "stages"}
    assert node.called("systemctl", "disable", "airseed-change.service")
    assert (node.result["plan"], node.result["state"]) == ("upgrade", "done")
    again = make(node)
    assert (again.returncode, again.stdout) == (0, f"airseed: {ID} is done\n")


def test_a_worker_moves_to_the_endpoint_that_came_up_before(node: Machine, api: Api) -> None:
    node.set(ENDPOINT_NEXT=f"127.0.0.1:{api.port}")
    give(node, "endpoint", "move")
    finish(api, *PLANES, stage=2)
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    text = (node.root / "etc/kubernetes/kubelet.conf").read_text()
    assert f"    server: https://127.0.0.1:{api.port}\n" in text
    restarts = node.called("systemctl", "restart")
    assert restarts == [["systemctl", "restart", "kubelet.service"]]
    assert "ENDPOINT_NEXT" not in (node.root / "etc/airseed/node.env").read_text()
    # settings are the control planes' alone here
    assert node.called("kubeadm") == []


def test_the_last_one_takes_back_what_nodes_could_do(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    assert make(node).returncode == 0
    rules = "/apis/rbac.authorization.k8s.io/v1"
    assert [path for method, path in api.seen if method == "DELETE" and path.startswith(rules)] == [
        f"{rules}/clusterrolebindings/airseed:change",
        # without this one nobody may ask for anything
        f"{rules}/namespaces/airseed/rolebindings/change-nodes",
    ]
    assert not api.opened
    assert "change" not in api.leases


def test_who_was_cut_off_when_done_needs_nobody_after_the_last(node: Machine, api: Api) -> None:
    """Its Lease said that it was done, and the last one has shut the door meanwhile."""
    node.set(COUNT="4")
    give(node)
    finish(api, *PLANES)
    stage = {"AIRSEED_STAGE": "1", "AIRSEED_TURN_PATIENCE": "0"}
    env = node.root / "etc/airseed/change/1.env"
    env.write_text(env.read_text().replace("AIRSEED_COUNT=3", "AIRSEED_COUNT=4"))
    assert node.run("run", "upgrade", environment=stage).returncode == 0
    assert api.opened
    api.opened = False
    stamps = node.state / f"changes/{ID}/1/stamps"
    for name in ("step-release", "plan-upgrade"):
        (stamps / name).unlink()
    ran = node.run("run", "upgrade", environment=stage)
    assert ran.returncode == 0, ran.stdout
    assert "waiting" not in ran.stdout
    # who was not done has to be let in again
    (stamps / "released").unlink()
    for path in (stamps / "step-release", stamps / "plan-upgrade", stamps.parent / "over"):
        path.unlink()
    assert node.run("run", "upgrade", environment=stage).returncode == 1
    assert "does not let this node take part in the change" in node.result["message"]


@pytest.mark.parametrize(
    "lost",
    [
        ("DELETE", "/clusterrolebindings/airseed:change"),
        ("DELETE", "/leases/change"),
        ("DELETE", "/rolebindings/change-nodes"),
        ("DELETE", "/leases/change-turn-1"),
        ("GET", "/leases/change-turn-1"),
    ],
)
def test_no_right_and_no_turn_is_left_where_a_word_was_lost(
    node: Machine, api: Api, lost: tuple[str, str]
) -> None:
    """What lets the binding be taken away goes with it: whoever asks again may not ask that."""
    finish(api, *PLANES)
    api.hold("change", f"{ID} {DIGEST[:12]}")
    api.hold("change-turn-1", "k8s04", change=ID)
    api.lost.append(lost)
    ran = step(node, "upgrade", "release")
    assert ran.returncode == 0, ran.stdout
    assert api.lost == []
    assert (api.opened, api.drained) == (False, False)
    assert sorted(api.leases) == [f"change-{ID}.{name}" for name in (*PLANES, "k8s04")]


def test_a_node_that_has_no_part_in_the_last_stage_is_through(node: Machine, api: Api) -> None:
    give(node, "configure", "configure")
    node.write("etc/airseed/change/stages", "1 configure\n")
    env = node.root / "etc/airseed/change/1.env"
    env.write_text(env.read_text().replace("AIRSEED_LAST=2", "AIRSEED_LAST=1"))
    finish(api, *PLANES)
    assert make(node).returncode == 0
    assert (node.result["state"], node.result["stage"]) == ("done", "1")
    # the others are at it still
    assert "change" in api.leases


def test_who_has_no_part_in_a_stage_does_not_count_in_it(node: Machine, api: Api) -> None:
    give(node, "endpoint", "upgrade")
    node.write("etc/airseed/change/stages", "2 upgrade\n")
    finish(api, "k8s01", "k8s02")
    environment = {"AIRSEED_STAGE": "2", "AIRSEED_TURN_PATIENCE": "1"}
    assert node.run("run", "upgrade", "turn", environment=environment).returncode == 1
    labels = api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"]
    assert labels == {"change": ID, "digest": DIGEST[:12], "stage": "0", "ready": "2"}
    assert "this node waits for all 3 nodes to be done with stage 1" in node.result["message"]


def test_nothing_secret_stays_where_the_power_went_after_the_stamp(node: Machine, api: Api) -> None:
    node.write(f"var/lib/airseed/changes/{ID}/change", "airseed 1 change - 0 1 .\n")
    for path in ("change/1.env", "change/1.yaml", "change.old/1.yaml"):
        node.write(f"etc/airseed/{path}", "token\n", 0o600)
    node.write("etc/airseed/change.new/1.yaml", "token\n", 0o600)
    assert make(node).returncode == 0
    assert {path.name for path in (node.root / "etc/airseed/change").iterdir()} == {"id", "stages"}
    assert not (node.root / "etc/airseed/change.old").exists()
    assert not (node.root / "etc/airseed/change.new").exists()


def test_no_node_stays_cordoned_by_a_change_that_was_given_up(node: Machine, api: Api) -> None:
    """Its place may be taken by one that drains nobody."""
    node.write("cordon", "true/000-upgrade-1.18.5")
    assert step(node, "configure", "release").returncode == 0
    assert (node.root / "cordon").read_text() == "/"


def test_a_torn_list_of_packages_is_none(node: Machine, api: Api) -> None:
    node.write("var/lib/airseed/yum-runs", "\0" * 30)
    ran = step(node, "upgrade", "mend")
    assert ran.returncode == 0, ran.stdout
    # yum ends where it is to install nothing at all
    assert commands(node) == []


def test_a_certificate_that_has_ended_is_named(node: Machine, api: Api) -> None:
    api.opened = False
    past = node.authority.in_folder(node.folder / "past")
    past.issue("ended", life=dt.timedelta(hours=1))
    pem = b"".join((past.folder / f"ended.{half}").read_bytes() for half in ("crt", "key"))
    node.write("var/lib/kubelet/pki/kubelet-client-current.pem", pem, 0o600)
    assert step(node, "upgrade", "agree").returncode == 1
    assert node.result["message"] == (
        "kubelet's certificate has ended, so the API server knows this node no more"
    )
    assert node.result["hint"].startswith("airseed changes --renew DAYS brings the node back; ")


def test_a_clock_that_was_set_back_is_named(node: Machine, api: Api) -> None:
    """Not waited for as an API server that does not answer."""
    api.opened = False
    later = node.authority.in_folder(node.folder / "later")
    later.issue("early", since=dt.timedelta(hours=1))
    pem = b"".join((later.folder / f"early.{half}").read_bytes() for half in ("crt", "key"))
    node.write("var/lib/kubelet/pki/kubelet-client-current.pem", pem, 0o600)
    assert step(node, "upgrade", "agree").returncode == 1
    assert "clock says " in node.result["message"]
    assert "before kubelet's certificate counts" in node.result["message"]
    assert node.result["hint"].startswith("set the clock, ")
