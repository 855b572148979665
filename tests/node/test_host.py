"""What a machine that shares its kernel can't have of its own: swap and the clock, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

SWAPS = "Filename Type Size Used Priority\n/dev/dm-1 partition 2097148 0 -2\n"
FSTAB = """/dev/mapper/centos-root / xfs defaults 0 0
# /dev/sdb1 swap swap defaults 0 0
/dev/mapper/centos-swap swap swap defaults 0 0
UUID=1\tnone\tswap\tsw,pri=1\t0\t0
/srv/swap /srv/swapped none bind 0 0
"""
PAST = 1_000_000_000
"""Seconds since 1970, long before any authority was made."""


@pytest.fixture
def old(machine: Machine) -> Machine:
    """Return a machine whose clock stands in the past, where waiting takes no time."""
    authority = machine.authority.folder / "ca.crt"
    machine.write("etc/airseed/pki/ca.crt", authority.read_bytes())
    machine.write("etc/airseed/kubeadm.yaml", "kind: JoinConfiguration\n", 0o600)
    machine.stand_in(
        "date",
        'if [ "$*" != +%s ] || [ -e "$R/clock-is-set" ]; then exec /bin/date "$@"; fi\n'
        'said=$(wc -l <"$R/asked" 2>/dev/null || echo 0)\n'
        f'echo >>"$R/asked"; echo $(({PAST} + said))',
    )
    machine.environment["AIRSEED_CLOCK_PATIENCE"] = "5"
    return machine


def test_swap_is_off_and_stays_off(machine: Machine) -> None:
    machine.write("proc/swaps", SWAPS)
    machine.write("etc/fstab", FSTAB)
    unit = "dev-sdc1.swap loaded active active /dev/sdc1"
    machine.stand_in("systemctl", f'[[ $* != *--type=swap* ]] || echo "{unit}"')
    assert machine.boot("host").returncode == 0, machine.result
    assert machine.called("swapoff") == [["swapoff", "-a"]]
    assert (machine.root / "etc/fstab").read_text().splitlines() == [
        "/dev/mapper/centos-root / xfs defaults 0 0",
        "# /dev/sdb1 swap swap defaults 0 0",
        "# off for kubelet: /dev/mapper/centos-swap swap swap defaults 0 0",
        "# off for kubelet: UUID=1\tnone\tswap\tsw,pri=1\t0\t0",
        "/srv/swap /srv/swapped none bind 0 0",
    ]
    # systemd would turn on what no fstab names
    assert ["systemctl", "mask", "dev-sdc1.swap"] in machine.calls
    before = (machine.root / "etc/fstab").read_text()
    assert machine.boot("host").returncode == 0
    assert (machine.root / "etc/fstab").read_text() == before


def test_swap_that_does_not_go_off_is_told(machine: Machine) -> None:
    machine.write("proc/swaps", SWAPS)
    machine.stand_in(
        "swapoff", 'echo "swapoff: /dev/dm-1: swapoff failed: Cannot allocate memory"\nexit 255'
    )
    assert machine.boot("host").returncode == 1
    assert machine.result["step"] == "host"
    assert "Cannot allocate memory" in machine.result["message"]


def test_a_clock_before_the_authority_is_waited_for(old: Machine) -> None:
    old.stand_in("sleep", '[ "$(wc -l <"$R/asked")" -lt 4 ] || touch "$R/clock-is-set"')
    assert old.boot("preflight").returncode == 0, old.result
    (wait,) = old.result["waits"]
    assert wait["for"].startswith("the clock to be set (it is before the cluster's authority")


def test_a_clock_that_nobody_sets_is_told(old: Machine) -> None:
    assert old.boot("preflight").returncode == 1
    assert old.result["step"] == "preflight"
    assert "which is before the cluster's authority was made" in old.result["message"]
    assert old.result["hint"] == "set the clock, or give NTP servers in cluster.yaml"


def test_the_time_servers_of_cluster_yaml_are_asked_when_the_clock_is_wrong(old: Machine) -> None:
    """Whom the image asks may not be there."""
    old.set(NTP="10.0.0.9")
    old.stand_in("chronyd", "")
    old.stand_in("sleep", 'touch "$R/clock-is-set"')
    assert old.boot("preflight").returncode == 0, old.result
    assert "server 10.0.0.9 iburst\n" in (old.root / "etc/chrony.conf").read_text()
    assert ["systemctl", "start", "chronyd.service"] in old.calls


@pytest.mark.parametrize("follows", [True, False])
def test_the_time_servers_are_waited_for_but_not_for_ever(
    machine: Machine, *, follows: bool
) -> None:
    machine.set(NTP="10.0.0.9 10.0.0.10")
    machine.environment["AIRSEED_CLOCK_PATIENCE"] = "0"
    machine.stand_in("chronyd", "")
    state = "Normal" if follows else "Not synchronised"
    machine.stand_in("chronyc", f'echo "Leap status     : {state}"')
    assert machine.boot("identity").returncode == 0, machine.result
    written = (machine.root / "etc/chrony.conf").read_text().splitlines()
    assert written[:2] == ["server 10.0.0.9 iburst", "server 10.0.0.10 iburst"]
    assert ["systemctl", "restart", "chronyd.service"] in machine.calls
    ran = machine.source("wait_for_time", "time")
    assert ran.returncode == 0
    assert ("does not follow 10.0.0.9 10.0.0.10 yet" in ran.stdout) is not follows


def test_a_router_on_the_link_is_reached_at_every_boot(machine: Machine) -> None:
    """The network scripts of EL7 set no route over a router that is in none of the networks."""
    machine.write(
        "addresses",
        "2: eth0    inet 10.0.0.1/32 scope global eth0\n"
        "3: eth1    inet 10.8.0.5/32 scope global eth1\n"
        "3: eth1    inet6 fd00::5/128 scope global\n",
    )
    on_link = "10.0.0.1,default,10.1.0.1 10.8.0.5,10.9.0.0/16,10.8.0.1 fd00::5,default,fd00:1::1"
    machine.set(ON_LINK=on_link)
    for _ in range(2):
        assert machine.run("actions/network").returncode == 0
    wanted = [
        "-4 route replace 10.1.0.1 dev eth0",
        "-4 route replace default via 10.1.0.1 dev eth0",
        "-4 route replace 10.8.0.1 dev eth1",
        "-4 route replace 10.9.0.0/16 via 10.8.0.1 dev eth1",
        "-6 route replace fd00:1::1 dev eth1",
        "-6 route replace default via fd00:1::1 dev eth1",
    ]
    replaced = [call[1:] for call in machine.called("ip") if "replace" in call]
    assert [" ".join(words) for words in replaced] == wanted * 2
    machine.set(ON_LINK="10.7.0.1,default,10.1.0.1")
    ran = machine.run("actions/network")
    assert ran.returncode != 0
    assert "no network card has the address 10.7.0.1" in ran.stdout


def test_phases_to_skip_are_joined_with_those_of_the_scripts(machine: Machine) -> None:
    machine.stand_in("kubeadm", 'printf "%s\\n" "$*" >>"$R/ran"')
    machine.set(SKIP_PHASES="addon/kube-proxy,preflight")
    ran = machine.source(
        "run_kubeadm Port-1 init --skip-phases=etcd,addon; run_kubeadm '' join\n"
        "AIRSEED_SKIP_PHASES=''; run_kubeadm '' join",
        "kubeadm",
    )
    assert ran.returncode == 0, ran.stdout
    seed = " --config " + str(machine.root / "etc/airseed/kubeadm.yaml")
    assert (machine.root / "ran").read_text().splitlines() == [
        (
            "init --skip-phases=etcd,addon,addon/kube-proxy,preflight"
            f" --ignore-preflight-errors=Port-1{seed}"
        ),
        f"join --skip-phases=addon/kube-proxy,preflight{seed}",
        f"join{seed}",
    ]


@pytest.mark.parametrize(
    ("said", "mode", "calls", "config"),
    [
        ("", "Enforcing", ["0"], "permissive"),
        ("permissive", "Disabled", [], "enforcing"),
        ("enforcing", "Permissive", ["1"], "enforcing"),
        ("enforcing", "Disabled", None, "enforcing"),
        ("disabled", "Enforcing", ["0"], "disabled"),
        ("disabled", "Permissive", [], "disabled"),
    ],
)
def test_selinux_is_what_the_site_says(
    machine: Machine, said: str, mode: str, calls: list[str] | None, config: str
) -> None:
    machine.set(SELINUX=said)
    machine.stand_in("getenforce", f"echo {mode}")
    machine.stand_in("uname", "echo 3.10.0")
    file = machine.write("etc/selinux/config", "# modes\nSELINUX=enforcing\nSELINUXTYPE=targeted\n")
    ran = machine.boot("host")
    if calls is None:
        assert ran.returncode == 1
        assert machine.result["message"].startswith("SELinux is disabled on this machine")
        return
    assert ran.returncode == 0, ran.stdout
    assert [call[1] for call in machine.called("setenforce")] == calls
    assert file.read_text() == f"# modes\nSELINUX={config}\nSELINUXTYPE=targeted\n"


@pytest.mark.parametrize("said", ["off", "", "ports"])
def test_firewalld_is_off_or_lets_through_what_the_role_needs(machine: Machine, said: str) -> None:
    machine.set(FIREWALL=said, FIREWALL_PORTS="10250/tcp ipip" if said == "ports" else "")
    machine.stand_in("firewall-cmd", ":")
    assert machine.boot("host").returncode == 0
    for _ in range(2):
        ran = machine.source("open_ports", "firewall")
        assert ran.returncode == 0, ran.stdout
    told = [call[2:] for call in machine.called("firewall-cmd")]
    stopped = machine.called("systemctl", "stop", "firewalld.service")
    if said == "ports":
        rules = [
            ["--add-port=10250/tcp"],
            ["--add-protocol=ipip"],
            ["--zone=trusted", "--add-source=10.222.0.0/18"],
        ]
        # a reload would forget the rules of kube-proxy and of the network's plugin
        assert told == [["--permanent", *rule] for rule in rules] + rules
        assert (stopped, machine.called("systemctl", "start", "firewalld.service")[:1]) == (
            [],
            [["systemctl", "start", "firewalld.service"]],
        )
        machine.without("firewall-cmd")
        ran = machine.source("open_ports", "firewall")
        assert (ran.returncode, "firewalld is not installed" in ran.stdout) == (1, True)
    else:
        assert (told, len(stopped)) == ([], 1)


def test_a_file_gets_the_label_of_its_name(machine: Machine) -> None:
    """By a rename it has that of its folder; hostnamectl may write no /etc/hostname with that."""
    machine.stand_in("restorecon", "exit 1")
    script = (
        'for path in "$R/etc/hostname" "$STATE/result.json"; do echo x | put "$path" 0644; done'
    )
    assert machine.source(script).returncode == 0
    assert not machine.called("restorecon")
    machine.write("sys/fs/selinux/enforce", "1")
    assert machine.source(script).returncode == 0
    assert [call[1] for call in machine.called("restorecon")] == [f"{machine.root}/etc/hostname"]
