"""The endpoint that nodes keep up themselves: what is laid down, and what is taken away again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Machine

ADDRESSES = "2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0\\n"
HELD = f"{ADDRESSES}2: eth0    inet 10.0.0.60/32 scope global eth0\\n"
UPSTREAM = Path("/work/shared/upstream/kube-vip")
IP = 'case "$*" in "-o addr show") printf "$(cat "$AIRSEED_ROOT/addresses")" ;; esac'


def plane(machine: Machine, by: str, endpoint: str = "10.0.0.60:6443", **values: str) -> Machine:
    machine.stand_in("ip", IP)
    machine.write("addresses", HELD)
    machine.set(
        ROLE="init",
        ADDRESS="10.0.0.1",
        ENDPOINT=endpoint,
        ENDPOINT_BY=by,
        ENDPOINT_PLANES="10.0.0.1 10.0.0.2 10.0.0.3",
        ENDPOINT_IMAGE="registry.example.com/x:v1" if by != "keepalived" else "",
    )
    machine.set(**values)
    return machine


def lay(machine: Machine, call: str = "lay_endpoint") -> str:
    done = machine.source(call, "endpoint", "undo-endpoint")
    assert done.returncode == 0, done.stdout
    return done.stdout


def pod(machine: Machine, name: str) -> Any:
    return yaml.safe_load((machine.root / f"etc/kubernetes/manifests/{name}.yaml").read_text())


def settings(machine: Machine) -> str:
    return (machine.root / "etc/keepalived/keepalived.conf").read_text()


def test_keepalived_speaks_to_the_other_control_planes_alone(machine: Machine) -> None:
    lay(plane(machine, "keepalived"))
    said = settings(machine)
    assert "multicast" not in said
    assert (
        "    unicast_src_ip 10.0.0.1\n    unicast_peer {\n        10.0.0.2\n        10.0.0.3\n    }"
        in said
    )
    assert "        10.0.0.60/32 dev eth0\n" in said
    assert "    state BACKUP\n    interface eth0\n" in said
    unit = (machine.root / "etc/systemd/system/keepalived.service.d/airseed.conf").read_text()
    assert "Restart=always" in unit
    assert "Wants=network-online.target" in unit.partition("[Service]")[0]
    assert "ExecStopPost=-/sbin/ip address delete 10.0.0.60/32 dev eth0" in unit
    check = machine.root / "usr/libexec/keepalived/airseed-check"
    assert check.stat().st_mode & 0o777 == 0o755
    assert machine.called("systemctl", "restart", "keepalived.service")


def test_the_check_fills_no_memory_with_names(machine: Machine) -> None:
    """Until CentOS 7.9 each curl by https does, unless NSS is told not to measure the disk."""
    machine.stand_in("curl", '[ "$NSS_SDB_USE_CACHE" = no ] && printf 200')
    lay(plane(machine, "keepalived"))
    check = machine.root / "usr/libexec/keepalived/airseed-check"
    assert subprocess.run((check,), env=machine.variables, check=False).returncode == 0
    assert machine.source("curl https://10.0.0.1").returncode == 0


@pytest.mark.parametrize(
    ("code", "good"), [("200", True), ("401", True), ("403", True), ("500", False), ("000", False)]
)
def test_an_api_server_that_tells_strangers_nothing_answers_too(
    machine: Machine, code: str, *, good: bool
) -> None:
    machine.stand_in("curl", f"printf {code}")
    lay(plane(machine, "keepalived"))
    check = machine.root / "usr/libexec/keepalived/airseed-check"
    assert (subprocess.run((check,), env=machine.variables, check=False).returncode == 0) == good


def test_the_check_needs_nothing_that_selinux_refuses_keepalived(machine: Machine) -> None:
    """Its policy lets scripts in that folder do all, but keepalived itself become nobody else."""
    lay(plane(machine, "keepalived"))
    assert '    script "/usr/libexec/keepalived/' in settings(machine)
    assert "    script_user root\n" in settings(machine)


def test_who_answers_outranks_who_does_not_and_the_first_the_others(machine: Machine) -> None:
    priorities = []
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        plane(machine, "keepalived", ADDRESS=address)
        machine.write("addresses", HELD.replace("10.0.0.1/", f"{address}/"))
        lay(machine)
        lines = dict(
            line.split() for line in settings(machine).splitlines() if len(line.split()) == 2
        )
        priorities.append((int(lines["priority"]), int(lines["weight"])))
    assert [priority for priority, _ in priorities] == [100, 99, 98]
    assert min(p + weight for p, weight in priorities) > max(p for p, _ in priorities)


def test_only_what_changed_starts_again(machine: Machine) -> None:
    lay(plane(machine, "keepalived"))
    before = len(machine.called("systemctl"))
    lay(machine)
    assert [call[1:] for call in machine.called("systemctl")[before:]] == [
        ["start", "keepalived.service"]
    ]
    machine.set(ENDPOINT_PLANES="10.0.0.1 10.0.0.2")
    lay(machine)
    assert machine.called("systemctl")[-1][1:] == ["reload", "keepalived.service"]
    assert "10.0.0.3" not in settings(machine)


def test_a_lone_control_plane_speaks_to_itself_alone(machine: Machine) -> None:
    lay(plane(machine, "keepalived", ENDPOINT_PLANES="10.0.0.1"))
    assert "    unicast_peer {\n        10.0.0.1\n    }\n" in settings(machine)


def test_the_address_may_be_on_another_card(machine: Machine) -> None:
    lay(plane(machine, "keepalived", ENDPOINT_CARD="eth1"))
    said = settings(machine)
    assert "    interface eth0\n" in said
    assert "        10.0.0.60/32 dev eth1\n" in said
    assert "    track_interface {\n        eth1\n    }\n" in said  # its link counts, too


def test_its_own_card_is_tracked_anyway(machine: Machine) -> None:
    lay(plane(machine, "keepalived"))
    assert "track_interface" not in settings(machine)


@pytest.mark.parametrize("by", ["keepalived", "kube-vip"])
@pytest.mark.parametrize("card", ["", "eth1"])
def test_a_card_that_is_late_is_named(machine: Machine, by: str, card: str) -> None:
    plane(machine, by, ENDPOINT_CARD=card)
    machine.write("addresses", "")
    done = machine.source("lay_endpoint", "endpoint")
    assert done.returncode == 1
    assert "no network card has the address 10.0.0.1" in done.stdout


def test_a_card_that_is_not_there_is_named(machine: Machine) -> None:
    plane(machine, "keepalived", ENDPOINT_CARD="eth7")
    machine.stand_in("ip", f'{IP}\n[ "$1" != link ]')
    done = machine.source("lay_endpoint", "endpoint")
    assert done.returncode == 1
    assert "this machine has no card eth7 for the endpoint's address" in done.stdout


def test_an_address_that_does_not_come_up_has_a_cause(machine: Machine) -> None:
    plane(machine, "keepalived")
    machine.write("addresses", ADDRESSES)
    machine.stand_in("journalctl", "echo 'VRRP_Instance(endpoint) error: no such device'")
    machine.environment["AIRSEED_ENDPOINT_PATIENCE"] = "1"
    machine.set(ENDPOINT="127.0.0.1:1")
    done = machine.source("lay_endpoint", "endpoint")
    assert done.returncode == 1
    assert "keepalived does not bring 127.0.0.1 up: VRRP_Instance(endpoint) error" in done.stdout


@pytest.mark.parametrize("role", ["init", "control-plane"])
def test_an_address_that_another_machine_has_too_is_let_go_of(machine: Machine, role: str) -> None:
    plane(machine, "keepalived", ROLE=role)
    machine.environment["RIVAL"] = "52:54:00:00:00:09"
    for _ in range(2):
        done = machine.source("lay_endpoint", "endpoint")
        assert done.returncode == 1
        assert "the endpoint's address, too: 10.0.0.60 is at 52:54:00:00:00:09" in done.stdout
        assert [call[1:] for call in machine.called("systemctl")[-2:]] == [
            ["disable", "keepalived.service"],
            ["stop", "keepalived.service"],
        ]
    del machine.environment["RIVAL"]
    lay(machine)
    assert machine.called("systemctl")[-1] == ["systemctl", "restart", "keepalived.service"]
    # one after another may have it from now on
    machine.environment["RIVAL"] = "52:54:00:00:00:09"
    lay(machine)


@pytest.mark.parametrize("rival", ["", "52:54:00:00:00:09"])
def test_by_ipv6_who_has_the_address_lets_go_of_it_to_ask(machine: Machine, rival: str) -> None:
    plane(machine, "keepalived", "[fd00::60]:6443", ADDRESS="fd00::1", ENDPOINT_PLANES="fd00::1")
    machine.write(
        "addresses", "2: eth0    inet6 fd00::1/64 scope global\\n2: eth0    inet6 fd00::60/128\\n"
    )
    machine.stand_in(
        "ip",
        f"{IP}\n[ \"$1 $2\" != 'neigh show' ] || echo 'fd00::60 {rival and 'lladdr'} {rival}'",
    )
    done = machine.source("lay_endpoint", "endpoint")
    asked = [call[1:] for call in machine.calls if call[0] in {"ip", "systemctl"}]
    dropped = asked.index(["address", "delete", "fd00::60/128", "dev", "eth0"])
    assert asked[dropped + 1] == ["neigh", "delete", "fd00::60", "dev", "eth0"]
    if rival:
        assert (done.returncode, f"fd00::60 is at {rival}" in done.stdout) == (1, True), done.stdout
        assert asked[-1] == ["stop", "keepalived.service"]
    else:
        assert done.returncode == 0, done.stdout
        assert ["restart", "keepalived.service"] in asked[dropped:]


def test_another_control_plane_may_have_the_address(machine: Machine) -> None:
    plane(machine, "keepalived", ROLE="control-plane")
    machine.write("addresses", ADDRESSES)
    machine.environment["RIVAL"] = "52:54:00:00:00:09"
    lay(machine)
    assert not machine.called("arping")


def test_kube_vip_does_not_begin_where_a_stranger_has_the_address(machine: Machine) -> None:
    plane(machine, "kube-vip", "127.0.0.1:1")
    machine.environment["RIVAL"] = "52:54:00:00:00:09"
    done = machine.source("lay_endpoint", "endpoint")
    assert (done.returncode, "127.0.0.1 is at 52:54:00:00:00:09" in done.stdout) == (1, True)
    assert not (machine.root / "etc/kubernetes/manifests/kube-vip.yaml").exists()
    lay(plane(machine, "kube-vip", "127.0.0.1:1", ROLE="control-plane"))
    lay(plane(machine, "kube-vip", "127.0.0.1:1"))  # that is the cluster's own by now


def test_workers_have_nothing_of_an_address(machine: Machine) -> None:
    for by in ("keepalived", "kube-vip"):
        lay(plane(machine, by, ROLE="worker"))
    assert not machine.called("systemctl")
    assert not (machine.root / "etc/keepalived").exists()
    assert not (machine.root / "etc/kubernetes/manifests").exists()


@pytest.mark.parametrize(
    ("address", "file"), [("10.211.55.60", "pod-arp-1.2.3"), ("fd00::60", "pod-arp-ipv6-1.2.3")]
)
def test_kube_vip_is_what_its_own_program_prints(machine: Machine, address: str, file: str) -> None:
    upstream = UPSTREAM / f"{file}.yaml"
    if not upstream.exists():
        pytest.skip(f"{upstream} is not here")
    host = f"[{address}]" if ":" in address else address
    image = "ghcr.io/kube-vip/kube-vip:v1.2.3"
    lay(plane(machine, "kube-vip", f"{host}:6443", ENDPOINT_IMAGE=image))
    made = pod(machine, "kube-vip")
    # a file that is not there yet is waited for: else a folder would be made in its place
    assert made["spec"]["volumes"][0]["hostPath"].pop("type") == "File"
    assert made["metadata"].pop("annotations") == {"airseed-settings": "none"}
    assert made == yaml.safe_load(upstream.read_text())


def test_kube_vip_starts_a_cluster_by_the_file_that_may(machine: Machine) -> None:
    plane(machine, "kube-vip", KUBEADM_FILES="admin.conf super-admin.conf")
    lay(machine)
    path = pod(machine, "kube-vip")["spec"]["volumes"][0]["hostPath"]
    assert path["path"] == "/etc/kubernetes/super-admin.conf"
    lay(machine, "stamp joined; lay_endpoint")
    path = pod(machine, "kube-vip")["spec"]["volumes"][0]["hostPath"]
    assert path["path"] == "/etc/kubernetes/admin.conf"
    machine.set(ROLE="init")
    lay(machine, "unstamp joined; AIRSEED_NOW_PLAN=renew; lay_endpoint")
    path = pod(machine, "kube-vip")["spec"]["volumes"][0]["hostPath"]
    assert path["path"] == "/etc/kubernetes/admin.conf"
    machine.set(ROLE="control-plane")
    lay(machine, "unstamp joined; lay_endpoint")
    path = pod(machine, "kube-vip")["spec"]["volumes"][0]["hostPath"]
    assert path["path"] == "/etc/kubernetes/admin.conf"


def test_kube_vip_starts_again_with_a_renewed_certificate(machine: Machine) -> None:
    seen = []
    for content in ("one", "one", "two"):
        plane(machine, "kube-vip").write("etc/kubernetes/admin.conf", content)
        lay(machine)
        seen.append(pod(machine, "kube-vip")["metadata"]["annotations"]["airseed-settings"])
    assert seen[0] == seen[1] != seen[2]


def test_a_name_leads_to_this_machine_first_and_then_to_the_control_planes(
    machine: Machine,
) -> None:
    plane(machine, "local-proxy", "api.cluster.local:6443", ROLE="worker", ADDRESS="10.0.0.4")
    lay(machine)
    lay(machine)
    assert (machine.root / "etc/hosts").read_text() == (
        "127.0.0.1 localhost\n# airseed endpoint begins\n127.0.0.1 api.cluster.local\n"
        "10.0.0.1 api.cluster.local\n10.0.0.2 api.cluster.local\n10.0.0.3 api.cluster.local\n"
        "# airseed endpoint ends\n"
    )
    said = (machine.root / "etc/airseed/proxy/haproxy.cfg").read_text()
    assert "    bind 127.0.0.1:6443\n" in said
    assert "    server control-plane-3 10.0.0.3:6443\n" in said


def test_a_control_plane_asks_its_own_api_server_and_needs_no_proxy(machine: Machine) -> None:
    lay(plane(machine, "local-proxy", "api.cluster.local:6443"))
    assert "10.0.0.1 api" not in (machine.root / "etc/hosts").read_text()
    assert not (machine.root / "etc/kubernetes/manifests").exists()


def test_a_proxy_of_ipv6(machine: Machine) -> None:
    plane(machine, "local-proxy", "api.cluster.local:6443", ROLE="worker", ADDRESS="fd00::4")
    machine.set(ENDPOINT_PLANES="fd00::1 fd00::2")
    lay(machine)
    assert "\n::1 api.cluster.local\nfd00::1 api" in (machine.root / "etc/hosts").read_text()
    said = (machine.root / "etc/airseed/proxy/haproxy.cfg").read_text()
    assert "    bind [::1]:6443\n" in said
    assert "    server control-plane-2 [fd00::2]:6443\n" in said


def test_the_proxy_starts_again_when_its_settings_are_others(machine: Machine) -> None:
    plane(machine, "local-proxy", "api.cluster.local:6443", ROLE="worker", ADDRESS="10.0.0.4")
    seen = []
    for planes in ("10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.3"):
        machine.set(ENDPOINT_PLANES=planes)
        lay(machine)
        seen.append(pod(machine, "airseed-proxy")["metadata"]["annotations"]["airseed-settings"])
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("by", ["", "kube-vip", "local-proxy"])
def test_another_way_takes_the_place_of_the_one_before(machine: Machine, by: str) -> None:
    lay(plane(machine, "keepalived"))
    endpoint = "api.cluster.local:6443" if by == "local-proxy" else "10.0.0.60:6443"
    plane(machine, by, endpoint)
    lay(machine, "lay_endpoint; take_endpoint_away")
    assert ["systemctl", "stop", "keepalived.service"] in machine.calls
    assert not (machine.root / "etc/keepalived/keepalived.conf").exists()
    assert not (machine.root / "etc/systemd/system/keepalived.service.d/airseed.conf").exists()


@pytest.mark.parametrize("address", ["10.0.0.60", "fd00::60"])
def test_an_address_that_a_killed_kube_vip_left_behind_goes(machine: Machine, address: str) -> None:
    host, length = (f"[{address}]", 128) if ":" in address else (address, 32)
    plane(machine, "kube-vip", f"{host}:6443")
    machine.write(
        "addresses", f"{ADDRESSES}2: eth0    inet {address}/{length} scope global eth0\\n"
    )
    lay(
        machine,
        "lay_endpoint; AIRSEED_ENDPOINT=other:6443 AIRSEED_ENDPOINT_BY='' take_endpoint_away",
    )
    assert machine.called("ip")[-1][1:] == [
        "address",
        "delete",
        f"{address}/{length}",
        "dev",
        "eth0",
    ]
    assert not (machine.root / "etc/kubernetes/manifests/kube-vip.yaml").exists()


def test_nothing_of_an_endpoint_stays(machine: Machine) -> None:
    files = sorted(machine.root.rglob("*"))
    plane(machine, "local-proxy", "api.cluster.local:6443", ROLE="worker", ADDRESS="10.0.0.4")
    lay(machine)
    machine.set(ENDPOINT_BY="")
    lay(machine, "take_endpoint_away")
    left = [path.name for path in machine.root.rglob("*") if path not in files and path.is_file()]
    assert left == ["addresses"]
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n"


def test_what_the_user_keeps_up_himself_stays(machine: Machine) -> None:
    machine.write("etc/kubernetes/manifests/kube-vip.yaml", "kind: Pod\n")
    machine.write("etc/keepalived/keepalived.conf", "# mine\n")
    machine.set(ENDPOINT_BY="")
    lay(machine)
    lay(machine, "take_endpoint_away")
    assert not machine.called("systemctl")
    assert (machine.root / "etc/kubernetes/manifests/kube-vip.yaml").read_text() == "kind: Pod\n"
    assert settings(machine) == "# mine\n"
