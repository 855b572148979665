"""The real keepalived and haproxy with the settings that nodes lay down, in namespaces.

An API server's stand-in on each control plane speaks TLS on 6443 and answers /readyz. Every tenth
of a second it is noted who has the address; who loses it must have a successor in time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from builder import assets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop
SCRIPTS = assets.tree("cloudinit-templates") / "node"
ADDRESS, ADDRESS6 = "10.99.0.60", "fd99::60"
LONGEST = 10
"""Seconds that nobody may have the address."""
SERVER = """
import http.server, socket, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[4]))
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = Server(("::", 6443), Answer)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


@dataclass
class Network:
    """A bridge with machines on it: p1 to p3 and w1, as 10.99.0.1 to 10.99.0.4."""

    folder: Path
    prefix: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def inside(self, name: str, *words: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self.prefix}{name}", *words)

    def root(self, name: str) -> Path:
        return self.folder / name

    def start(self, what: str, *words: str) -> None:
        with (self.folder / f"{what}.log").open("ab") as log:
            self.running[what] = subprocess.Popen(
                words, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, what: str, signal_: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a program and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running[what].pid, signal_)
        if signal_ == signal.SIGKILL:
            self.running.pop(what).wait()

    def lay(
        self, name: str, number: int, role: str, by: str, endpoint: str, planes: int = 3
    ) -> None:
        """Have the node's own library write its files below the machine's root."""
        root = self.root(name)
        bin_ = root / "stand-ins"
        bin_.mkdir(parents=True)
        for program in ("systemctl", "restorecon", "arping", "sleep"):
            (bin_ / program).write_text("#!/bin/sh\n")
            (bin_ / program).chmod(0o755)
        network = "fd99::" if ":" in endpoint else "10.99.0."
        shown = f"2: eth0    inet {network}{number}/24\n2: eth0    inet {endpoint}/32"
        (bin_ / "ip").write_text(f"#!/bin/sh\ncase $1 in -o) echo '{shown}' ;; esac\n")
        (bin_ / "ip").chmod(0o755)
        values = {
            "CLUSTER": "interop",
            "NODE": name,
            "ROLE": role,
            "RUNTIME": "docker",
            "ADDRESS": f"{network}{number}",
            "ENDPOINT": f"[{endpoint}]:6443" if ":" in endpoint else f"{endpoint}:6443",
            "ENDPOINT_BY": by,
            "ENDPOINT_PLANES": " ".join(f"{network}{n}" for n in range(1, planes + 1)),
            "ENDPOINT_IMAGE": "haproxy:1",
        }
        env = root / "etc/airseed/node.env"
        env.parent.mkdir(parents=True)
        env.write_text("".join(f"AIRSEED_{key}='{value}'\n" for key, value in values.items()))
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        script = f". {SCRIPTS}/lib/common.sh; need values endpoint; load_environment; lay_endpoint"
        path = f"{bin_}:/usr/sbin:/usr/bin:/sbin:/bin"
        subprocess.run(
            ["bash", "-c", script], env={"PATH": path, "AIRSEED_ROOT": str(root)}, check=True
        )

    def serve(self, name: str, code: int = 200) -> None:
        """Start what answers as an API server."""
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        words = (sys.executable, "-c", SERVER, name, str(certificate), str(key), str(code))
        self.start(f"{name}-server", *self.inside(name, *words))

    def keep(self, name: str) -> None:
        """Start keepalived with this machine's check in its place, and none of before."""
        for pid in self.root(name).glob("*pid"):
            pid.unlink()
        libexec = self.root(name) / "usr/libexec"
        mount = f"mount --bind {libexec} /usr/libexec && exec keepalived --dont-fork --log-console"
        files = f"-D -P -f {self.root(name)}/etc/keepalived/keepalived.conf"
        pids = f"-p {self.root(name)}/pid -r {self.root(name)}/vrrp.pid"
        words = ("unshare", "-m", "sh", "-c", f"{mount} {files} {pids}")
        self.start(f"{name}-keepalived", *self.inside(name, *words))

    def holders(self) -> list[str]:
        found = []
        for name in ("p1", "p2", "p3"):
            words = ("ip", "-n", f"{self.prefix}{name}", "-o", "addr", "show", "dev", "eth0")
            shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            if f" {ADDRESS}/" in shown or f" {ADDRESS6}/" in shown:
                found.append(name)
        return found

    def settle(self, wanted: str, limit: float = LONGEST) -> float:
        """Wait until one machine alone has the address; return how many seconds that took."""
        begun = time.monotonic()
        while (seen := self.holders()) != [wanted]:
            assert time.monotonic() - begun < limit, f"{seen} instead of {wanted}: {self.said()}"
            time.sleep(0.1)
        return time.monotonic() - begun

    def stays(self, wanted: str, seconds: float) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            assert self.holders() == [wanted], self.said()
            time.sleep(0.1)

    def said(self) -> str:
        return "".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    for program in ("keepalived", "haproxy", "curl", "openssl", "arping"):
        assert shutil.which(program), f"{program} is not installed: tests/interop/setup.sh"
    made = Network(tmp_path, f"ae{os.getpid()}")
    names = ("lan", "p1", "p2", "p3", "w1")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=api",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        for number, name in enumerate(names):
            space = f"{made.prefix}{name}"
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            if name == "lan":
                ip("-n", space, "link", "add", "br0", "type", "bridge")
                ip("-n", space, "link", "set", "br0", "up")
                continue
            lan, card = f"{made.prefix}lan", f"c{name}"
            ip(
                "-n",
                lan,
                "link",
                "add",
                card,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                space,
            )
            ip("-n", lan, "link", "set", card, "master", "br0", "up")
            ip("-n", space, "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
            ip("-n", space, "addr", "add", f"fd99::{number}/64", "dev", "eth0", "nodad")
            ip("-n", space, "link", "set", "eth0", "up")
        tmp_path.chmod(0o755)
        yield made
    finally:
        for what in [*made.running]:
            made.kill(what)
        for name in names:
            subprocess.run(["ip", "netns", "delete", f"{made.prefix}{name}"], check=False)


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS6])
def test_keepalived_takes_the_settings_without_a_word(network: Network, address: str) -> None:
    network.lay("p1", 1, "init", "keepalived", address)
    root = network.root("p1")
    settings = root / "etc/keepalived/keepalived.conf"

    def complaints() -> str:
        mount = f"mount --bind {root}/usr/libexec /usr/libexec"
        script = f"{mount} && exec keepalived --config-test -f {settings} 2>&1"
        done = subprocess.run(
            network.inside("p1", "unshare", "-m", "sh", "-c", script),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert complaints() == ""
    settings.write_text(settings.read_text().replace("advert_int", "advert-int"))
    assert "Unknown keyword 'advert-int'" in complaints()


def test_an_address_moves_to_who_answers_and_back(network: Network) -> None:
    planes = ("p1", "p2", "p3")
    for number, name in enumerate(planes, start=1):
        role = "init" if number == 1 else "control-plane"
        network.lay(name, number, role, "keepalived", ADDRESS)
    for name in reversed(planes):
        network.keep(name)
    network.settle("p1", 20)  # before any API server answers, as kubeadm init needs it
    network.stays("p1", 3)
    network.serve("p2", 403)  # strangers may ask it nothing
    network.settle("p2")
    network.serve("p1")
    network.settle("p1")
    network.serve("p3")
    network.stays("p1", 4)

    network.kill("p1-server")
    network.settle("p2")
    network.serve("p1")
    network.settle("p1")

    network.kill("p1-keepalived")
    unit = network.root("p1") / "etc/systemd/system/keepalived.service.d/airseed.conf"
    (after,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStopPost"))
    words = after.partition("=-")[2].split()
    subprocess.run(network.inside("p1", *words), check=True)
    network.settle("p2")
    network.keep("p1")
    network.settle("p1")

    network.kill("p1-keepalived", signal.SIGSTOP)
    time.sleep(6)
    assert network.holders() == ["p1", "p2"]  # a frozen machine can't give it up
    network.kill("p1-keepalived", signal.SIGCONT)
    network.settle("p1", 3)
    network.stays("p1", 3)


def test_who_was_taken_out_carries_nothing(network: Network) -> None:
    """Nobody tells it who has the address: those that stay know it no more."""
    network.lay("p1", 1, "init", "keepalived", ADDRESS, planes=1)
    network.lay("p2", 2, "control-plane", "keepalived", ADDRESS)
    member = network.root("p1") / "usr/libexec/airseed/actions/member"
    member.parent.mkdir(parents=True)
    member.write_text("#!/bin/sh\nexit 1\n")
    member.chmod(0o755)
    network.serve("p2")
    network.keep("p1")
    network.keep("p2")
    network.settle("p2", 20)
    network.stays("p2", 5)
    member.write_text("#!/bin/sh\nexit 0\n")  # not so any more
    network.kill("p2-server")
    network.kill("p2-keepalived", signal.SIGTERM)
    network.settle("p1", 45)


def test_an_address_of_ipv6_moves_too(network: Network) -> None:
    for number, name in enumerate(("p1", "p2"), start=1):
        network.lay(name, number, "control-plane", "keepalived", ADDRESS6, planes=2)
        network.keep(name)
    network.settle("p1", 20)
    network.serve("p2")
    network.settle("p2")
    network.kill("p2-keepalived", signal.SIGTERM)
    network.settle("p1")


def test_a_lone_control_plane_is_heard_by_no_neighbour(network: Network) -> None:
    network.lay("p1", 1, "init", "keepalived", ADDRESS, planes=1)
    network.keep("p1")
    network.settle("p1", 20)
    words = ("ip", "-n", f"{network.prefix}p1", "maddr", "show", "dev", "eth0")
    groups = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "224.0.0.1\n" in groups  # all hosts are in that
    assert "224.0.0.18" not in groups, "it takes part in the VRRP of the site's routers"


@pytest.mark.parametrize(("address", "length"), [(ADDRESS, 32), (ADDRESS6, 128)])
def test_a_stranger_at_the_address_is_noticed(network: Network, address: str, length: int) -> None:
    network.lay("p1", 1, "init", "keepalived", ADDRESS)
    script = f". {SCRIPTS}/lib/common.sh; need cards; CARD=eth0; claim {address} echo let go"
    words = ("env", f"AIRSEED_ROOT={network.root('p1')}", "bash", "-c", script)

    def claim() -> tuple[int, str]:
        done = subprocess.run(
            network.inside("p1", *words), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def ip(name: str, *words: str) -> str:
        said = ("ip", "-n", f"{network.prefix}{name}", *words)
        return subprocess.run(said, capture_output=True, text=True, check=True).stdout

    assert claim() == (0, "")
    ip("p1", "addr", "add", f"{address}/{length}", "dev", "eth0", "nodad")
    assert claim() == (0, "")
    ip("w1", "addr", "add", f"{address}/{length}", "dev", "eth0", "nodad")
    mac = ip("w1", "link", "show", "dev", "eth0").partition("link/ether ")[2].split()[0]
    code, said = claim()
    assert (code, f"{address} is at {mac}" in said.lower()) == (1, True), said
    assert said.startswith("let go\n")
    ip("w1", "addr", "delete", f"{address}/{length}", "dev", "eth0")
    assert claim() == (0, "")  # what was remembered of it counts no more


def test_haproxy_leads_a_worker_to_who_answers(network: Network) -> None:
    network.lay("w1", 4, "worker", "local-proxy", "api.cluster.local")
    settings = network.root("w1") / "etc/airseed/proxy/haproxy.cfg"
    checked = subprocess.run(
        ["haproxy", "-c", "-f", settings], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (
        0,
        "Configuration file is valid\n",
    )
    network.serve("p1", 401)
    network.serve("p2")
    network.start("proxy", *network.inside("w1", "haproxy", "-db", "-f", str(settings)))

    def ask() -> str:
        url = "https://127.0.0.1:6443/readyz"
        words = network.inside("w1", "curl", "-q", "-s", "-k", "--max-time", "5", url)
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def wait_for(known: Callable[[str], bool], limit: float) -> None:
        begun = time.monotonic()
        while not known(ask()):
            assert time.monotonic() - begun < limit, network.said()
            time.sleep(0.1)

    wait_for(lambda answer: answer in {"p1", "p2"}, 20)
    time.sleep(4)  # p3 has never answered: by now the proxy knows
    assert {ask() for _ in range(6)} == {"p1", "p2"}
    network.kill("p1-server")
    wait_for(lambda answer: answer == "p2", LONGEST)
    time.sleep(4)
    assert {ask() for _ in range(6)} == {"p2"}
    network.kill("p2-server")
    network.serve("p3")
    wait_for(lambda answer: answer == "p3", LONGEST)
