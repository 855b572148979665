"""Changes to a cluster that runs: stages, turns among machines, and what goes wrong with them."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder import assets

if TYPE_CHECKING:
    import subprocess

    from api_server import Api
    from conftest import Machine

SCRIPTS = assets.tree("cloudinit-templates") / "node"
BODY = assets.tree("cloudinit-templates") / "actions/change.sh"
ID = "001-upgrade-1.19.5"
DIGEST = "d" * 64
PLANES = ("k8s01", "k8s02")


@pytest.fixture
def node(machine: Machine, api: Api) -> Machine:
    """Return a worker that is in its cluster, with a change of one stage."""
    folder = machine.authority.folder
    machine.set(
        ENDPOINT=f"127.0.0.1:{api.port}",
        SUMS=hashlib.sha256().hexdigest(),
        REGISTRY="registry.lan/k8s",
    )
    machine.write("opt/airseed/bundle/SHA256SUMS", "")
    machine.write("rpms", "kubeadm-1.18.5-0.x86_64\nkubelet-1.18.5-0.x86_64\n")
    embedded = base64.b64encode((folder / "apiserver-kubelet-client.crt").read_bytes()).decode()
    key = base64.b64encode((folder / "apiserver-kubelet-client.key").read_bytes()).decode()
    text = (
        "clusters:\n- cluster:\n    server: https://10.0.0.1:6443\nkind: Config\n"
        f"    client-certificate-data: {embedded}\n    client-key-data: {key}\n"
    )
    for name in ("kubelet", "admin"):
        machine.write(f"etc/kubernetes/{name}.conf", text, 0o600)
    machine.write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
    machine.write("var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\n")
    machine.write("var/lib/airseed/stamps/plan-first-boot", "airseed 1 plan-first-boot - 0 1 .\n")
    machine.write("etc/kubernetes/pki/ca.crt", (folder / "ca.crt").read_bytes())
    machine.give_client()
    soon = {"AIRSEED_LEASE_POLL": "0", "AIRSEED_GOOD_SECONDS": "0", "AIRSEED_NEAR_PATIENCE": "0"}
    machine.environment |= soon
    give(machine)
    return machine


def give(machine: Machine, *plans: str, name: str = ID, digest: str = DIGEST) -> None:
    """Lay a change down, as NODE.sh does."""
    stages = plans or ("upgrade",)
    machine.write("etc/airseed/change/id", f"{name} {digest} {machine.values['NODE']}\n")
    lines = "".join(f"{number} {plan}\n" for number, plan in enumerate(stages, 1))
    machine.write("etc/airseed/change/stages", lines)
    for number in range(1, len(stages) + 1):
        machine.lay_env(
            f"etc/airseed/change/{number}.env",
            KUBERNETES=f"1.{18 + number}.5",
            CHANGE=name,
            STAGE=str(number),
            STAGES=str(len(stages)),
            LAST=str(len(stages)),
            PLANES=" ".join(PLANES),
            COUNT="3",
            NODES=" ".join((*PLANES, "k8s04")),
            COUNT_BEFORE="3" if number > 1 else "0",
            AT_ONCE="1",
            FROM=f"1.{17 + number}.5",
            KUBEADM_PACKAGES=f"kubeadm-1.{18 + number}.5-0.x86_64",
            KUBELET_PACKAGES=f"kubelet-1.{18 + number}.5-0.x86_64",
        )


def finish(api: Api, *names: str, stage: int = 1) -> None:
    for name in names:
        api.hold(f"change-{ID}.{name}", name, change=ID, stage=str(stage))


def make(machine: Machine, **environment: str) -> subprocess.CompletedProcess[str]:
    return machine.run("actions/change", environment=environment)


def step(machine: Machine, plan: str, name: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the first stage alone."""
    return machine.run("run", plan, name, environment={"AIRSEED_STAGE": "1"})


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


@pytest.fixture
def plane(node: Machine, api: Api) -> Machine:
    """Return the second control plane of a cluster that runs."""
    node.set(NODE="k8s02", ROLE="control-plane", ADDRESS="127.0.0.1", ADDRESSES="127.0.0.1")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        text = f"kind: Pod\n  - image: k8s.gcr.io/{name}:1\nstatus: {{}}\n"
        node.write(f"etc/kubernetes/manifests/{name}.yaml", text, 0o600)
    node.write("var/lib/etcd/member/data", "the cluster")
    node.give_pki()
    give(node)
    return node


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


def commands(machine: Machine) -> list[str]:
    """Return what an upgrade did to the machine and to the cluster, in order."""
    words = [" ".join(call) for call in machine.calls]
    marks = ("kubeadm ", "yum ", " drain ", " patch node ", "restart kubelet")
    shown = [line for line in words if any(mark in f" {line}" for mark in marks)]
    return [
        line.partition("--request-timeout=20s ")[2] or line
        for line in shown
        if "--help" not in line
    ]


def _yum(name: str) -> str:
    return (
        "yum -y '--disablerepo=*' '--enablerepo=airseed-*' --disableexcludes=all "
        f"--setopt=skip_missing_names_on_install=False --setopt=exit_on_lock=True install {name}"
    ).replace("'", "")


DRAIN = "drain k8s04 --ignore-daemonsets --delete-local-data --timeout=600s"
CORDON = (
    "patch node k8s04 --type=merge -p "
    f'{{"metadata":{{"annotations":{{"airseed-cordoned":"{ID}"}}}},"spec":{{"unschedulable":true}}}}'
)
UNCORDON = (
    "patch node k8s04 --type=merge -p "
    '{"metadata":{"annotations":{"airseed-cordoned":null}},"spec":{"unschedulable":null}}'
)


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


@pytest.fixture
def first_plane(plane: Machine, api: Api) -> Machine:
    """Return the first control plane of a cluster that runs."""
    plane.set(NODE="k8s01", ROLE="init")
    for name in ("k8s02", "k8s04"):
        api.hold(f"change-{ID}.{name}", name, change=ID, stage="0", ready="1")
    plane.write("etc/airseed/change/1.yaml", "kind: ClusterConfiguration\n", 0o600)
    give(plane)
    return plane


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


def script(machine: Machine, **values: str) -> str:
    """Return NODE.sh for a machine, as it is rendered: values, the body, files, the call."""
    authority = hashlib.sha256((machine.authority.folder / "ca.crt").read_bytes()).hexdigest()
    known = {"CHANGE": ID, "DIGEST": DIGEST, "CLUSTER": "c", "NODE": "k8s04"}
    known |= {"AUTHORITY": authority} | values
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in known.items()]
    env = (machine.root / "etc/airseed/change/1.env").read_text()
    unit = (SCRIPTS / "units/airseed-change.service").read_text()
    files = {
        "0644 scripts units/airseed-change.service": unit,
        "0755 scripts run": "#!/bin/bash\n",
        "0600 change stages": "1 upgrade\n",
        "0600 change 1.env": env,
    }
    laid = "".join(f"lay {where} <<'END'\n{text}END\n" for where, text in files.items())
    return f'#!/bin/bash\n{"".join(lines)}{BODY.read_text()}files() {{\n{laid}}}\nmain "$@"\n'


def run_script(machine: Machine, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = machine.folder / "NODE.sh"
    path.write_text(text)
    machine.environment |= {"CHANGED": f"{SCRIPTS}/actions/change"}
    return machine.run(str(path), *words)


@pytest.fixture
def fresh(node: Machine) -> Machine:
    """Return a node on which systemd runs the change at once, and to its end."""
    text = script(node)
    shutil.rmtree(node.root / "etc/airseed/change")
    (node.folder / "NODE.sh").write_text(text)
    node.environment["CHANGED"] = f"{SCRIPTS}/actions/change"
    node.stand_in(
        "systemctl",
        "case $* in\n"
        '"start airseed-change.service") bash "$CHANGED" || true ;;\n'
        '"restart kubelet.service") echo 1.19.5 >"$R/kubelet-version" ;;\n'
        '"is-active airseed-change.service") exit 1 ;;\nesac',
    )
    return node


def test_the_script_makes_the_change_and_says_so_again(fresh: Machine, api: Api) -> None:
    fresh.stand_in("mv", f'exec "{fresh.folder}/centos/mv" "$@"')
    finish(api, *PLANES)
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith(f"airseed: {ID} is done\n")
    # SELinux lets systemd start nothing that comes from /var by a rename, which may be a disk, too
    paths = ([word for word in call if word.startswith("/")] for call in fresh.called("mv"))
    tops = [{Path(path).relative_to(fresh.root).parts[0] for path in one} for one in paths]
    assert {"usr"} in tops
    assert not [one for one in tops if len(one) != 1]
    assert "AIRSEED_KUBERNETES=1.19.5\n" in (fresh.root / "etc/airseed/node.env").read_text()
    assert (fresh.root / "usr/libexec/airseed/run").stat().st_mode & 0o777 == 0o755
    assert (fresh.root / "etc/airseed/change").stat().st_mode & 0o777 == 0o700
    assert (fresh.root / "etc/systemd/system/airseed-change.service").exists()
    again = fresh.run(str(fresh.folder / "NODE.sh"))
    assert (again.returncode, again.stdout) == (0, f"airseed: {ID} is done on k8s04\n")


def test_the_script_follows_what_systemd_starts_again(fresh: Machine, api: Api) -> None:
    """A step that was killed for want of memory ends the unit, and it comes again in a moment."""
    stamp = f"$R/var/lib/airseed/changes/{ID}/change"
    fresh.stand_in(
        "systemctl",
        f'case $* in is-active*) [ ! -e "$R/began" ] || echo x >{stamp}\n'
        ': >"$R/began" && echo activating && exit 3 ;; esac',
    )
    (fresh.state / f"changes/{ID}").mkdir(parents=True)
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 0, ran.stdout
    # and lays nothing down under its feet
    assert not (fresh.root / "etc/airseed/change").exists()


def test_the_script_of_a_change_that_fails_says_so(fresh: Machine, api: Api) -> None:
    fresh.environment["AIRSEED_TURN_PATIENCE"] = "0"
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 1
    assert f"airseed: {ID} is not done on k8s04" in ran.stdout
    finish(api, *PLANES)
    assert fresh.run(str(fresh.folder / "NODE.sh")).returncode == 0


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        (
            {"NODE": "k8s05"},
            "this machine is k8s04, and this change is for k8s05",
            "run k8s04.sh of the same folder here",
        ),
        (
            {"AUTHORITY": "f" * 64},
            "this machine is in another cluster than c: its ca.crt is not that of this change",
            "compare sha256sum /etc/kubernetes/pki/ca.crt with that of a control plane of c",
        ),
    ],
)
def test_the_script_refuses_other_machines(
    node: Machine, values: dict[str, str], said: str, hint: str
) -> None:
    text = script(node, **values)
    shutil.rmtree(node.root / "etc/airseed/change")
    ran = run_script(node, text)
    assert ran.returncode == 2
    assert ran.stdout == f"error: {said}\nhint: {hint}\n"
    assert node.called("systemctl") == []
    assert not (node.root / "etc/airseed/change").exists()


def test_the_script_refuses_a_second_change(node: Machine) -> None:
    ran = run_script(node, script(node, CHANGE="002-renew"))
    assert ran.returncode == 2
    assert ran.stdout.startswith(f"error: another change is under way on this machine: {ID}\n")
    # what takes the place of another need not be waited for
    node.stand_in("systemctl", "case $* in is-active*) exit 1 ;; esac")
    ran = run_script(node, script(node, CHANGE="002-renew"), "--instead", "--no-wait")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (node.root / "etc/airseed/change/instead").exists()
    assert (node.root / "etc/airseed/change/id").read_text().startswith("002-renew ")
    # also while that one waits for its turn
    node.stand_in(
        "systemctl",
        'case $* in stop*) : >"$R/stopped" ;;\n'
        'is-active*) [ -e "$R/stopped" ] || echo active ;; esac',
    )
    ran = run_script(node, script(node, CHANGE="003-renew"), "--instead", "--no-wait")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (node.root / "etc/airseed/change/id").read_text().startswith("003-renew ")
    # and where its script was cut off between two names
    text = script(node, CHANGE="002-renew")
    (node.root / "etc/airseed/change").rename(node.root / "etc/airseed/change.old")
    ran = run_script(node, text, "--no-wait")
    assert ran.stdout.startswith("error: another change is under way on this machine: 003-renew")
    ran = run_script(node, text, "--nowait")
    assert (ran.returncode, ran.stdout.partition("\n")[0]) == (
        2,
        "error: --nowait is not an option",
    )


def test_a_change_of_the_same_name_and_other_content_is_another_one(
    fresh: Machine, api: Api
) -> None:
    finish(api, *PLANES)
    text = (fresh.folder / "NODE.sh").read_text()
    assert run_script(fresh, text).returncode == 0
    said = (
        f"error: this machine knows another change of the name {ID}: {'d' * 12}, and this one "
        f"is {'e' * 12}\nhint: what was done there would pass for done here: write this one by "
        "a name of its own, with airseed changes --write --instead\n"
    )
    for words in ((), ("--instead",)):
        ran = run_script(fresh, text.replace(DIGEST, "e" * 64), *words)
        assert (ran.returncode, ran.stdout) == (2, said)
    # what is done is said while the next one is under way, too
    give(fresh, name="002-renew", digest="e" * 64)
    again = run_script(fresh, text)
    assert (again.returncode, again.stdout) == (0, f"airseed: {ID} is done on k8s04\n")


def test_the_script_says_how_it_is_used(node: Machine) -> None:
    for option in ("-h", "--help"):
        ran = run_script(node, script(node), option)
        assert ran.returncode == 0
        assert ran.stdout.startswith("usage: NODE.sh [--no-wait | --follow] [--instead]\n\nMake ")
        assert "\n  --instead   take the place of a change that was given up\n" in ran.stdout


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
