"""``airseed status``: results and consoles of many nodes in one table."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from builder.cli.root import run
from builder.errors import FetchError
from builder.pipeline import status

if TYPE_CHECKING:
    from pathlib import Path

RESULT: dict[str, Any] = {
    "format": 1,
    "cluster": "prod",
    "node": "k8s02",
    "role": "control-plane",
    "generation": "1",
    "state": "waiting",
    "step": "kubeadm",
    "attempt": 1,
    "exit_code": 0,
    "message": "",
    "hint": "",
    "waiting_for": "the join lease, which k8s03 holds",
    "retry_in": 0,
    "started": 1000,
    "updated": 1061,
    "steps": [{"name": "packages", "seconds": 4, "finished": 1010}],
    "waits": [],
    "lines": ["x"],
}
FAILED = """\
[    3.2] systemd[1]: Started airseed: bring this machine into its Kubernetes cluster.
Nov 25 03:00:00 k8s04 bootstrap[811]: airseed: step preflight\r
Nov 25 03:00:02 k8s04 bootstrap[811]: airseed: step preflight is done after 2 s\r
\x1b[0;32mairseed: step packages\x1b[0m
airseed: step packages failed (exit code 1, attempt 2): no bundle was found
airseed:   yum: nothing to do
airseed: hint: attach the bundle as a disk
airseed: trying again in 5 seconds; see airseed-status
"""
DONE = """\
airseed: step finish
airseed: step finish is done after 1 s
airseed: k8s05 is in its cluster, after 93 s
"""
TABLE = """\
NODE   ROLE           STATE    STEP      SECONDS  WHAT
k8s04  -              failed   packages  -        no bundle was found (exit code 1, attempt 2)
k8s02  control-plane  waiting  kubeadm   61       waiting for the join lease, which k8s03 holds
k8s06  -              running  images    -
k8s05  -              done     -         93
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "k8s04").mkdir()
    found = {
        "k8s02.json": json.dumps(RESULT),
        "k8s04/console.log": FAILED,
        "serial-5.log": DONE,
        "k8s06.txt": "airseed: step images\n",
    }
    for name, text in found.items():
        (tmp_path / name).write_text(text, "utf-8")
    return [tmp_path / name for name in found]


def test_what_wants_attention_comes_first(files: list[Path]) -> None:
    found, faults = status.read(files)
    assert faults == []
    assert [(one.node, one.state, one.step) for one in found] == [
        ("k8s04", "failed", "packages"),
        ("k8s02", "waiting", "kubeadm"),
        ("k8s06", "running", "images"),
        ("k8s05", "done", ""),
    ]
    assert (found[0].exit_code, found[0].attempt) == (1, 2)
    assert (found[0].message, found[0].hint) == (
        "no bundle was found",
        "attach the bundle as a disk",
    )
    assert (found[1].seconds, found[3].seconds) == (61, 93)


def test_the_table(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", *map(str, files)]) == 1
    out, err = capsys.readouterr()
    assert out == TABLE
    assert err == "k8s04: hint: attach the bundle as a disk\n"
    assert run(["status", str(files[2]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "done"


def test_a_folder_stands_for_the_results_in_it(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = files[0].parent
    results = sorted(path for path in files if path.suffix == ".json")
    assert status.read([folder]) == status.read(results)
    (folder / "empty").mkdir()
    assert run(["status", str(folder / "empty")]) == 2
    assert capsys.readouterr().err == (
        f"error: {folder}/empty: there is no result in this folder\n  expected NODE.json\n"
    )


def test_a_change_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "k8s02.json"
    of_change = {"change": "001-upgrade-1.19.5", "stage": "1", "waiting_for": "its turn"}
    file.write_text(json.dumps(RESULT | of_change), "utf-8")
    assert run(["status", str(file)]) == 0
    assert "001-upgrade-1.19.5, stage 1: waiting for its turn\n" in capsys.readouterr().out


@pytest.mark.parametrize(("more", "plan"), [({}, "first-boot"), ({"plan": "bake"}, "bake")])
def test_a_result_may_say_of_which_plan_it_speaks(
    tmp_path: Path, more: dict[str, str], plan: str
) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(RESULT | more), "utf-8")
    (result,), _ = status.read([file])
    assert result.plan == plan


def test_a_machine_that_went_on_is_no_longer_failed(tmp_path: Path) -> None:
    path = tmp_path / "k8s04.log"
    path.write_text(FAILED + "airseed: step packages\nairseed: waiting for the time\n" + DONE)
    (found,), _ = status.read([path])
    assert (found.state, found.message, found.hint, found.waiting_for) == ("done", "", "", "")
    path.write_text(FAILED + "airseed: step kubeadm\nairseed: waiting for the API server\n")
    (found,), _ = status.read([path])
    assert (found.state, found.step, found.waiting_for) == (
        "waiting",
        "kubeadm",
        "the API server",
    )


OTHER = "this is not what a machine says of itself"


def test_every_file_that_is_neither_is_named(tmp_path: Path) -> None:
    texts = {
        "empty.log": "",
        "cut.json": '{"format": 1, "node": "a"',
        "new.json": json.dumps({**RESULT, "format": 2, "state": "lost"}),
        "binary": "\0\1\2",
        "running.json": '{"format": 1, "cluster": "c", "nodes": []}',
        "user-data": "printf 'airseed: waiting for %s\\n' \"$1\"",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    results, faults = status.read([tmp_path / name for name in texts])
    assert [(one.node, one.state, one.message) for one in results] == [
        ("binary", "unknown", "it has no line of airseed's"),
        ("cut", "unknown", "line 1, column 26: not JSON: Expecting ',' delimiter"),
        ("empty", "unknown", "it has no line of airseed's"),
        ("new", "unknown", "format: the result has format 2 (expected format 1)"),
        ("running", "unknown", f"{OTHER} (expected a machine's /var/lib/airseed/result.json)"),
        ("user-data", "unknown", "it has no line of airseed's"),
    ]
    assert [(fault.where.removeprefix(f"{tmp_path}/"), fault.what) for fault in faults] == [
        ("empty.log", "it has no line of airseed's"),
        ("cut.json: line 1, column 26", "not JSON: Expecting ',' delimiter"),
        ("new.json: format", "the result has format 2"),
        ("binary", "it has no line of airseed's"),
        ("running.json", OTHER),
        ("user-data", "it has no line of airseed's"),
    ]
    assert [fault.hint for fault in faults if "format" in fault.where] == [
        "use the airseed that wrote it, or a newer one"
    ]


def test_a_machine_that_has_not_begun_hides_no_other(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 for a failed node counts more than 3 for an unknown one."""
    empty = tmp_path / "k8s07.log"
    empty.write_text("")
    reason = (
        f"warning: {empty}: it has no line of airseed's\n"
        "  hint: the machine may not have begun; else give a result.json, or what its console or "
        "journal says\n"
    )
    assert run(["status", *map(str, files), str(empty)]) == 1
    out, err = capsys.readouterr()
    head, failed, *others = TABLE.splitlines(keepends=True)
    unknown = "k8s07  -              unknown  -         -        it has no line of airseed's\n"
    assert out == "".join((head, failed, unknown, *others))
    assert err == f"k8s04: hint: attach the bundle as a disk\n{reason}"
    assert run(["status", str(files[2]), str(empty), "--json"]) == 3
    out, err = capsys.readouterr()
    assert [(one["node"], one["state"]) for one in json.loads(out)] == [
        ("k8s07", "unknown"),
        ("k8s05", "done"),
    ]
    assert err == reason


def test_since_when_and_what_was_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wait says how long it is one and what was said last; trouble comes first."""
    said = {**RESULT, "since": 1001, "last_said": "etcd: panic: freepages"}
    quiet = {**RESULT, "node": "k8s03", "state": "running", "waiting_for": "", "last_said": "x"}
    gone = {"trouble": "these images are gone: a", "trouble_hint": "attach the bundle"}
    done = {**RESULT, "node": "k8s09", "state": "done", "step": "", "waiting_for": "", **gone}
    paths = []
    for document in (said, quiet, done):
        path = tmp_path / f"{document['node']}.json"
        path.write_text(json.dumps(document))
        paths.append(str(path))
    assert run(["status", *paths]) == 1
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == [
        "NODE",
        "k8s09",
        "k8s02",
        "k8s03",
    ]
    assert "trouble: these images are gone: a" in shown.out
    assert "k8s09: hint: attach the bundle" in shown.out + shown.err
    assert (
        "waiting for the join lease, which k8s03 holds for 60 s; last: etcd: panic: freepages"
        in shown.out
    )
    assert shown.out.rstrip().endswith("last: x")


def test_what_ends_when_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soon = int(time.time()) + 20 * 86400 + 60
    ends = {
        "/etc/kubernetes/pki/apiserver.crt": soon,
        "/etc/kubernetes/pki/ca.crt": soon + 10**9,
        # kubelet has had another one since
        "/var/lib/kubelet/pki/kubelet-client-current.pem": 1,
    }
    result = {**RESULT, "state": "done", "waiting_for": "", "certificates": ends}
    (tmp_path / "k8s02.json").write_text(json.dumps(result), "utf-8")
    assert run(["status", str(tmp_path / "k8s02.json")]) == 0
    out, err = capsys.readouterr()
    assert f"certificates until {datetime.fromtimestamp(soon, UTC):%Y-%m-%d}" in out
    assert "k8s02: the certificate of /etc/kubernetes/pki/apiserver.crt ends in 20 days" in err
    assert "airseed changes --renew renews what ends soon" in err
    result["certificates"] = {"/etc/kubernetes/admin.conf": 86400}
    (tmp_path / "k8s02.json").write_text(json.dumps(result), "utf-8")
    run(["status", str(tmp_path / "k8s02.json")])
    assert "the certificate of /etc/kubernetes/admin.conf has ended" in capsys.readouterr().err


def test_a_server_that_drips_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_DEADLINE", 1.2)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\n" + b"x" * 1000:
                    if ended.wait(0.05):
                        break
                    connection.send(bytes([byte]))

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(FetchError) as caught:
            status.ask(f"http://127.0.0.1:{server.getsockname()[1]}")
        ended.set()
        thread.join(10)
    assert "did not answer within 1 s" in str(caught.value)
