from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from fault_lab.upstream import FaultyUpstream

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://files.example.org/some/file.bin"
CONTENT = bytes(range(256)) * 64


def test_https_through_the_proxy_gives_the_file(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    answer = client.ask(URL)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_http_through_the_proxy_gives_the_same(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    assert client.ask(URL.replace("https", "http")).body == CONTENT


def test_urllib_goes_there_by_environment_alone(upstream: FaultyUpstream) -> None:
    upstream.add_file(URL, b"by environment")
    program = f"from urllib.request import urlopen; print(urlopen({URL!r}).read().decode())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **upstream.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "by environment\n"


def test_requests_goes_there_by_environment_alone(
    upstream: FaultyUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = pytest.importorskip("requests")
    upstream.add_file(URL, b"by environment")
    for name, value in upstream.environment.items():
        monkeypatch.setenv(name, value)
    with requests.Session() as session, session.get(URL, timeout=10) as answer:
        assert (answer.status_code, answer.content) == (200, b"by environment")


def test_another_authority_does_not_vouch_for_the_lab(
    upstream: FaultyUpstream, client: Any
) -> None:
    upstream.add_file(URL, CONTENT)
    client.context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        client.ask(URL)


def test_a_very_long_host_name_gets_a_certificate(upstream: FaultyUpstream, client: Any) -> None:
    url = f"https://{'a' * 60}.{'b' * 60}.example.org/x"
    upstream.add_file(url, b"x")
    assert client.ask(url).body == b"x"


def test_unknown_hosts_are_not_reached(upstream: FaultyUpstream, client: Any) -> None:
    with pytest.raises(OSError, match="Tunnel connection failed: 502 Bad Gateway"):
        client.ask("https://nowhere.example.org/")
    assert client.ask("http://nowhere.example.org/").status == 502


def test_unknown_paths_are_not_found(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    assert client.ask("https://files.example.org/other").status == 404


def test_a_removed_file_is_gone(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    upstream.remove_file(URL)
    assert client.ask(URL).status == 404


def test_names_are_decoded(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file("https://files.example.org/libstdc++ 1.rpm", b"plus")
    assert client.ask("https://files.example.org/libstdc%2b%2b%201.rpm").body == b"plus"


def test_head_has_the_size_and_no_body(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    answer = client.ask(URL, method="HEAD")
    assert (answer.headers["Content-Length"], answer.body) == (str(len(CONTENT)), b"")


@pytest.mark.parametrize(
    ("wanted", "content_range", "part"),
    [
        ("bytes=0-9", "bytes 0-9/16384", CONTENT[:10]),
        ("bytes=16000-", "bytes 16000-16383/16384", CONTENT[16000:]),
        ("bytes=-5", "bytes 16379-16383/16384", CONTENT[-5:]),
        ("bytes=16380-99999", "bytes 16380-16383/16384", CONTENT[16380:]),
        ("bytes=-99999", "bytes 0-16383/16384", CONTENT),
    ],
)
@pytest.mark.parametrize("from_disk", [True, False])
def test_ranges(
    upstream: FaultyUpstream,
    client: Any,
    tmp_path: Path,
    wanted: str,
    content_range: str,
    part: bytes,
    from_disk: bool,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    upstream.add_file(URL, path if from_disk else CONTENT)
    answer = client.ask(URL, {"Range": wanted})
    assert (answer.status, answer.headers["Content-Range"]) == (206, content_range)
    assert answer.body == part


@pytest.mark.parametrize("wanted", ["bytes=16384-", "bytes=5-4", "bytes=-0"])
def test_ranges_outside_are_refused(upstream: FaultyUpstream, client: Any, wanted: str) -> None:
    upstream.add_file(URL, CONTENT)
    answer = client.ask(URL, {"Range": wanted})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */16384")


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "lines=1-2", "bytes=-"])
def test_ranges_that_are_not_understood_get_everything(
    upstream: FaultyUpstream, client: Any, wanted: str
) -> None:
    upstream.add_file(URL, CONTENT)
    assert client.ask(URL, {"Range": wanted}).status == 200


def test_if_range_gives_everything_once_the_file_changed(
    upstream: FaultyUpstream, client: Any
) -> None:
    upstream.add_file(URL, CONTENT)
    tag = client.ask(URL).headers["ETag"]
    headers = {"Range": "bytes=1-2", "If-Range": tag}
    assert client.ask(URL, headers).status == 206
    upstream.add_file(URL, CONTENT + b"more")
    assert client.ask(URL, headers).status == 200


def test_if_none_match_answers_not_modified(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    tag = client.ask(URL).headers["ETag"]
    assert client.ask(URL, {"If-None-Match": tag}).status == 304


def test_a_connection_serves_many_requests(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    with closing(client.connect(URL)) as connection:
        for _ in range(3):
            connection.request("GET", "/some/file.bin")
            with closing(connection.getresponse()) as answer:
                assert answer.read() == CONTENT
            own = connection.sock.getsockname()
        assert connection.sock.getsockname() == own


def test_redirects_are_served(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file("https://cdn.example.org/file", CONTENT)
    upstream.add_redirect(URL, "https://cdn.example.org/file")
    assert client.ask(URL).headers["Location"] == "https://cdn.example.org/file"
    assert client.follow(URL).body == CONTENT


def test_loopback_listeners_lead_to_loopback(upstream: FaultyUpstream, at_loopback: Any) -> None:
    upstream.add_file("https://cdn.example.org/file?", CONTENT)
    upstream.add_redirect(URL, "https://cdn.example.org/file?a=b")
    answer = at_loopback(upstream.listen("files.example.org"), "/some/file.bin")
    assert answer.headers["Location"] == f"http://{upstream.listen('cdn.example.org')}/file?a=b"
    upstream.add_redirect(URL, "https://elsewhere.example.org/")
    answer = at_loopback(upstream.listen("files.example.org"), "/some/file.bin")
    assert answer.headers["Location"] == "https://elsewhere.example.org/"


def test_a_loopback_listener_can_speak_tls(upstream: FaultyUpstream) -> None:
    upstream.add_file(URL, CONTENT)
    address, _, port = upstream.listen("files.example.org", tls=True).partition(":")
    context = ssl.create_default_context(cafile=str(upstream.ca))
    with (
        socket.create_connection((address, int(port)), 10) as bare,
        context.wrap_socket(bare, server_hostname=address) as secure,
    ):
        secure.sendall(b"GET /some/file.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        assert secure.recv(15) == b"HTTP/1.1 200 OK"


def test_the_journal_says_what_was_asked_and_sent(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_file(URL, CONTENT)
    headers = {"Range": "bytes=10-19", "Authorization": "Basic eDp5", "User-Agent": "me"}
    client.ask(f"{URL}?a=b", headers)
    client.ask("https://files.example.org/other", method="HEAD")
    first, second = upstream.requests
    assert (first.host, first.method, first.path) == ("files.example.org", "GET", "/some/file.bin")
    assert (first.query, first.range, first.status, first.sent) == ("a=b", "bytes=10-19", 206, 10)
    assert (first.authorized, first.agent, first.fault) == (True, "me", None)
    assert (second.method, second.status, second.sent, second.authorized) == ("HEAD", 404, 0, False)
    upstream.access_log.clear()
    assert upstream.requests == ()


@pytest.mark.parametrize(
    "words",
    [
        b"\x16\x03\x01",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70000,
    ],
)
def test_what_is_no_http_ends_the_connection(upstream: FaultyUpstream, words: bytes) -> None:
    proxy = urlsplit(upstream.proxy)
    with socket.create_connection((proxy.hostname, proxy.port), 10) as client:
        client.sendall(words)
        with suppress(ConnectionResetError):  # more was sent than the server wanted
            answer = client.recv(100)
            assert not answer or answer.startswith(b"HTTP/1.1 4")
            while client.recv(4096):
                pass


def test_closing_ends_connections_and_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with FaultyUpstream(tmp_path) as upstream:
        upstream.add_file(URL, CONTENT)
        proxy = urlsplit(upstream.proxy)
        idle = socket.create_connection((proxy.hostname, proxy.port), 10)
        stuck = socket.create_connection((proxy.hostname, proxy.port), 10)
        stuck.sendall(b"CONNECT files.example.org:443 HTTP/1.1\r\n\r\n")
        assert stuck.recv(12) == b"HTTP/1.1 200"  # and never a handshake
    with idle, stuck:
        assert idle.recv(1) == b""
    assert set(threading.enumerate()) <= before


def test_a_second_start_finds_the_authority(tmp_path: Path) -> None:
    with FaultyUpstream(tmp_path) as upstream:
        first = upstream.ca.read_bytes()
    with FaultyUpstream(tmp_path) as upstream:
        assert upstream.ca.read_bytes() == first
