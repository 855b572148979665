from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

from builder.backoff import Backoff
from builder.errors import FetchError, UsageError
from builder.http import Client
from builder.http.environment import proxies_for

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

Fixture = Any


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("http://example.test/", True),
        ("https://example.test/", True),
        ("http://127.0.0.1:5000/", False),
        ("http://127.8.9.1/", False),
        ("http://[::1]:5000/", False),
        ("http://localhost/", False),
        ("http://corp.test/", False),
        ("http://repo.corp.test/", False),
        ("http://xcorp.test/", True),
        ("http://in.dotted.test/", False),
        ("http://in.star.test/", False),
        ("http://10.20.30.40/", False),
        ("http://11.20.30.40/", True),
        ("http://192.168.1.7/", False),
        ("http://[fd00::7]/", False),
        ("http://ported.test:8080/", False),
        ("http://ported.test/", True),
        ("http://UPPER.test/", False),
        ("http://172.16.0.1:5000/", False),
        ("http://172.16.0.1/", True),
        ("http://[fe80::1]:5000/", False),
        ("http://[fe80::1]/", True),
    ],
)
def test_no_proxy(url: str, monkeypatch: pytest.MonkeyPatch, *, proxied: bool) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("https_proxy", "proxy.test:3128")
    monkeypatch.setenv(
        "no_proxy",
        "corp.test, .dotted.test,*.star.test,10.0.0.0/8,192.168.1.7,fd00::/8,"
        "ported.test:8080,upper.test,172.16.0.1:5000,[fe80::1]:5000,no/network,,",
    )
    scheme = url.partition(":")[0]
    assert proxies_for(url) == ({scheme: "http://proxy.test:3128"} if proxied else {})


def test_a_star_is_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "p:1")
    monkeypatch.setenv("no_proxy", "*")
    assert proxies_for("http://a.test/") == {}


def test_all_proxy_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    assert proxies_for("https://a.test/") == {"https": "http://p:1"}


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("socks5://user:pass@p:1", "socks5://p:1"),
        ("http://", "http://"),
        ("http//user:pass@p:1", "http://***@p:1"),
        ("http:/user:pass@p:1", "http://***@p:1"),
        ("http://user:pa/ss@p:1", "http://***@p:1"),
        ("http://user:12/ss@p:1", "http://***@p:1"),
        ("http://user:pa?ss@p:1", "http://***"),
        ("http://user:pass@p:port", "http://p:port"),
    ],
)
def test_another_kind_of_proxy_is_refused(
    monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with Client() as client, pytest.raises(UsageError) as caught:
        client.get("https://a.test/", limit=5)
    assert str(caught.value) == (
        f"{shown}: this kind of proxy is not supported (expected an http:// or https:// proxy)"
    )


def test_plain_http_goes_through_the_proxy(
    site: Fixture, answers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{site.port}")
    monkeypatch.setenv("no_proxy", "")
    site.on("http://example.test/a", answers.reply(200, b"ok"))
    with Client() as client:
        assert client.get("http://example.test/a", limit=5).content == b"ok"
    [headers] = site.asked("http://example.test/a")
    assert headers["Proxy-Authorization"] == "Basic dXNlcjpwdw=="
    assert "Authorization" not in headers


def test_a_redirect_chooses_its_proxy_anew(
    site: Fixture, other: Fixture, answers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{site.port}")
    direct = other.on("/b", answers.reply(302, Location="http://next.test/c"))
    site.on("http://example.test/a", answers.reply(302, Location=direct))
    site.on("http://next.test/c", answers.reply(200, b"ok"))
    with Client() as client:
        assert client.get("http://example.test/a", limit=5).url == "http://next.test/c"
    assert [headers.get("Proxy-Authorization") for headers in other.asked("/b")] == [None]
    [headers] = site.asked("http://next.test/c")
    assert headers["Proxy-Authorization"] == "Basic dXNlcjpwdw=="


def test_authorities_are_the_same_behind_a_proxy(
    site: Fixture, secure: Fixture, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tunnel(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        with socket.create_connection(("127.0.0.1", secure.port)) as far:
            ends = {handler.connection: far, far: handler.connection}
            with contextlib.suppress(OSError):
                while all(
                    ends[near].send(near.recv(65_536)) for near in select.select(ends, (), ())[0]
                ):
                    pass

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{site.port}")
    site.on("example.test:443", tunnel)
    with Client(ca_bundle=authority / "ca.pem") as client, pytest.raises(FetchError) as caught:
        client.get("https://example.test/a", limit=5)
    assert caught.value.hint == "the certificate is for another name; check the URL"


@pytest.mark.parametrize(
    ("status", "text", "temporary"),
    [
        (407, "the proxy http://127.0.0.1:{port} requires credentials", False),
        (403, "the proxy http://127.0.0.1:{port} gives no connection: 403 Forbidden", False),
        (
            503,
            "the proxy http://127.0.0.1:{port} gives no connection: 503 Service Unavailable",
            True,
        ),
    ],
)
def test_a_refusing_proxy_is_explained(
    site: Fixture,
    answers: Fixture,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    text: str,
    *,
    temporary: bool,
) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:pw@127.0.0.1:{site.port}")
    monkeypatch.setenv("no_proxy", "")
    site.on("example.test:443", answers.reply(status))
    with Client(backoff=Backoff(attempts=1)) as client, pytest.raises(FetchError) as caught:
        client.get("https://example.test/a", limit=5)
    assert str(caught.value) == f"https://example.test/a: {text.format(port=site.port)}"
    assert caught.value.temporary == temporary


def test_an_absent_proxy_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    with socket.socket() as taken:  # nobody listens, and no other test can take the port meanwhile
        for port in range(40700, 40800):  # its number has a status in it
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                break
        port = taken.getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with Client(backoff=Backoff(attempts=1)) as client, pytest.raises(FetchError) as caught:
            client.get("https://example.test/a", limit=5)
    assert str(caught.value) == (
        f"https://example.test/a: the proxy http://127.0.0.1:{port} gives no connection:"
        " connection refused"
    )
    assert caught.value.hint == (
        "check http_proxy and https_proxy; no_proxy names hosts that are reached directly"
    )
