"""What machines post to ``airseed serve --boots``, and who sees it."""

from __future__ import annotations

import http.client
import json
import stat
import threading
import time
from base64 import b64encode
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from builder.cli.root import run
from builder.errors import DocumentError
from builder.pipeline.boots import Watch
from builder.pipeline.serve import ServeAccess, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxes import Sample

CLUSTER = """\
name: prod
kubernetes: 1.18.5
nodes:
  - {name: k8s01, role: control-plane, address: 10.0.0.1}
  - {name: k8s02, role: worker, address: 10.0.0.2}
"""
POST = {
    "format": 1,
    "cluster": "prod",
    "node": "k8s02",
    "role": "worker",
    "state": "waiting",
    "step": "kubeadm",
    "waiting_for": "the join lease, which k8s03 holds",
    "last_said": "409: somebody has it",
    "since": 1030,
    "started": 1000,
    "updated": 1061,
    "steps": [],
    "waits": [],
    "lines": [],
}
JSON = {"Content-Type": "application/json"}
Answer = tuple[int, str]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER, "utf-8")
    return path


class Served:
    def __init__(self, address: str) -> None:
        self._address = address
        self.url = f"http://{address}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(self._address, timeout=40)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def post(self, headers: dict[str, str] | None = None, **changes: Any) -> Answer:
        body = json.dumps({**POST, **changes}).encode()
        return self.ask("POST", "/boots", body, **(JSON if headers is None else headers))

    def get(self, path: str = "/boots", **headers: str) -> str:
        status, text = self.ask("GET", path, **headers)
        assert status == 200
        return text

    def nodes(self) -> dict[str, Any]:
        entries = json.loads(self.get("/boots.json"))["nodes"]
        return {entry["node"]: entry.get("result") for entry in entries}


@contextmanager
def served(sample: Sample, cluster: Path) -> Iterator[Served]:
    with serve([sample.bundle], address=("127.0.0.1", 0), watch=Watch(cluster=cluster)) as serving:
        yield Served(serving.address)


@pytest.fixture
def board(sample: Sample, cluster: Path) -> Iterator[Served]:
    with served(sample, cluster) as serving:
        yield serving


def test_what_a_machine_posts_is_shown(board: Served) -> None:
    assert "nothing was heard of it" in board.get()
    assert board.post()[0] == 204
    page = board.get()
    for text in ("waiting for the join lease, which k8s03 holds", "409: somebody has it", "31 s"):
        assert text in page
    assert board.nodes()["k8s01"] is None
    assert board.nodes()["k8s02"]["step"] == "kubeadm"
    board.post(state="failed", message="no bundle", hint="attach it", lines=["yum: x"], exit_code=7)
    page = board.get()
    for text in ("no bundle", "(exit code 7, attempt 1)", "attach it", "yum: x"):
        assert text in page


def test_the_page_is_reloaded_where_no_script_runs(board: Served) -> None:
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in board.get()


def test_who_watches_hears_of_a_change_at_once(board: Served) -> None:
    def version() -> str:
        return board.get().partition('data-version="')[2].partition('"')[0]

    seen = version()
    heard: list[str] = []
    watching = threading.Thread(
        target=lambda: heard.append(board.get(f"/boots/events?since={seen}"))
    )
    begun = time.monotonic()
    watching.start()
    time.sleep(0.3)
    assert not heard
    board.post()
    watching.join()
    assert time.monotonic() - begun < 10
    assert f"id: {version()}\nevent: change\n" in heard[0]
    # one that missed something hears at once
    assert "event: change" in board.get("/boots/events", **{"Last-Event-ID": seen})


def test_a_server_that_stops_keeps_nobody_waiting(sample: Sample, cluster: Path) -> None:
    with ExitStack() as opened:
        board = opened.enter_context(served(sample, cluster))
        seen = board.get().partition('data-version="')[2].partition('"')[0]
        watching = threading.Thread(
            target=lambda: board.ask("GET", f"/boots/events?since={seen}"), daemon=True
        )
        watching.start()
        time.sleep(0.3)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    watching.join()


def test_it_is_kept_across_restarts_for_its_owner_alone(sample: Sample, cluster: Path) -> None:
    state = cluster.with_name("boots.json")
    with served(sample, cluster) as board:
        board.post()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    with served(sample, cluster) as board:
        assert board.nodes()["k8s02"]["waiting_for"] == POST["waiting_for"]
    # a node that cluster.yaml has no longer is forgotten
    cluster.write_text(CLUSTER.replace("k8s02", "k8s09"), "utf-8")
    with served(sample, cluster) as board:
        assert board.nodes() == {"k8s01": None, "k8s09": None}
    state.write_text("{}", "utf-8")
    with pytest.raises(DocumentError, match=r"boots\.json"), served(sample, cluster):
        pass


def test_posts_overtake_each_other(board: Served) -> None:
    board.post(state="done", updated=1200)
    board.post(state="running", updated=1190)
    assert board.nodes()["k8s02"]["state"] == "done"
    # the machine was set up anew
    board.post(state="running", started=1300, updated=1300)
    assert board.nodes()["k8s02"]["state"] == "running"
    # its clock was hours ahead until it asked the site's; nothing after that is old
    board.post(state="running", started=1300, updated=1301 + 8 * 3600)
    board.post(state="failed", started=1300, updated=1320)
    assert board.nodes()["k8s02"]["state"] == "failed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"node": "k8s03"}, 403),
        ({"cluster": "other"}, 403),
        ({"state": "winning"}, 400),
        ({"message": "x" * 5000}, 400),
        ({"unknown": 1}, 400),
        ({"node": ["k8s02"]}, 400),
        ({"lines": ["x" * (300 << 10)]}, 413),
    ],
)
def test_what_is_no_result_of_a_node_here_is_refused(
    board: Served, changes: dict[str, Any], status: int
) -> None:
    assert board.post(**changes)[0] == status
    assert board.nodes() == {"k8s01": None, "k8s02": None}


def test_with_the_clusters_token_nobody_else_is_believed(sample: Sample, cluster: Path) -> None:
    assert run(["secrets", str(cluster)]) == 0
    token = (cluster.parent / "secrets/phone-home-token").read_text("utf-8").strip()
    with served(sample, cluster) as board:
        for wrong in ("", "Bearer", f"Basic {token}", f"Bearer {token[:-1]}", f"Bearer {token}0"):
            assert board.post(headers={**JSON, "Authorization": wrong})[0] == 403
        assert board.nodes()["k8s02"] is None
        assert board.post(headers={**JSON, "Authorization": f"Bearer {token}"})[0] == 204
        assert board.nodes()["k8s02"]["state"] == "waiting"
    assert token not in cluster.with_name("boots.json").read_text("utf-8")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_what_is_no_document_is_refused(board: Served, body: bytes) -> None:
    assert board.ask("POST", "/boots", body, **JSON)[0] == 400


def test_a_page_of_a_stranger_can_make_no_browser_post(board: Served) -> None:
    assert board.post(headers={"Content-Type": "text/plain"})[0] == 415
    assert board.ask("POST", "/boots.json", b"{}", **JSON)[0] == 405


def test_what_is_kept_of_a_node_is_bounded(board: Served) -> None:
    board.post(
        state="failed",
        lines=[f"{number} {'x' * 1000}" for number in range(100)],
        waits=[{"for": "x" * 1000, "seconds": 1}] * 50,
    )
    kept = board.nodes()["k8s02"]
    assert [line.split()[0] for line in kept["lines"]] == [str(each) for each in range(80, 100)]
    assert len(json.dumps(kept)) < 12_000


def test_whatever_machines_say_is_text(board: Served) -> None:
    attack = "<img src=x onerror=alert(1)>\"'</pre></script><script>alert(1)</script>{{ 7*7 }}"
    names = ("message", "hint", "waiting_for", "last_said", "step", "role")
    for state in ("failed", "waiting", "running", "done"):
        attacks = dict.fromkeys(names, attack)
        board.post(state=state, trouble=attack, trouble_hint=attack, lines=[attack], **attacks)
        page = board.get()
        assert "&lt;script&gt;alert(1)" in page
        assert "<img" not in page
        assert "<script>alert" not in page
        assert "{{ 7*7 }}" in page


def test_words_that_are_no_text_break_no_page(board: Served) -> None:
    for text in ("\ud800", "\0", "\x1b[31m", "\u202egnp.exe", "\uffff", "🦭"):
        status, said = board.post(state="failed", message=f"before {text} after", lines=[text])
        assert status in {204, 400}, said
        board.get()
        json.loads(board.get("/boots.json"))
    assert board.post(message="😀")[0] == 204


def test_a_login_is_for_who_looks_and_the_token_for_who_posts(
    sample: Sample, cluster: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text(f"jane:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n", "utf-8")
    users.chmod(0o600)
    watch, access = Watch(cluster=cluster), ServeAccess(users=users)
    with serve([sample.bundle], address=("127.0.0.1", 0), watch=watch, access=access) as serving:
        board = Served(serving.address)
        assert board.post()[0] == 204
        for path in ("/", "/boots", "/boots.json", "/boots/events"):
            assert board.ask("GET", path)[0] == 401
        assert board.ask("PUT", "/boots", b"{}", **JSON)[0] == 401
        login = {"Authorization": f"Basic {b64encode(b'jane:secret').decode()}"}
        assert "the join lease" in board.get(**login)
        assert "docker login" in board.get("/", **login)


def test_it_needs_no_bundle(cluster: Path) -> None:
    with serve([], address=("127.0.0.1", 0), watch=Watch(cluster=cluster)) as serving:
        board = Served(serving.address)
        assert board.ask("GET", "/")[0] == 307
        assert board.post()[0] == 204
        assert "the join lease" in board.get()
    assert run(["serve"]) == 2


def test_status_asks_for_the_same_table(
    board: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board.post()
    for url in (board.url, f"{board.url}/", f"{board.url}/boots", f"{board.url}/boots.json"):
        assert run(["status", "--from", url]) == 3  # of k8s01 nothing was heard
        out = capsys.readouterr().out
        first = " ".join(out.splitlines()[1].split())
        assert first == "k8s01 control-plane unknown - - nothing was heard of it"
        assert "waiting for the join lease, which k8s03 holds for 3" in out
    board.post(node="k8s01", state="done")
    assert run(["status", "--from", board.url, "--json"]) == 0
    assert [each["node"] for each in json.loads(capsys.readouterr().out)] == ["k8s02", "k8s01"]
    board.post(state="failed", message="no bundle")
    assert run(["status", "--from", board.url]) == 1
    capsys.readouterr()
    assert run(["status", "--from", "10.0.0.5:5000"]) == 2
    assert run(["status"]) == 2
    monkeypatch.setenv("AIRSEED_TIMEOUT", "2")
    assert run(["status", "--from", f"{board.url}/bundles"]) == 1
    told = capsys.readouterr().err
    assert "404" in told
    assert "hint: airseed serve shows first boots with --boots alone" in told


def test_without_boots_nothing_is_taken(sample: Sample) -> None:
    with serve([sample.bundle], address=("127.0.0.1", 0)) as serving:
        plain = Served(serving.address)
        assert plain.post()[0] == 405
        assert plain.ask("GET", "/boots")[0] == 404


def parallel(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_watchers_keep_no_threads(board: Served) -> None:
    seen = board.get().partition('data-version="')[2].partition('"')[0]
    answers: list[str] = []
    stop = threading.Timer(1.5, board.post)
    stop.start()
    parallel(80, lambda: answers.append(board.get(f"/boots/events?since={seen}")))
    stop.join()
    assert len(answers) == 80
    assert sum("too many are watching" in answer for answer in answers) >= 10
