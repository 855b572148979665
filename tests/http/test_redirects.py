from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from builder.backoff import Backoff
from builder.errors import FetchError
from builder.http import Client

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

Fixture = Any


def test_another_host_never_sees_the_credentials(
    client: Client, site: Fixture, other: Fixture, answers: Fixture
) -> None:
    target = other.on("/blob", answers.ranged(b"0123456789"))
    url = site.on("/a", answers.reply(307, b"go there", Location=f"{target}?X-Signature=s"))
    with client.open(url, offset=4, headers={"authorization": "Bearer t", "X-Kept": "1"}) as stream:
        assert stream.offset == 4
        assert stream.url == f"{target}?X-Signature=s"
    [first], [second] = site.asked("/a"), other.asked("/blob?X-Signature=s")
    assert first["authorization"] == "Bearer t"
    assert "authorization" not in {name.lower() for name in second}
    assert (second["X-Kept"], second["Range"]) == ("1", "bytes=4-")


def test_the_same_host_keeps_them(client: Client, site: Fixture, answers: Fixture) -> None:
    site.on("/b", answers.reply(200, b"ok"))
    url = site.on("/a", answers.reply(302, Location="b"))
    assert client.get(url, limit=5, headers={"Authorization": "Bearer t"}).url == site.url("/b")
    assert site.asked("/b")[0]["Authorization"] == "Bearer t"


def test_userinfo_becomes_a_header_and_is_never_shown(
    client: Client, site: Fixture, other: Fixture, answers: Fixture
) -> None:
    other.on("/b", answers.reply(404))
    bare = site.on("/a", answers.reply(301, Location=other.url("/b")))
    with pytest.raises(FetchError) as caught:
        client.get(bare.replace("://", "://user:p%40ss@"), limit=5)
    assert site.asked("/a")[0]["Authorization"] == "Basic dXNlcjpwQHNz"
    assert "Authorization" not in other.asked("/b")[0]
    assert str(caught.value) == f"{other.url('/b')}: the server answered 404 Not Found"


def test_a_token_may_be_the_user_and_a_header_is_stronger(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, b"ok")).replace("://", "://tök€n@")
    assert client.get(url, limit=5).url == site.url("/a")
    client.get(url, limit=5, headers={"authorization": "Bearer t"})
    assert [
        {name.lower(): value for name, value in headers.items()}["authorization"]
        for headers in site.asked("/a")
    ] == ["Basic dMO2a+KCrG46", "Bearer t"]


def test_no_cookie_is_ever_sent(client: Client, site: Fixture, answers: Fixture) -> None:
    site.on("/b", answers.reply(200, b"ok", Set_Cookie="c=2"))
    url = site.on("/a", answers.reply(302, Location="/b", Set_Cookie="c=1; Path=/"))
    for _ in range(2):
        client.get(url, limit=5)
    assert [path for _, path, headers in site.requests if "Cookie" in headers] == []
    assert len(site.requests) == 4


def test_netrc_is_not_read(
    client: Client,
    site: Fixture,
    answers: Fixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    site.on("/b", answers.reply(200, b"ok"))
    client.get(site.on("/a", answers.reply(302, Location="/b")), limit=5)
    assert "Authorization" not in {**site.asked("/a")[0], **site.asked("/b")[0]}


def test_the_body_of_a_redirect_is_not_waited_for(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    class Endless:
        sent = 0

        def __call__(self, handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", "/b")
            handler.end_headers()
            with contextlib.suppress(OSError):
                while self.sent < 1 << 30:
                    self.sent += handler.wfile.write(bytes(1 << 20))

    endless = Endless()
    site.on("/b", answers.reply(200, b"ok"))
    assert client.get(site.on("/a", endless), limit=5).content == b"ok"
    assert endless.sent < 1 << 28


def test_a_redirect_into_the_void_names_its_target(site: Fixture, answers: Fixture) -> None:
    with socket.socket() as taken:  # nobody listens, and no other test can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        url = site.on("/a", answers.reply(302, Location=f"http://{target}/b?t=1"))
        with Client(backoff=Backoff(attempts=1)) as client, pytest.raises(FetchError) as caught:
            client.get(url, limit=5)
    assert str(caught.value) == (
        f"http://{target}/b?t=***: no connection to {target}: connection refused"
    )


def test_circles_end(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.reply(302, Location="/a"))
    with pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value) == f"{url}: the server redirected more than 10 times"
    assert not caught.value.temporary
    assert len(site.requests) == 11


def test_https_never_falls_back_to_http(
    secure: Fixture, site: Fixture, answers: Fixture, authority: Path
) -> None:
    plain = site.on("/b", answers.reply(200, b"ok"))
    url = secure.on("/a", answers.reply(302, Location=f"{plain}?t=1"))
    with (
        Client(ca_bundle=authority / "ca.pem") as client,
        pytest.raises(FetchError) as caught,
    ):
        client.get(url, limit=5)
    assert str(caught.value) == (
        f"{url} -> {plain}?t=***: the server redirected from https to plain http, which is refused"
    )
    assert site.requests == []


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://[::1", "ftp://a/b", "http://a:x/"]
)
def test_a_redirect_stays_in_the_web(
    client: Client, site: Fixture, answers: Fixture, location: str
) -> None:
    url = site.on("/a", answers.reply(302, Location=location))
    with pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value) == (f"{url}: the server redirected to something that is not a URL")
