"""Turns among the machines of a change: who waits for whom, and who loses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from changes_node import (
    DIGEST,
    DRAIN,
    ID,
    PLANES,
    commands,
    finish,
    give,
    make,
    run_script,
    script,
    step,
)

if TYPE_CHECKING:
    from api_server import Api
    from conftest import Machine


def test_a_worker_waits_for_the_control_planes(node: Machine, api: Api) -> None:
    finish(api, "k8s01")
    ran = make(node, AIRSEED_TURN_PATIENCE="1")
    assert ran.returncode == 1
    assert "waiting for k8s02 to be done: control planes go one after another" in ran.stdout
    assert "nothing has moved for 0 minutes; this node waits for k8s02" in node.result["message"]
    assert "change-turn-1" not in api.leases
    assert api.leases["change"]["spec"]["holderIdentity"] == f"{ID} {DIGEST[:12]}"
    # the next run goes on
    finish(api, "k8s02")
    assert make(node).returncode == 0


def test_who_is_next_is_told_by_the_api_server(node: Machine, api: Api) -> None:
    """No pause is short enough to be as soon."""
    finish(api, "k8s01")
    node.stand_in("sleep", "[[ $1 == 0.2 ]] || exec /bin/sleep 600\nexec /bin/sleep 0.02")
    ask = api.answer

    def told(method: str, path: str, *words: Any) -> Any:
        if path.endswith("&watch=1"):
            finish(api, "k8s02")
        return ask(method, path, *words)

    api.answer = told  # type: ignore[method-assign]
    ran = step(node, "upgrade", "turn")
    assert ran.returncode == 0, ran.stdout
    assert api.leases["change-turn-1"]["spec"]["holderIdentity"] == "k8s04"
    watched = [path for _, path in api.seen if path.endswith("&watch=1")]
    assert len(watched) == 1
    assert f"?labelSelector=change%3D{ID}&resourceVersion=" in watched[0]


def test_the_next_one_may_go_after_two_requests(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    api.hold(f"change-{ID}.k8s04", "k8s04", change=ID, stage="0", ready="1")
    assert step(node, "upgrade", "release").returncode == 0
    leases = "/apis/coordination.k8s.io/v1/namespaces/airseed/leases"
    assert [(method, path.partition("?")[0]) for method, path in api.seen[:2]] == [
        ("GET", leases),
        ("PUT", f"{leases}/change-{ID}.k8s04"),
    ]
    assert api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"]["stage"] == "1"


def test_a_second_change_is_refused(node: Machine, api: Api) -> None:
    api.hold("change", f"002-renew {'e' * 12}")
    ran = make(node)
    assert ran.returncode == 1
    assert node.result["step"] == "agree"
    assert node.result["message"] == (
        f"another change is under way in this cluster: 002-renew {'e' * 12}; "
        f"this one is {ID} {DIGEST[:12]}"
    )
    assert node.result["hint"].startswith("let that one end (airseed-status on each machine ")
    assert commands(node) == []
    # it has touched nothing, and is in no other one's way
    ran = run_script(node, script(node, CHANGE="002-renew", NODE="k8s05"))
    assert "this machine is k8s04" in ran.stdout
    assert (node.root / "etc/airseed/change/refused").exists()
    node.write("etc/airseed/change/instead", "")
    finish(api, *PLANES)
    assert make(node).returncode == 0


def test_a_copy_of_the_same_name_and_other_content_is_refused(node: Machine, api: Api) -> None:
    """What the others did by theirs is not done by this one, and the right one may come here."""
    for name in PLANES:
        api.hold(f"change-{ID}.{name}", name, change=ID, digest="e" * 12, stage="1")
    node.write("etc/airseed/change/instead", "")
    node.write(f"var/lib/airseed/changes/{ID}/digest", DIGEST)
    ran = make(node)
    assert ran.returncode == 1
    assert node.result["step"] == "agree"
    assert node.result["message"] == (
        f"this cluster knows another change of the name {ID}: {'e' * 12}; this one is {DIGEST[:12]}"
    )
    assert commands(node) == []
    assert sorted(api.leases) == [f"change-{ID}.{name}" for name in PLANES]
    text = script(node, DIGEST="e" * 64)
    node.stand_in("systemctl", "case $* in is-active*) exit 1 ;; esac")
    assert run_script(node, text, "--no-wait").stdout == ""
    known = node.state / f"changes/{ID}/digest"
    assert known.read_text() == f"{'e' * 64}\n"
    # where something was done the machine stays with it
    node.write(f"var/lib/airseed/changes/{ID}/1/stamps/step-agree", "")
    give(node)
    known.write_text(DIGEST)
    assert make(node).returncode == 1
    assert known.read_text() == DIGEST


def test_a_node_that_may_not_take_part_yet_waits(node: Machine, api: Api) -> None:
    api.opened = False
    finish(api, *PLANES)
    ask = api.answer

    def late(*words: Any) -> Any:
        api.opened = len(api.seen) > 2
        return ask(*words)

    api.answer = late  # type: ignore[method-assign]
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    assert f"waiting for a control plane to let nodes take part in {ID}" in ran.stdout


def test_workers_go_at_most_so_many_at_once(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    api.hold("change-turn-1", "k8s05", change=ID)
    ran = make(node, AIRSEED_TURN_PATIENCE="1")
    assert ran.returncode == 1
    assert "waiting for k8s05 to be done: 1 at a time" in ran.stdout
    # one that has gone away is not waited for for ever
    ran = make(node, AIRSEED_TURN_SECONDS="1")
    assert ran.returncode == 0, ran.stdout
    log = (node.state / f"changes/{ID}/1/log/turn.log").read_text()
    assert "k8s05 has not kept its turn for 1 seconds: taking it over" in log


def test_nobody_loses_a_turn_that_could_not_be_kept(node: Machine) -> None:
    """While no API server answered, whoever has it could say nothing."""
    node.set(PLANES="", COUNT="2", STAGE="1", CHANGE="001-x", AT_ONCE="1")
    ran = node.source(
        "await_turns() { :; }; clock() { printf %d $((ASKED * 200)); }; ASKED=0\n"
        "read_turns() { ASKED=$((ASKED + 1)); [ $ASKED != 2 ] && "
        "printf 'change-turn-1 - k8s05 7 - -\\n' >\"$TURNS\"; }\n"
        "rest() { [ $ASKED -lt 4 ] || exit 0; }; lease_replace() { say taken; exit; }\n"
        "take_turn",
        "turns",
    )
    assert ran.stdout == "waiting for k8s05 to be done: 1 at a time\n"


def test_who_gives_a_turn_back_takes_it_from_nobody(node: Machine, api: Api) -> None:
    """Another one may have taken it over between looking and deleting."""
    finish(api, *PLANES, "k8s05")
    api.hold("change", f"{ID} {DIGEST[:12]}")
    api.hold("change-turn-1", "k8s04", change=ID)
    ask = api.answer

    def taken(method: str, path: str, *words: Any) -> Any:
        if method == "DELETE" and path.endswith("/change-turn-1"):
            lease = api.leases["change-turn-1"]
            if lease["spec"]["holderIdentity"] == "k8s04":
                lease["spec"]["holderIdentity"] = "k8s05"
                lease["metadata"]["resourceVersion"] = "900"
        return ask(method, path, *words)

    api.answer = taken  # type: ignore[method-assign]
    assert step(node, "upgrade", "release").returncode == 0
    assert api.leases["change-turn-1"]["spec"]["holderIdentity"] == "k8s05"


@pytest.mark.parametrize("holder", ["k8s05", "nobody"])
def test_who_has_lost_its_turn_waits_for_it_again(node: Machine, api: Api, holder: str) -> None:
    """It could not be kept for a while, and another machine is at work by now."""
    lost = f"$R/var/lib/airseed/changes/{ID}/1/lost"
    node.stand_in(
        "kubeadm", f'[ -e "$R/cut" ] || {{ : >"$R/cut"; until [ -e {lost} ]; do sleep 1; done; }}'
    )
    finish(api, *PLANES)
    ask = api.answer

    def taken(method: str, path: str, *words: Any) -> Any:
        began = (node.root / "cut").exists() and "k8s05" not in seen
        if method == "GET" and path.endswith("/change-turn-1") and began:
            seen.append("k8s05")
            del api.leases["change-turn-1"]
            if holder != "nobody":
                api.hold("change-turn-1", holder, change=ID)
        elif seen and "=" in path:  # the other one comes to its end
            finish(api, "k8s05")
        return ask(method, path, *words)

    seen: list[str] = []
    api.answer = taken  # type: ignore[method-assign]
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    said = f"this node could not keep its turn, and {holder} has it now"
    assert f"airseed: step turn failed (exit code 1, attempt 1): {said}\n" in ran.stdout
    steps = [line for line in ran.stdout.splitlines() if line.startswith("airseed: step turn")]
    assert len(steps) == 5, ran.stdout  # twice, beside that word
    done = commands(node)
    # what was done in the first turn stays so, and nothing was begun before the second
    assert (done.count("kubeadm upgrade node"), done.count(DRAIN)) == (1, 1)
    assert not (node.state / f"changes/{ID}/1/lost").exists()


def test_a_turn_that_is_left_from_the_stage_before_stops_no_control_plane(
    plane: Machine, api: Api
) -> None:
    """Its holder waits for this very node, or is down since it was done."""
    give(plane, "upgrade", "upgrade")
    finish(api, "k8s02", "k8s04")
    finish(api, "k8s01", stage=2)
    api.hold("change-turn", "k8s03", change=ID)
    environment = {"AIRSEED_STAGE": "2", "AIRSEED_TURN_PATIENCE": "2"}
    ran = plane.run("run", "upgrade", "turn", environment=environment)
    assert ran.returncode == 0, ran.stdout
    assert api.leases["change-turn"]["spec"]["holderIdentity"] == "k8s02"


def test_a_turn_of_one_that_is_done_is_taken_at_once(node: Machine, api: Api) -> None:
    finish(api, *PLANES, "k8s05")
    api.hold("change-turn-1", "k8s05", change=ID)
    ran = make(node)
    assert ran.returncode == 0
    assert "k8s05" not in ran.stdout


def test_a_turn_from_before_a_power_cut_is_ours(node: Machine, api: Api) -> None:
    finish(api, *PLANES)
    api.hold("change-turn-1", "k8s04", change=ID)
    ran = make(node)
    assert ran.returncode == 0
    assert "waiting" not in ran.stdout
    assert "change-turn-1" not in api.leases


def test_a_control_plane_never_takes_the_turn_of_one_that_is_down(plane: Machine, api: Api) -> None:
    api.hold("change-turn", "k8s01", change=ID)
    ran = make(plane, AIRSEED_TURN_SECONDS="0", AIRSEED_TURN_PATIENCE="2")
    assert ran.returncode == 1
    assert "waiting for k8s01 to be done: control planes go one after another" in ran.stdout
    assert api.leases["change-turn"]["spec"]["holderIdentity"] == "k8s01"
    finish(api, "k8s01")
    assert make(plane).returncode == 0
    assert "kind: Role" in (plane.root / "applied-by-hand").read_text()


def test_a_stage_begins_when_all_are_done_with_the_one_before(node: Machine, api: Api) -> None:
    give(node, "upgrade", "upgrade")
    finish(api, *PLANES, stage=2)
    finish(api, "k8s02", stage=0)
    ran = make(node, AIRSEED_TURN_PATIENCE="1")
    assert ran.returncode == 1
    finish(api, *PLANES, stage=2)
    ran = make(node)
    assert ran.returncode == 0, ran.stdout
    assert api.leases[f"change-{ID}.k8s04"]["metadata"]["labels"]["stage"] == "2"


def test_the_certificate_is_all_that_a_node_shows(node: Machine, api: Api) -> None:
    seen: list[Any] = []
    ask = api.answer
    api.answer = lambda *words: (seen.append(words[3]), ask(*words))[1]  # type: ignore[method-assign]
    finish(api, *PLANES)
    assert make(node).returncode == 0
    assert set(seen) == {"system:serviceaccount:airseed:change"}


@pytest.mark.parametrize(
    ("name", "done", "ahead"),
    [
        ("k8s01", "", 0),
        ("k8s03", "", 2),
        ("k8s03", "k8s01", 1),
        ("k8s04", "k8s01", 2),
        ("k8s04", "k8s01 k8s02 k8s03", 1),
        ("k8s04", "k8s01 k8s02 k8s03 k8s05", 0),
    ],
)
def test_who_comes_later_asks_less_often(node: Machine, name: str, done: str, ahead: int) -> None:
    node.set(NODE=name, PLANES="k8s01 k8s02 k8s03", COUNT="5", STAGE="1", CHANGE="001-x")
    node.write("seen", "".join(f"change-001-x.{other} 1 - 7 -\n" for other in done.split()))
    said = node.source(
        'TURNS=$R/seen; READY=; look_ahead; printf %d "$TURNS_AHEAD"', "turns"
    ).stdout
    assert said == str(ahead)
