"""A machine that leaves, and the control plane that takes it out: quorum first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from api_server import Api, serving

from builder import assets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Authority, Machine

ID = "001-leave-k8s03"
SCRIPTS = assets.tree("cloudinit-templates") / "node"


@pytest.fixture
def etcd(authority: Authority) -> Iterator[Api]:
    """Yield the etcd of this machine and of the one that stays beside it."""
    made = Api(authority)
    made.members = [_member(number) for number in (1, 2, 3)]
    yield from serving(made, "etcd/server", ("127.0.0.1", 0))


def _member(number: int, host: str = "127.0.0.1") -> dict[str, object]:
    host = "10.0.0.3" if number == 3 else host
    return {
        "ID": str(number),
        "name": f"k8s0{number}",
        "peerURLs": [f"https://{host}:2380"],
        "clientURLs": [f"https://{host}:2379"],
    }


@pytest.fixture
def helper(first: Machine, api: Api, etcd: Api) -> Machine:
    """Return a control plane that sees k8s03 out of the cluster."""
    first.set(
        ADDRESS="127.0.0.1",
        ENDPOINT=f"127.0.0.1:{api.port}",
        CHANGE=ID,
        STAGES="1",
        COUNT="2",
        PLANES="k8s01",
        LEAVER="k8s03",
        LEAVER_ADDRESSES="10.0.0.3",
        HELPER="k8s01",
        HELPER_ADDRESS="127.0.0.1",
        SUCCESSOR="",
    )
    first.give_pki()
    first.give_client()
    first.write("etc/kubernetes/kubelet.conf", "kind: Config\n")
    first.environment |= {"AIRSEED_ETCD_PORT": str(etcd.port), "AIRSEED_STAGE": "1"}
    first.environment |= {"AIRSEED_NOW_STEP": "dismiss"}
    first.state.mkdir(parents=True)
    return first


def expel(machine: Machine) -> tuple[int, list[str]]:
    machine.write("etc/airseed/change/id", f"{ID} {'d' * 64} k8s01\n")
    machine.environment.pop("AIRSEED_STAGE", None)
    done = machine.source("expel_member", "members")
    return done.returncode, done.stdout.splitlines()


def test_a_member_goes_when_the_others_have_a_quorum(helper: Machine, etcd: Api) -> None:
    code, said = expel(helper)
    assert (code, said[0]) == (0, "etcd: 2 of the 2 members that stay answer; removing k8s03")
    assert [member["name"] for member in etcd.members] == ["k8s01", "k8s02"]
    # again, after a power cut
    assert expel(helper) == (0, [])


def test_etcd_is_asked_with_a_key_on_an_elliptic_curve(helper: Machine, etcd: Api) -> None:
    """NSS, by which curl of CentOS 7 goes, takes none."""
    helper.stand_in("curl", "exit 58")
    assert expel(helper)[0] == 1
    folder = helper.root / "etc/kubernetes/pki"
    authority = helper.authority.in_folder(folder)
    authority.issue("etcd/peer", of="etcd/ca", curve=True)
    code, said = expel(helper)
    assert (code, said[0]) == (0, "etcd: 2 of the 2 members that stay answer; removing k8s03")
    assert [member["name"] for member in etcd.members] == ["k8s01", "k8s02"]
    # one that another authority has signed is not asked
    for name in ("etcd/ca", "etcd/peer"):
        authority.issue(name, of="etcd/ca", curve=True)
    assert expel(helper)[0] == 1


def test_none_goes_where_the_quorum_would_go_with_it(helper: Machine, etcd: Api) -> None:
    etcd.members = [_member(1), _member(2, "127.0.0.2"), _member(3)]
    code, said = expel(helper)
    assert code == 1
    assert said == [
        (
            "error: without k8s03 etcd would have 2 members, of which 1 answer: that is no quorum; "
            "silent: k8s02 (127.0.0.2)"
        ),
        (
            "hint: start those first, or, where they are dead for good, take them out by a change "
            "before this one; k8s03 stays a member until then"
        ),
    ]
    etcd.members = [_member(3)]
    assert expel(helper)[1][0] == (
        "error: k8s03 is the only member of etcd: what the cluster knows would go with it"
    )
    etcd.quorum = False
    assert expel(helper)[1][0] == "error: etcd has no quorum, so no member can leave it"
    assert ("POST", "/v3/cluster/member/remove") not in etcd.seen


def test_a_member_that_never_started_counts_as_silent(helper: Machine, etcd: Api) -> None:
    unstarted = {"ID": "2", "peerURLs": ["https://127.0.0.1:2380"]}
    etcd.members = [_member(1), unstarted, _member(3)]
    assert "of which 1 answer" in expel(helper)[1][0]


def test_a_dead_machine_is_taken_out_without_a_word_of_it(
    helper: Machine, api: Api, etcd: Api
) -> None:
    helper.environment["READY"] = "Unknown"
    done = helper.run("steps/dismiss.sh")
    assert done.returncode == 0, done.stdout
    assert "k8s03 is dead: it is taken out by what is left" in done.stdout
    assert [member["name"] for member in etcd.members] == ["k8s01", "k8s02"]
    deleted = [call for call in helper.called("kubectl") if "delete" in call]
    assert any("k8s03" in call and "node" in call for call in deleted)
    # it says nothing itself any more
    assert "k8s03" in str(api.leases.keys())


def test_a_live_machine_is_awaited_and_told(helper: Machine, api: Api, etcd: Api) -> None:
    api.hold("leave-k8s03", f"door {ID}")

    def leave() -> None:
        while api.leases["leave-k8s03"]["spec"]["holderIdentity"] != f"go {ID}":
            time.sleep(0.05)
        assert [member["name"] for member in etcd.members] == ["k8s01", "k8s02"]
        api.hold("leave-k8s03", f"gone {ID}")

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    done = helper.run("steps/dismiss.sh")
    thread.join(5)
    assert done.returncode == 0, done.stdout
    assert not thread.is_alive()


def test_a_live_machine_that_does_not_leave_is_left_alone(helper: Machine, etcd: Api) -> None:
    helper.environment["AIRSEED_TURN_PATIENCE"] = "0"
    done = helper.run("steps/dismiss.sh")
    assert done.returncode == 1
    assert "error: k8s03 is alive, but does not leave\n" in done.stdout
    assert len(etcd.members) == 3


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [("10.0.0.3", "10.0.0.3"), ("fd00::3", "[fd00::3]"), ("10.0.0.3", "api.example.com")],
)
def test_the_way_to_an_endpoint_that_leaves_goes_elsewhere(
    helper: Machine, address: str, endpoint: str
) -> None:
    helper.set(LEAVER_ADDRESSES=address, ENDPOINT=f"{endpoint}:6443")
    helper.stand_in("getent", f"[ $2 != api.example.com ] || echo '{address} STREAM {endpoint}'")
    helper.stand_in("ip6tables", "case $* in *-D*) exit 1 ;; esac")
    helper.stand_in("iptables", "case $* in *-D*) exit 1 ;; esac")
    helper.environment.pop("AIRSEED_STAGE")
    program = "ip6tables" if ":" in address else "iptables"
    assert helper.source("detour 127.0.0.1; no_detour", "members").returncode == 0
    rule = (
        f"OUTPUT -d {address} -p tcp --dport 6443 -j DNAT --to-destination 127.0.0.1:6443".split()
    )
    assert helper.called(program) == [
        [program, "-w", "-t", "nat", "-I", *rule],
        [program, "-w", "-t", "nat", "-D", *rule],
    ]


def test_kubeadms_list_of_api_servers_loses_the_one_that_left(helper: Machine) -> None:
    helper.environment.pop("AIRSEED_STAGE")
    status = (
        "apiEndpoints:\\n  k8s01:\\n    advertiseAddress: 10.0.0.1\\n"
        "  k8s03:\\n    advertiseAddress: 10.0.0.3\\napiVersion: kubeadm.k8s.io/v1beta2"
    )
    helper.stand_in(
        "kubectl", f"case $* in *ClusterStatus*get*|*get*ClusterStatus*) printf '{status}' ;; esac"
    )
    assert helper.source("forget_api_server k8s03", "members").returncode == 0
    (patch,) = [call for call in helper.called("kubectl") if "patch" in call]
    assert patch[-1] == (
        '{"data":{"ClusterStatus":"apiEndpoints:\\n  k8s01:\\n    advertiseAddress: 10.0.0.1\\n'
        'apiVersion: kubeadm.k8s.io/v1beta2"}}'
    )


@pytest.fixture
def returned(helper: Machine) -> Machine:
    """Return a control plane that was taken out while it was dead, and is on again."""
    helper.environment.pop("AIRSEED_STAGE")
    helper.write(
        "etc/kubernetes/manifests/etcd.yaml",
        "    - --initial-advertise-peer-urls=https://10.0.0.9:2380\n",
    )
    helper.set(
        ADDRESS="10.0.0.9", NODE="k8s09", ROLE="control-plane", ENDPOINT_PLANES="10.0.0.9 127.0.0.1"
    )
    return helper


def _may_start(machine: Machine, program: str) -> bool:
    """Run what systemd runs before each start of a program, as its drop-ins say."""
    folder = machine.root / f"etc/systemd/system/{program}.service.d"
    lines = "".join(file.read_text() for file in folder.glob("*.conf")).splitlines()
    gates = [line.partition("=")[2] for line in lines if line.startswith("ExecStartPre=/")]
    assert len(gates) == 1
    laid = machine.root / gates[0].removeprefix("/")
    script = laid.read_text() if laid.exists() else gates[0].replace("$$", "$")
    return machine.source(script.replace("/usr/libexec/airseed", str(SCRIPTS))).returncode == 0


@pytest.mark.parametrize("program", ["kubelet", "keepalived"])
def test_who_was_taken_out_while_dead_does_not_come_back(
    returned: Machine, etcd: Api, program: str
) -> None:
    """Else it makes its Node again, and carries the endpoint's address beside who has it."""
    returned.stand_in("ip", "echo '2: eth0    inet 10.0.0.9/24 scope global eth0'")
    returned.set(ENDPOINT="10.0.0.60:6443", ENDPOINT_BY="keepalived")
    returned.environment["AIRSEED_VRRP_PATIENCE"] = "0"
    laid = returned.source("start_members_alone; lay_endpoint", "units", "endpoint")
    assert laid.returncode == 0, laid.stdout
    etcd.members = [_member(1), _member(2)]
    assert not _may_start(returned, program)
    # one of the others that has no quorum says nothing of use, nor does who is silent
    etcd.quorum = False
    assert _may_start(returned, program)
    etcd.quorum = True
    returned.set(ENDPOINT_PLANES="10.0.0.9 127.0.0.2")
    assert _may_start(returned, program)
    # who is a member starts, also before it has said its name
    returned.set(ENDPOINT_PLANES="10.0.0.9 127.0.0.2 127.0.0.1")
    assert not _may_start(returned, program)
    etcd.members.append({"ID": "9", "peerURLs": ["https://10.0.0.9:2380"]})
    assert _may_start(returned, program)
