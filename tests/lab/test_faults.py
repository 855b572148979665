from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab import faults

from builder.server.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

URL = "http://files.example.org/some/file.bin"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True, params=["memory", "disk"])
def file(upstream: FaultyUpstream, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    upstream.add_file(URL, path if request.param == "disk" else CONTENT)


def test_a_status_of_its_own(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Status(429, retry_after="7"), times=1)
    answer = client.ask(URL)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert client.ask(URL).status == 200
    upstream.faults.add(faults.Status(503))
    answer = client.ask(URL)
    assert (answer.status, answer.headers["Retry-After"]) == (503, None)


def test_a_login_page(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.LoginPage())
    answer = client.ask(URL)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"sign in first" in answer.body


def test_a_redirect_loop(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.RedirectLoop())
    assert client.ask(f"{URL}?a=b").headers["Location"] == f"{URL}?a=b"


def test_a_range_ignored(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.RangeIgnored(), ranged=True)
    answer = client.ask(URL, {"Range": "bytes=5-"})
    assert (answer.status, answer.body) == (200, CONTENT)


def test_a_wrong_content_range(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.WrongRange(shift=3))
    answer = client.ask(URL, {"Range": "bytes=5-9"})
    assert (answer.status, answer.body) == (206, CONTENT[2:7])
    assert answer.headers["Content-Range"] == f"bytes 2-6/{len(CONTENT)}"
    assert client.ask(URL).body == CONTENT


def test_wrong_bytes_of_the_same_length(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.WrongBytes(at=1000))
    body = client.ask(URL).body
    assert body == CONTENT[:1000] + bytes([CONTENT[1000] ^ 1]) + CONTENT[1001:]


def test_a_reset_inside_the_body(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Reset(after=0.25))
    body, error = client.body_of(URL)
    assert isinstance(error, ConnectionResetError)
    assert CONTENT.startswith(body)  # a reset may overtake what was sent before
    assert upstream.requests[0].sent == len(CONTENT) // 4


def test_a_truncated_body(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Truncate(after=1234))
    assert client.body_of(URL) == (CONTENT[:1234], None)


def test_a_truncated_body_under_tls_ends_in_order(upstream: FaultyUpstream, client: Any) -> None:
    url = URL.replace("http", "https")
    upstream.faults.add(faults.Truncate(after=1234))
    connection = client.connect(url)
    connection.request("GET", "/some/file.bin")
    connection.sock.suppress_ragged_eofs = False
    with connection.getresponse() as answer:
        received = bytearray()
        while piece := answer.read1(100000):  # an SSLEOFError would say: no goodbye
            received += piece
    connection.close()
    assert received == CONTENT[:1234]


def test_no_cut_comes_after_the_end(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Truncate(after=1 << 40))
    assert client.body_of(URL) == (CONTENT[:-1], None)


@pytest.mark.parametrize("after", [None, 100])
def test_a_hang(upstream: FaultyUpstream, client: Any, after: int | None) -> None:
    upstream.faults.add(faults.Hang(after=after))
    body, error = client.body_of(URL, timeout=0.2)
    assert isinstance(error, TimeoutError)
    assert body == CONTENT[: after or 0]


def test_a_hang_that_ends(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Hang(0.05))
    assert client.ask(URL).body == CONTENT


def test_a_slow_drip(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Drip(piece=1 << 18, pause=0.001))
    assert client.ask(URL).body == CONTENT


@pytest.mark.parametrize("how", ["authority", "name"])
def test_a_certificate_that_nobody_should_take(
    upstream: FaultyUpstream, client: Any, how: Any
) -> None:
    rule = upstream.faults.add(faults.BadTLS(how), host="files.*", times=1)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.ask(URL.replace("http", "https"))
    assert client.ask(URL.replace("http", "https")).status == 200
    assert rule.hits == 1


def test_a_handshake_that_is_not_answered(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.BadTLS("closed"))
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        client.ask(URL.replace("http", "https"))


def test_the_journal_names_the_fault(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Truncate(after=10))
    client.body_of(URL)
    served = upstream.requests[0]
    assert (served.fault, served.status, served.sent) == (faults.Truncate(after=10), 200, 10)


def test_clearing_lets_everything_go_well(upstream: FaultyUpstream, client: Any) -> None:
    upstream.faults.add(faults.Status(500))
    upstream.faults.clear()
    assert client.ask(URL).status == 200


def request(path: str = "/a", host: str = "h", method: str = "GET", **headers: str) -> Request:
    return Request(scheme="http", host=host, method=method, path=path, headers=headers)


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        ({}, [True, True, True]),
        ({"nth": 2}, [False, True, False]),
        ({"times": 1}, [True, False, False]),
        ({"host": "x*"}, [False, False, False]),
        ({"path": "/b*"}, [False, False, False]),
        ({"method": "HEAD"}, [False, False, False]),
        ({"ranged": True}, [False, False, False]),
        ({"where": lambda asked: "range" in asked.headers}, [False, False, False]),
        ({"probability": 0.0}, [False, False, False]),
    ],
)
def test_a_rule_chooses_its_requests(rule: dict[str, Any], struck: list[bool]) -> None:
    plan = faults.FaultPlan()
    plan.add(faults.Status(), **rule)
    assert [plan.pick(request()) is not None for _ in struck] == struck


def test_the_first_rule_that_matches_acts() -> None:
    plan = faults.FaultPlan()
    plan.add(faults.Status(500), times=1)
    plan.add(faults.Status(502))
    assert [plan.pick(request()) for _ in range(2)] == [faults.Status(500), faults.Status(502)]


def chances(seed: int, order: Callable[[list[str]], list[str]]) -> dict[str, list[bool]]:
    plan = faults.FaultPlan(seed)
    plan.add(faults.Status(), probability=0.3)
    struck: dict[str, list[bool]] = {}
    for path in order([f"/{number}" for number in range(20)] * 5):
        struck.setdefault(path, []).append(plan.pick(request(path)) is not None)
    return struck


def test_chance_repeats_whatever_the_order_of_requests() -> None:
    assert chances(1, list) == chances(1, sorted)
    assert chances(1, list) != chances(2, list)
    hits = sum(sum(struck) for struck in chances(1, list).values())
    assert 15 < hits < 45
