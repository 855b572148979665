from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from builder.backoff import Backoff
from builder.errors import FetchError, UsageError
from builder.http import Client, StatusError

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

Fixture = Any


def test_a_document_arrives_with_its_headers(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, b"hello", X_Kind="greeting"))
    reply = client.get(url, limit=5, headers={"Accept": "text/plain"})
    assert (reply.status, reply.content, reply.url) == (200, b"hello", url)
    assert reply.headers["x-kind"] == "greeting"
    [headers] = site.asked("/a")
    assert headers["Accept"] == "text/plain"
    assert headers["Accept-Encoding"] == "identity"


def test_requests_is_imported_by_the_first_client() -> None:
    program = (
        "import sys, builder.http\n"
        "print('requests' in sys.modules, 'urllib3' in sys.modules)\n"
        "builder.http.Client().close()\n"
        "print('requests' in sys.modules)\n"
        "print(builder.http.HttpStream.__name__, hasattr(builder.http, 'Streams'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True", "HttpStream", "False"]


def test_connections_are_used_again(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.reply(200, b"hello"))
    missing = site.url("/missing")
    for _ in range(5):
        client.get(url, limit=5)
        client.head(url)
        with client.open(url, size=5) as stream:
            stream.readinto(memoryview(bytearray(10)))
        with pytest.raises(StatusError):
            client.get(missing, limit=5)
    assert site.connections == 1
    assert len(site.requests) == 20


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_temporary_statuses_are_tried_again(
    client: Client, site: Fixture, answers: Fixture, pauses: list[float], status: int
) -> None:
    url = site.on("/a", answers.reply(status), answers.reply(status), answers.reply(200, b"ok"))
    assert client.get(url, limit=5).content == b"ok"
    assert len(pauses) == 2
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, None),
        (
            401,
            (
                "check that the credentials for this host (docker login, ~/.docker/config.json)"
                " are there and may read it"
            ),
        ),
        (404, "check the name and the version; a later source may still have it"),
        (501, None),
    ],
)
def test_final_statuses_are_not(
    client: Client, site: Fixture, answers: Fixture, status: int, hint: str | None
) -> None:
    url = site.on("/a", answers.reply(status, b"no", X_Reason="because"))
    with pytest.raises(StatusError) as caught:
        client.get(url, limit=5)
    assert caught.value.status == status
    assert not caught.value.temporary
    assert caught.value.hint == hint
    assert caught.value.headers["X-Reason"] == "because"
    assert len(site.requests) == 1


def test_attempts_end(client: Client, site: Fixture, answers: Fixture, pauses: list[float]) -> None:
    url = site.on("/a", answers.reply(503))
    with pytest.raises(FetchError) as caught:
        client.get(url + "?key=secret", limit=5)
    assert (
        str(caught.value)
        == f"{url}?key=***: the server answered 503 Service Unavailable (tried 5 times)"
    )
    assert caught.value.temporary
    assert caught.value.status == 503
    assert len(pauses) == 4


def test_retry_after_is_honoured(
    client: Client, site: Fixture, answers: Fixture, pauses: list[float]
) -> None:
    url = site.on(
        "/a",
        answers.reply(429, Retry_After="7"),
        answers.reply(503, Retry_After="60"),
        answers.reply(200, b"ok"),
    )
    assert client.get(url, limit=5).content == b"ok"
    assert pauses == [7.0, 60.0]


def test_nobody_asks_again_before_the_time_that_a_server_names(
    client: Client, site: Fixture, answers: Fixture, pauses: list[float]
) -> None:
    url = site.on("/a", answers.reply(429, Retry_After="3600"))
    with pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value) == (
        f"{url}: the server answered 429 Too Many Requests and asks to wait 3,600 s"
    )
    assert caught.value.retry_after == 3600.0
    assert (len(site.requests), pauses) == (1, [])


def test_a_host_that_wore_us_out_is_asked_once_until_it_answers(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url, other = site.on("/a", answers.reply(503)), site.on("/b", answers.reply(503))
    for path in (url, other):
        with pytest.raises(FetchError):
            client.get(path, limit=5)
    assert (len(site.asked("/a")), len(site.asked("/b"))) == (5, 1)
    site.on("/c", answers.reply(200, b"ok"))
    assert client.get(site.url("/c"), limit=5).content == b"ok"
    with pytest.raises(FetchError):
        client.get(other, limit=5)
    assert len(site.asked("/b")) == 6


def test_a_cut_body_is_fetched_again(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on(
        "/a", answers.reply(200, b"hel", announce=5), answers.raw(b""), answers.reply(200, b"hello")
    )
    assert client.get(url, limit=5).content == b"hello"
    assert len(site.requests) == 3


def test_a_long_document_is_refused_before_it_is_read(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, b"hello!"))
    with pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value) == f"{url}: the document has 6 bytes (expected at most 5)"
    assert not caught.value.temporary


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")


def test_a_document_without_end_is_left(client: Client, site: Fixture) -> None:
    url = site.on("/a", _endless)
    with pytest.raises(FetchError) as caught:
        client.get(url, limit=100_000)
    assert str(caught.value) == f"{url}: the document does not end (expected at most 100,000 bytes)"


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def test_a_dripping_document_has_a_deadline(site: Fixture) -> None:
    url = site.on("/a", _drip)
    with (
        Client(deadline=0.6, backoff=Backoff(sleep=lambda _: None)) as client,
        pytest.raises(FetchError) as caught,
    ):
        client.get(url, limit=1_000_000)
    assert str(caught.value) == f"{url}: the document takes too long to arrive"
    assert caught.value.temporary


def test_silence_is_temporary(site: Fixture) -> None:
    url = site.on("/a", lambda _: time.sleep(2))
    with (
        Client(read_timeout=0.2, backoff=Backoff(attempts=2, sleep=lambda _: None)) as client,
        pytest.raises(FetchError) as caught,
    ):
        client.get(url, limit=5)
    assert str(caught.value) == f"{url}: 127.0.0.1:{site.port} stopped sending (tried 2 times)"


def test_the_environment_says_how_long_silence_lasts(
    site: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.on("/a", lambda _: time.sleep(2))
    monkeypatch.setenv("AIRSEED_TIMEOUT", "0.2")
    start = time.monotonic()
    with (
        Client(backoff=Backoff(attempts=1)) as client,
        pytest.raises(FetchError, match=r"stopped sending$"),
    ):
        client.get(url, limit=5)
    assert 0.2 <= time.monotonic() - start < 1.5


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "3601"])
def test_a_timeout_that_is_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRSEED_TIMEOUT", text)
    with pytest.raises(UsageError) as caught:
        Client()
    assert str(caught.value) == (
        f"AIRSEED_TIMEOUT: {text!r} is not a waiting time"
        " (expected seconds, more than 0 and at most 3600)"
    )


@pytest.mark.parametrize(
    "junk",
    [
        b"SSH-2.0-OpenSSH_7.4\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b; charset\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: =;;\xff; expires=x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a:99999999/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 300 + b".b/\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_fetch_error(site: Fixture, answers: Fixture, junk: bytes) -> None:
    url = site.on("/a", answers.raw(junk))
    with (
        Client(read_timeout=1, backoff=Backoff(attempts=2, sleep=lambda _: None)) as client,
    ):
        try:
            reply = client.get(url, limit=100)
        except FetchError as error:
            assert error.fault.where  # noqa: PT017 -- some of it may be read as HTTP after all
        else:
            assert len(reply.content) <= 100


@pytest.mark.parametrize(
    "url", ["", "ftp://example.test/", "http://", "http://[::1/", "http://a:b/", "not a url", "/x"]
)
def test_what_is_no_url_is_refused(client: Client, url: str) -> None:
    with pytest.raises(FetchError, match="this is not a URL that can be fetched"):
        client.get(url, limit=1)


def test_a_cancelled_client_stops_at_once(site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.reply(503, Retry_After="60"))
    start = time.monotonic()
    with Client() as client, ThreadPoolExecutor(1) as pool:
        got = pool.submit(client.get, url, limit=5)
        while not site.requests:
            time.sleep(0.01)
        client.cancel()
        with pytest.raises(FetchError) as caught:
            got.result()
        with pytest.raises(FetchError, match=r"cancelled$"):
            client.open(url)
    assert str(caught.value) == f"{url}: cancelled"
    assert not caught.value.temporary
    assert time.monotonic() - start < 10
    assert len(site.requests) == 1


def test_a_form_is_sent_but_never_redirected(
    client: Client, site: Fixture, other: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, b"ok"))
    assert client.post(url, {"token": "a b&c"}, limit=5).content == b"ok"
    assert site.bodies == [b"token=a+b%26c"]
    target = other.on("/b", answers.reply(200, b"ok"))
    with pytest.raises(StatusError) as caught:
        client.post(
            site.on("/a", answers.reply(307, Location=target)), {"token": "secret"}, limit=5
        )
    assert str(caught.value) == f"{url}: the server answered 307 Temporary Redirect"
    assert other.requests == []


def test_no_more_than_the_beginning_is_read(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    """Whether the server knows ranges, sends all of it, or does not end."""
    content = bytes(range(256)) * 4096
    for path, answer in (
        ("/ranged", answers.ranged(content)),
        ("/whole", answers.reply(200, content)),
        ("/endless", _endless),
    ):
        expected = b"x" * 1000 if answer is _endless else content[:1000]
        assert client.beginning(site.on(path, answer), 1000) == expected
    assert client.beginning(site.on("/short", answers.reply(200, b"short")), 1000) == b"short"


def test_a_part_that_nobody_asked_for_is_no_document(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/part", answers.reply(206, b"half", **{"Content-Range": "bytes 0-3/8"}))
    with pytest.raises(StatusError) as caught:
        client.get(url, limit=100)
    assert caught.value.status == 206
    assert client.beginning(url, 4) == b"half"


def test_interim_answers_are_passed_by(client: Client, site: Fixture, answers: Fixture) -> None:
    def hinted(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3)
        handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        answers.reply(200, b"at last")(handler)

    url = site.on("/hinted", hinted)
    assert [client.get(url, limit=100).content for _ in range(2)] == [b"at last"] * 2
