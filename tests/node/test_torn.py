"""State that a power cut tore is made again before what refuses it starts."""

from __future__ import annotations

import json
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder import assets

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine

TABLE = assets.tree("cloudinit-templates") / "node/lib/state.tsv"
PLACES = {"DOCKER": "/var/lib/docker", "CONTAINERD": "/var/lib/containerd"}


def bolt(pages: int = 4, size: int = 4096) -> bytes:
    """Make what bbolt makes: two pages that tell of the others, each with its sum."""
    content = bytearray(pages * size)
    for number in range(2):
        meta = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, size, 0, 3, 0, 2, pages, number)
        total = 0xCBF29CE484222325
        for byte in meta:
            total = (total ^ byte) * 0x100000001B3 % 2**64
        begin = number * size
        page = struct.pack("<QHHI", number, 4, 0, 0) + meta + struct.pack("<Q", total)
        content[begin : begin + len(page)] = page
    return bytes(content)


def certificate() -> bytes:
    """Make a certificate with its key, as kubelet keeps its own."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a",
         "-keyout", "/dev/stdout"],
        capture_output=True,
        check=True,
    )  # fmt: skip
    return made.stdout


WHOLE = {
    "pem": certificate(),
    "json": b'{"policyName":"none","note":"a \\" and a } in it","checksum":1353318690}',
    "text": b"kind: KubeletConfiguration\n",
    "filled": b"UQ7R:ICLO",
    "layer": b"sha256:" + b"d" * 64,
    "bolt": bolt(),
    "wal": b"\x04\0\0\0\0\0\0\x84\x08\x04" + bytes(4096),
}
TEARS = {
    "pem": [
        b"", bytes(60), WHOLE["pem"][:40], WHOLE["pem"][:-900], WHOLE["pem"][-900:],
        WHOLE["pem"][:-40], WHOLE["pem"][:900] + bytes(len(WHOLE["pem"]) - 900),
    ],
    "json": [
        b"", bytes(60), WHOLE["json"][:-1], WHOLE["json"][:20] + bytes(30), b'{"a":"',
        WHOLE["json"] + b"}",
    ],
    "text": [b"", bytes(60), b"kind: Kubelet", b"kind: Kube" + bytes(20)],
    "filled": [b"", bytes(9)],
    "layer": [b"", bytes(71), WHOLE["layer"][:40], WHOLE["layer"][:40] + bytes(31)],
    "bolt": [
        b"", bytes(16384), bolt()[:4096], bolt()[:9000], b"x" * 16384,
        bolt()[:48] + b"\xff" + bolt()[49:4096] + bytes(12288),
    ],
    "wal": [b"", bytes(4096)],
}  # fmt: skip


def rows() -> list[tuple[str, str, str, str]]:
    found = []
    for line in TABLE.read_text().splitlines():
        program, path, test, cure, *_ = line.split("\t")
        for name, place in PLACES.items():
            path, cure = path.replace(name, place), cure.replace(name, place)
        found.append((program, path, test, cure))
    return found


def a_file(pattern: str) -> str:
    """Return one path that a pattern means."""
    return pattern.replace("*", "memory" if "_manager" in pattern else "overlay2").strip("/")


def lay(machine: Machine, path: str, test: str, content: bytes) -> Path:
    """Write a file of a program's state, with what it is of no use without."""
    if test == "layer":
        lay_layer(machine, "overlay2")
    return machine.write(a_file(path), content)


def lay_layer(machine: Machine, name: str, parent: str = "") -> Path:
    """Write a layer as docker keeps it; give its folder."""
    folder = f"var/lib/docker/image/overlay2/layerdb/sha256/{name}"
    store = f"var/lib/docker/overlay2/{name[0] * 64 if parent else 'c' * 64}"
    machine.write(f"{folder}/diff", WHOLE["layer"])
    machine.write(f"{folder}/size", b"1024")
    machine.write(f"{folder}/cache-id", store.rpartition("/")[2].encode())
    machine.write(f"{store}/link", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    machine.write(f"{store}/diff/etc/passwd", b"x")
    if parent:
        machine.write(f"{folder}/parent", f"sha256:{parent}".encode())
    return machine.root / folder


STARTED = [row for row in rows() if row[0] != "etcd"]
CASES = [
    (program, path, test, cure, number)
    for program, path, test, cure in STARTED
    for number in range(len(TEARS[test]))
]


@pytest.mark.parametrize(("program", "path", "test", "cure"), STARTED)
def test_what_is_whole_stays(
    machine: Machine, program: str, path: str, test: str, cure: str
) -> None:
    file = lay(machine, path, test, WHOLE[test])
    if cure == "pair":
        machine.write(a_file(f"{path[:-3]}{'key' if path.endswith('crt') else 'crt'}"), WHOLE[test])
    ran = machine.run("actions/mend", program)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert file.read_bytes() == WHOLE[test]


@pytest.mark.parametrize("row", STARTED, ids=lambda row: row[1])
def test_what_is_torn_is_made_again(machine: Machine, row: tuple[str, str, str, str]) -> None:
    program, path, test, cure = row
    for content in TEARS[test]:
        file = lay(machine, path, test, content)
        beside = [machine.write(f"{part.strip('/')}/else", "x") for part in _folders(cure)]
        ran = machine.run("actions/mend", program)
        assert ran.returncode == 0, ran.stdout
        assert ran.stdout == f"airseed: {file} is damaged: it is made again\n", content
        assert file.exists() == (cure == "copy")
        assert not [one for one in beside if one.exists()]


@pytest.mark.parametrize("row", STARTED, ids=lambda row: row[1])
@pytest.mark.parametrize("filled", [False, True])
def test_a_folder_in_a_files_place_is_damage(
    machine: Machine, row: tuple[str, str, str, str], *, filled: bool
) -> None:
    """Who mounts a file that is not there yet gets a folder of its name."""
    program, path, test, cure = row
    if cure == "copy":
        machine.write(a_file(path), WHOLE[test])
        machine.run("actions/mend", program)
        (machine.root / a_file(path)).unlink()
    folder = machine.root / a_file(path)
    folder.mkdir(parents=True)
    if filled:
        (folder / "x").write_text("x\n")
    ran = machine.run("actions/mend", program)
    assert (ran.returncode, ran.stdout) == (0, f"airseed: {folder} is damaged: it is made again\n")
    assert folder.read_bytes() == WHOLE[test] if cure == "copy" else not folder.exists()


def _folders(cure: str) -> list[str]:
    return cure.replace("*", "x").split() if cure.startswith("/") else []


@pytest.mark.parametrize("name", ["diff", "size", "cache-id", "parent"])
@pytest.mark.parametrize("content", [b"", bytes(64), b"1\0\0"])
def test_a_torn_layer_of_docker_goes_with_what_stands_on_it(
    machine: Machine, name: str, content: bytes
) -> None:
    """docker forgets it, and ends each load with "file exists" while its folder is there."""
    base = lay_layer(machine, "b" * 64)
    torn, above = lay_layer(machine, "e" * 64, "b" * 64), lay_layer(machine, "a" * 64, "e" * 64)
    assert machine.run("actions/mend", "docker").stdout == ""
    (torn / name).write_bytes(content)
    assert machine.run("actions/mend", "docker").returncode == 0
    assert (base.exists(), torn.exists(), above.exists()) == (True, False, False)
    left = {path.name for path in (machine.root / "var/lib/docker/overlay2").iterdir()}
    assert left == {"c" * 64, *(["e" * 64] if name == "cache-id" else [])}
    assert machine.run("actions/mend", "docker").stdout == ""


def test_kubelets_configuration_is_taken_from_its_last_whole_copy(machine: Machine) -> None:
    file = machine.write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nx: 1\n")
    machine.run("actions/mend", "kubelet")
    newer = machine.write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nx: 2\n")
    machine.run("actions/mend", "kubelet")
    newer.write_bytes(b"")
    machine.run("actions/mend", "kubelet")
    assert file.read_text() == "kind: KubeletConfiguration\nx: 2\n"


@pytest.mark.parametrize("kept", [True, False])
def test_kubelet_takes_the_last_whole_certificate_that_it_had(machine: Machine, kept: bool) -> None:
    """It keeps each under its time, and ends where the current one cannot be read."""
    pki = "var/lib/kubelet/pki"
    before = machine.write(f"{pki}/kubelet-client-2021-01-01-00-00-00.pem", WHOLE["pem"])
    machine.write(f"{pki}/kubelet-client-2021-06-01-00-00-00.pem", WHOLE["pem"][:60])
    torn = machine.write(f"{pki}/kubelet-client-2022-01-01-00-00-00.pem", b"")
    current = torn.with_name("kubelet-client-current.pem")
    current.symlink_to(torn.name)
    if not kept:
        torn.unlink()  # its name was never written
    ran = machine.run("actions/mend", "kubelet")
    assert ran.returncode == 0
    assert f"{current} is damaged: it is made again" in ran.stdout
    assert current.resolve() == before.resolve()
    assert machine.run("actions/mend", "kubelet").stdout == ""


def test_what_looks_whole_goes_when_its_program_names_it(machine: Machine) -> None:
    """Once for each such end: the line stays in the journal when kubelet runs again."""
    state = machine.write("var/lib/kubelet/cpu_manager_state", WHOLE["json"])
    other = machine.write("var/lib/kubelet/memory_manager_state", WHOLE["json"])
    machine.stand_in("journalctl", 'cat "$R/journal-of-unit"')
    machine.write(
        "journal-of-unit",
        "I1129 21:40:10.1 1 server.go:1] started\n"
        "F1129 21:40:12.3 1 container_manager_linux.go:602] start cpu manager error: could not "
        "restore state from checkpoint: please drain this node and delete the CPU manager "
        'checkpoint file "/var/lib/kubelet/cpu_manager_state" before restarting Kubelet\n'
        "goroutine 1 [running]:\n",
    )
    ran = machine.run("actions/mend", "kubelet")
    assert ran.stdout == f"airseed: kubelet refuses {state}: it is made again\n"
    assert not state.exists()
    assert other.exists()
    state.write_bytes(WHOLE["json"])
    assert machine.run("actions/mend", "kubelet").stdout == ""
    assert state.exists()


def test_docker_keeps_its_state_where_the_user_says(machine: Machine) -> None:
    machine.write("etc/docker/daemon.json", '{"data-root": "/data/docker"}')
    file = machine.write("data/docker/network/files/local-kv.db", b"")
    machine.run("actions/mend", "docker")
    assert not file.exists()


def test_it_is_looked_for_before_each_start(machine: Machine) -> None:
    assert machine.boot("runtime").returncode == 0, machine.result
    for unit in ("kubelet", "docker", "containerd"):
        text = (machine.root / f"etc/systemd/system/{unit}.service.d/airseed-mend.conf").read_text()
        assert "ExecStartPre=-/usr/libexec/airseed/actions/mend %p\n" in text


ETCD = [(path, content) for p, path, test, _ in rows() if p == "etcd" for content in TEARS[test]]


@pytest.mark.parametrize(("path", "content"), ETCD)
def test_a_torn_etcd_begins_again_before_anybody_joined(
    first: Machine, path: str, content: bytes
) -> None:
    file = first.write(a_file(path), content)
    assert first.boot("kubeadm").returncode == 0, first.result
    assert not file.exists()


def test_a_torn_etcd_that_others_joined_is_left_alone(first: Machine) -> None:
    file = first.write("var/lib/etcd/member/snap/db", b"")
    first.write("var/lib/airseed/stamps/no-return", "airseed 1 no-return - 0 1 .\n")
    first.boot("kubeadm")
    assert file.exists()


FATAL = "F1129 21:40:12.3 1 server.go:266] failed to run Kubelet: misconfiguration: swap is on"


IN_VAIN = "error execution phase wait-control-plane: timed out waiting for the condition\n"


def test_kubelets_own_last_line_is_the_cause(first: Machine) -> None:
    first.write("kubeadm-says", IN_VAIN)
    first.write("inactive", "kubelet.service\n")
    first.stand_in("journalctl", f"echo {FATAL!r}; echo 'goroutine 1 [running]:'")
    assert first.boot("kubeadm").returncode == 1
    assert first.result["message"].endswith(f" failed: kubelet: {FATAL}")
    assert first.result["hint"].startswith("that is what it said last: mend its cause")


def test_a_containers_own_last_line_is_the_cause(first: Machine) -> None:
    first.write("kubeadm-says", IN_VAIN)
    first.stand_in(
        "docker",
        """case "$*" in
        *status=running*) echo "a1 k8s_kube-scheduler_x"; echo "a2 k8s_POD_y" ;;
        *status=exited*) printf '%s\\n' "b1 k8s_POD_z" "b2 k8s_kube-scheduler_x" "b3 k8s_etcd_x" ;;
        logs*b3) echo "I1129 fine"; echo "panic: freepages: failed" >&2; echo "goroutine 1" ;;
        logs*) echo "level=error msg=wrong" ;;
        esac""",
    )
    assert first.boot("kubeadm").returncode == 1
    assert first.result["message"].endswith(" failed: etcd: panic: freepages: failed")


def test_kubeadm_does_not_wait_for_ever(first: Machine) -> None:
    first.stand_in("kubeadm", "exec /bin/sleep 30")
    assert first.boot("kubeadm", environment={"AIRSEED_KUBEADM_PATIENCE": "1"}).returncode == 1
    assert "kubeadm init did not end within 1 s" in first.result["message"]


def test_a_long_wait_says_since_when_and_what_was_said(joiner: Machine) -> None:
    """The runner listens while a step waits, so that no wait looks like work."""
    script = (
        "echo looking for the printer; /bin/sleep 2; cp $AIRSEED_ROOT/var/lib/airseed/*.json $HOME"
    )
    joiner.write("root/x", "")
    joiner.write("etc/airseed/before.sh", f"{script}\n", 0o700)
    joiner.source("export AIRSEED_NOW_STEP=before; report running")
    ran = joiner.boot("before", environment={"AIRSEED_LISTEN": "1"})
    assert ran.returncode == 0, ran.stdout
    seen = json.loads((joiner.root / "root/result.json").read_bytes())
    assert seen["last_said"] == "looking for the printer"
    assert seen["updated"] > seen["since"]


def test_status_says_how_long_and_what(machine: Machine) -> None:
    script = (
        "WAITING_SINCE=$(($(now) - 700)); WAITING_SAID='etcd: panic: freepages'; "
        "export AIRSEED_NOW_STEP=kubeadm; report waiting '' '' 'kubeadm init to end'"
    )
    assert machine.source(script).returncode == 0
    status = machine.run("actions/status")
    assert status.returncode == 3
    assert "step kubeadm: waiting for kubeadm init to end, for 70" in status.stdout
    assert "it said last: etcd: panic: freepages\n" in status.stdout


@pytest.mark.parametrize("hangs", ["info", "systemctl"])
def test_a_runtime_that_hangs_is_not_waited_for_for_ever(machine: Machine, hangs: str) -> None:
    """It neither answers nor ends, and docker's unit has no limit for its start."""
    for limit in ("START", "RUNTIME", "ANSWER"):
        machine.environment[f"AIRSEED_{limit}_PATIENCE"] = "1"
    machine.stand_in("journalctl", "echo 'level=fatal msg=\"waiting for containerd\"'")
    if hangs == "info":
        machine.stand_in("docker", "exec /bin/sleep 1000")
    else:
        machine.stand_in("systemctl", 'case "$*" in *start\\ docker*) exec /bin/sleep 1000 ;; esac')
    ran = machine.boot("runtime")
    assert ran.returncode == 1, ran.stdout
    said = {"info": "docker does not answer", "systemctl": "docker does not start"}[hangs]
    assert machine.result["message"] == f'{said}: level=fatal msg="waiting for containerd"'
