"""The runner: order, stamps, retries, and what a power cut at any moment leaves."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- opens nothing
STEPS = [
    "before",
    "preflight",
    "host",
    "identity",
    "packages",
    "time",
    "runtime",
    "images",
    "endpoint",
    "kubeadm",
    "addons",
    "after",
    "finish",
]


@pytest.fixture
def alone(first: Machine) -> Machine:
    """Return a lone node, whose packages are installed and whose images are pulled."""
    first.set(REGISTRY="registry.lan/k8s", UNTAINT="1", CNI="none")
    first.write("rpms", "kubeadm-1.18.5-0\n")
    first.set(PACKAGES="kubeadm-1.18.5-0")
    first.write("opt/airseed/bundle/SHA256SUMS", "")
    first.set(SUMS="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    first.write("joined-control-planes", "node/k8s01\n")
    return first


def test_a_single_node_comes_up(alone: Machine) -> None:
    ran = alone.boot()
    assert ran.returncode == 0, ran.stdout
    assert alone.result["state"] == "done"
    assert [step["name"] for step in alone.result["steps"]] == STEPS
    assert [
        line for line in ran.stdout.splitlines() if re.fullmatch(r"airseed: step \w+", line)
    ] == [f"airseed: step {name}" for name in STEPS]


def test_a_finished_node_does_nothing(alone: Machine) -> None:
    alone.boot()
    (alone.folder / "calls").unlink()
    alone.set(GENERATION="2")  # a new instance-id on a finished node
    ran = alone.boot()
    assert (ran.returncode, ran.stdout) == (0, "airseed: this node is finished, nothing to do\n")
    assert alone.calls == []


def test_the_last_word_reaches_home(alone: Machine) -> None:
    """The process lives until it does: systemd would end what sends it.

    And each word shows whose it is, by a token that no argument shows.
    """
    heard, seen = [], set()
    token = "0f" * 32

    class Home(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            result = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if str(self.server.server_port).encode() in (words := process.read_bytes()):
                        seen.add(token.encode() in words)
            time.sleep(0.5 if result["state"] == "done" else 0)
            heard.append((result["state"], self.headers["Authorization"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Home) as home:
        thread = threading.Thread(target=home.serve_forever)
        thread.start()
        alone.set(PHONE_HOME=f"http://127.0.0.1:{home.server_port}/")
        alone.write("etc/airseed/phone-home.curl", f'header = "Authorization: Bearer {token}"\n')
        ran = alone.boot()
        at_the_end = list(heard)
        home.shutdown()
        thread.join()
    assert ran.returncode == 0, ran.stdout
    assert at_the_end[-1][0] == "done"
    assert {state for state, _ in at_the_end} <= {"running", "waiting", "done"}
    assert {shown for _, shown in at_the_end} == {f"Bearer {token}"}
    assert seen == {False}


def test_a_failure_is_told_and_tried_again(alone: Machine) -> None:
    """The third try works: until then result.json has cause and hint, in whatever words."""
    alone.set(PACKAGES="docker-ce-3:19.03.9-3.el7")
    hostile = (
        'bad "quote" \\ back\\n \x1b[31m red \x07 \xff\xfe tab\t und Ümlaut \u2028 ' + "x" * 900
    )
    alone.write(
        "hostile", hostile.encode("utf-8", "surrogateescape") + b"\n\xc3\x28 cut \xe2\x82\n"
    )
    keep = 'cp "$R/var/lib/airseed/result.json" "$R/seen-$(grep -c ^sleep "$CALLS")"'
    alone.stand_in("sleep", f"{keep}; exec /bin/sleep 0.01")
    alone.stand_in(
        "yum",
        'if [ "$(grep -c "^yum " "$CALLS")" -lt 3 ]; then\n'
        'cat "$R/hostile"; echo "Error: disk I/O"; exit 7; fi\n'
        'echo docker-ce-19.03.9-3.el7 >>"$R/rpms"',
    )
    ran = alone.boot()
    assert ran.returncode == 0, ran.stdout
    seen = [json.loads(path.read_bytes()) for path in sorted(alone.root.glob("seen-*"))]
    assert [
        (result["state"], result["step"], result["exit_code"], result["attempt"]) for result in seen
    ] == [
        ("failed", "packages", 7, 1),
        ("failed", "packages", 7, 2),
    ]
    assert [result["retry_in"] for result in seen] == [2, 5]
    assert seen[0]["message"] == "Error: disk I/O"
    assert any('bad "quote" \\ back\\n' in line for line in seen[0]["lines"])
    assert all(len(line) <= 400 for line in seen[0]["lines"])
    assert alone.result["state"] == "done"
    assert "step packages failed (exit code 7, attempt 1): Error: disk I/O" in ran.stdout


def test_what_is_waited_for_reaches_the_console(machine: Machine) -> None:
    """A step's words go to its log; the runner keeps the console open as descriptor 8."""
    script = 'load_environment; exec 8>"$STATE/console"; waiting "the moon"; waiting "the moon"'
    machine.state.mkdir(parents=True, exist_ok=True)
    ran = machine.source(script)
    assert ran.returncode == 0, ran.stdout
    assert (machine.state / "console").read_text() == "airseed: waiting for the moon\n"
    assert machine.result["waiting_for"] == "the moon"
    ran = machine.source('load_environment; waiting "a runner without a console"; echo on')
    expected = "waiting for a runner without a console\non\n"
    assert (ran.returncode, ran.stdout) == (0, expected)


@pytest.mark.parametrize("route", [True, False])
def test_a_lone_machine_finds_its_own_address(machine: Machine, *, route: bool) -> None:
    """The smaller example names none: it is that of the card that leads out, and it is kept."""
    machine.set(ADDRESS="", ADDRESSES="", ENDPOINT="")
    machine.stand_in(
        "ip",
        'case "$*" in\n'
        + (
            '"-4 route get 192.0.2.1") echo "192.0.2.1 via 10.0.0.9 dev eth0 src 10.0.0.7" ;;\n'
            * route
        )
        + '"-o addr show scope global") echo "2: eth0 inet 10.0.0.8/24 brd x scope global" ;;\n'
        "esac\n",
    )
    say = 'echo "$AIRSEED_ADDRESS $AIRSEED_ADDRESSES $AIRSEED_ENDPOINT"'
    address = "10.0.0.7" if route else "10.0.0.8"
    assert machine.source(say).stdout == f"{address} {address} {address}:6443\n"
    machine.stand_in("ip", "exit 1\n")
    assert machine.source(say).stdout == f"{address} {address} {address}:6443\n"


def test_a_machine_without_any_address_says_so(alone: Machine) -> None:
    alone.set(ADDRESS="", ADDRESSES="", ENDPOINT="")
    alone.stand_in("ip", "exit 0\n")
    ran = alone.boot("preflight")
    assert ran.returncode == 1
    assert alone.result["message"] == "this machine has no address yet"
    assert "DHCP" in alone.result["hint"]


@pytest.mark.parametrize("address", ["10.0.0.4", "fd00::4"])
def test_another_machine_with_the_same_address_is_told(alone: Machine, address: str) -> None:
    alone.set(ADDRESS=address, ADDRESSES=address)
    alone.stand_in("ip", f'[[ "$*" != *addr* ]] || echo "2: eth0 inet {address}/64 dadfailed"')
    alone.write("sys/class/net/eth0/address", "52:54:00:00:00:01")
    alone.environment["RIVAL"] = "52:54:00:00:00:09"
    assert alone.boot("preflight").returncode == 1
    assert alone.result["message"] == f"another machine answers for the address {address}"


def test_secrets_do_not_reach_logs(alone: Machine) -> None:
    token = TOKEN
    alone.write(
        "etc/airseed/before.sh",
        f"echo kubeadm join --token {token} --certificate-key {'5f' * 32}\n"
        f"echo {token} {token},{token}.\n"
        f"echo 'certificateKey: \"{'5f' * 32}\"'\n",
    )
    ran = alone.boot()
    kept = (alone.state / "log/before.log").read_text()
    assert kept == (
        "kubeadm join --token abcdef.[hidden] --certificate-key [hidden]\n"
        "abcdef.[hidden] abcdef.[hidden],abcdef.[hidden].\n"
        'certificateKey: "[hidden]"\n'
    )
    assert token not in ran.stdout + (alone.root / "journal").read_text()


def test_the_users_commands_come_first_and_last(alone: Machine) -> None:
    alone.write("etc/airseed/before.sh", 'echo "$(wc -l <"$CALLS")" >"$AIRSEED_ROOT/before"\n')
    alone.write("etc/airseed/after.sh", 'echo "$KUBECONFIG" >"$AIRSEED_ROOT/after"\n')
    assert alone.boot().returncode == 0
    assert int((alone.root / "before").read_text()) <= 2  # systemd-cat's and no more
    assert (alone.root / "after").read_text().endswith("/etc/kubernetes/admin.conf\n")


def test_nobody_waits_for_what_the_users_commands_leave_running(alone: Machine) -> None:
    alone.write("etc/airseed/before.sh", "echo at once\n/bin/sleep 1000 &\n")
    alone.write("etc/airseed/after.sh", "echo at last; false\n")
    alone.write("etc/kubernetes/manifests/kube-apiserver.yaml", "spec: {}\n")
    began = time.monotonic()
    assert alone.boot("before").returncode == 0
    assert time.monotonic() - began < 30
    assert (alone.state / "log/before.log").read_text() == "at once\n"
    assert alone.boot("after").returncode == 1
    assert "machine.commands.after in cluster.yaml" in alone.result["hint"]
    assert alone.result["lines"][0] == "at last"


@pytest.mark.parametrize("left", ["", '{\n"state": "running",\n"step": "finish"\n}\n', None])
def test_the_last_word_is_said_again_if_a_power_cut_took_it(
    alone: Machine, left: str | None
) -> None:
    alone.boot()
    began = alone.result["started"]
    if left is None:
        (alone.state / "result.json").unlink()
    else:
        (alone.state / "result.json").write_text(left)
    assert alone.boot().returncode == 0
    assert (alone.result["state"], alone.result["started"]) == ("done", began)


def test_a_machine_without_its_values_says_so(alone: Machine) -> None:
    alone.write("etc/airseed/node.env", "")
    assert alone.boot().returncode == 1
    assert alone.result["state"] == "failed"
    assert alone.result["message"].endswith("etc/airseed/node.env is missing or empty")
    assert alone.run("actions/status").returncode == 1


@pytest.mark.parametrize("damage", [b"", b"airseed 1 step-ho", b"\0" * 64])
def test_damaged_stamps_are_none(alone: Machine, damage: bytes) -> None:
    alone.boot()
    before = len(alone.called("modprobe"))
    for stamp in (alone.state / "stamps").iterdir():
        stamp.write_bytes(damage)
    ran = alone.boot()
    assert ran.returncode == 0, ran.stdout
    assert len(alone.called("modprobe")) == 2 * before
    # what the cluster is made of was there already: nothing is initialised again or reset
    assert alone.called("kubeadm", "reset") == []
    assert alone.result["state"] == "done"


def test_other_values_mean_other_work(alone: Machine) -> None:
    alone.boot("host")
    alone.boot("host")
    assert len(alone.called("swapoff")) == 0
    assert len(alone.called("modprobe", "overlay")) == 2  # named steps run whenever they are named


def test_an_unknown_step_is_refused(alone: Machine) -> None:
    ran = alone.boot("hostt")
    assert (ran.returncode, ran.stdout) == (2, "airseed: the plan first-boot has no step hostt\n")


def test_a_disk_that_is_full_leaves_the_old_file(machine: Machine) -> None:
    machine.write("etc/some", "old\n")
    machine.stand_in(
        "dd", 'for word; do case $word in of=*) printf ha >"${word#of=}" ;; esac; done\nexit 1'
    )
    ran = machine.source('if printf half | put "$R/etc/some" 0644; then echo wrong; fi')
    assert ran.stdout == f"error: {machine.root}/etc/some can't be written\n"
    assert (machine.root / "etc/some").read_text() == "old\n"
    assert not (machine.root / "etc/.some.airseed-new").exists()
    ran = machine.source('printf half | put_noting it "$R/etc/some" 0644; echo went on')
    assert (ran.returncode, "went on" in ran.stdout) == (1, False)


def test_a_change_is_known_until_it_is_settled(machine: Machine) -> None:
    """A power cut between the new file and the restart of its program does not lose it."""
    write = 'printf new | put_noting it "$R/etc/some" 0644'
    ask = "if is_changed it; then echo changed; fi"
    assert machine.source(f"{write}; {ask}").stdout == "changed\n"
    assert machine.source(f"{write}; {ask}; settled it").stdout == "changed\n"
    assert machine.source(f"{write}; {ask}").stdout == ""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("[ERROR Port-10250]: Port 10250 is in use", "another program listens"),
        ("\t[WARNING Port-10250]: Port 10250 is in use\nerror: timed out", ""),
        (
            "Error: Get https://r.lan/v2/x/manifests/1: unauthorized: authentication required",
            "the registry requires a valid user",
        ),
        ("failed to pull image: no basic auth credentials", "the registry requires a valid user"),
        ('configmaps "cluster-info" is forbidden: Unauthorized', "the bootstrap token"),
        (
            "error decrypting secret data with provided key: cipher: message authentication failed",
            "the uploaded certificates were encrypted with another key",
        ),
        (
            'error downloading certs: Secret "kubeadm-certs" was not found',
            "the uploaded certificates are gone",
        ),
    ],
)
def test_a_hint_fits_what_was_said(machine: Machine, output: str, expected: str) -> None:
    log = machine.write("log", f"{output}\n")
    ran = machine.source(f"hint_for {log}", "hints")
    assert ran.returncode == 0
    assert ran.stdout.startswith(expected)
    assert bool(ran.stdout) == bool(expected)


def test_a_step_during_which_the_clock_is_set_back_is_done(machine: Machine) -> None:
    took = '"$(age $(($(now) + 3600)))"'
    assert machine.source(f"stamp step-x key {took}; is_stamped step-x key").returncode == 0


def test_a_disk_without_any_room_is_told_all_the_same(alone: Machine) -> None:
    """Nothing can be written: not result.json, not what bash keeps for a here-document."""
    alone.stand_in("kubeadm", "echo 'write: No space left on device'; touch $R/full; exit 1")
    alone.stand_in("chmod", '[ ! -e "$R/full" ] && exec /bin/chmod "$@"')
    ran = alone.boot("kubeadm")
    assert ran.returncode == 1
    assert "airseed: step kubeadm failed" in ran.stdout
    assert "airseed: hint: the disk is full" in ran.stdout
