from __future__ import annotations

import datetime as dt
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from builder.backoff import Backoff
from builder.errors import FetchError, UsageError
from builder.http import Client
from builder.http.errors import translate

if TYPE_CHECKING:
    from pathlib import Path

Fixture = Any


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRSEED_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_an_unknown_authority_is_refused_with_a_hint(secure: Fixture, answers: Fixture) -> None:
    url = secure.on("/a", answers.reply(200, b"ok"))
    with Client() as client, pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value) == (
        f"{url}: the certificate of localhost:{secure.port} is not trusted:"
        " unable to get local issuer certificate"
    )
    assert caught.value.hint == (
        "if the site's own CA or an inspecting proxy signs this server, give its certificate with"
        " --ca-bundle or AIRSEED_CA_BUNDLE"
    )
    assert not caught.value.temporary


def test_a_private_authority_is_added(secure: Fixture, answers: Fixture, authority: Path) -> None:
    url = secure.on("/a", answers.ranged(b"secret" * 100_000))
    with Client(ca_bundle=authority / "ca.pem") as client:
        assert client.get(url, limit=600_000).content == b"secret" * 100_000
        with client.open(url, offset=6, size=600_000) as stream:
            assert stream.readinto(memoryview(bytearray(6))) == 6


@pytest.mark.parametrize("name", ["AIRSEED_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_authorities(
    secure: Fixture, answers: Fixture, authority: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(authority / "ca.pem"))
    url = secure.on("/a", answers.reply(200, b"ok"))
    with Client() as client:
        assert client.get(url, limit=5).content == b"ok"


def test_the_environment_replaces_the_system(
    secure: Fixture, answers: Fixture, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with Client() as client:
        client.get(secure.on("/a", answers.reply(200, b"ok")), limit=5)
        trusted = client._transport._adapter._context.get_ca_certs()
    assert [dict(pair for [pair] in found["subject"]) for found in trusted] == [
        {"commonName": "private CA"}
    ]


def test_the_systems_authorities_are_read_when_a_connection_wants_them(
    secure: Fixture, site: Fixture, answers: Fixture
) -> None:
    with Client() as client:
        context = client._transport._adapter._context
        client.get(site.on("/a", answers.reply(200, b"ok")), limit=5)
        assert context.late
        with pytest.raises(FetchError, match="is not trusted"):
            client.get(secure.on("/a", answers.reply(200, b"ok")), limit=5)
        assert not context.late


def test_another_name_is_refused(secure: Fixture, answers: Fixture, authority: Path) -> None:
    secure.on("/a", answers.reply(200, b"ok"))
    secure.host = "127.0.0.1"
    with (
        Client(ca_bundle=authority / "ca.pem") as client,
        pytest.raises(FetchError) as caught,
    ):
        client.get(secure.url("/a"), limit=5)
    assert caught.value.hint == "the certificate is for another name; check the URL"


def test_plain_http_under_https_is_explained(site: Fixture) -> None:
    url = f"https://127.0.0.1:{site.port}/a"
    with Client() as client, pytest.raises(FetchError) as caught:
        client.get(url, limit=5)
    assert str(caught.value).startswith(f"{url}: no TLS connection to 127.0.0.1:{site.port}: ")
    assert caught.value.hint == "the server speaks plain HTTP here, or another protocol"
    assert not caught.value.temporary


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_bundle_that_is_none_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        Client(ca_bundle=path)
    assert str(caught.value) == (
        f"{path}: no certificate authorities can be read from the file given by --ca-bundle"
        " (expected one or more certificates in PEM form)"
    )


def test_a_closed_port_is_temporary(pauses: list[float]) -> None:
    with socket.socket() as taken:  # nobody listens, and no other test can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with (
            Client(backoff=Backoff(attempts=2, sleep=pauses.append)) as client,
            pytest.raises(FetchError) as caught,
        ):
            client.get(f"http://127.0.0.1:{port}/a", limit=5)
    assert str(caught.value) == (
        f"http://127.0.0.1:{port}/a: no connection to 127.0.0.1:{port}: connection refused"
        " (tried 2 times)"
    )
    assert len(pauses) == 1


@pytest.mark.parametrize("port", ["", ":5000"])
def test_an_unknown_name_is_explained(port: str, pauses: list[float]) -> None:
    with Client(backoff=Backoff(attempts=1)) as client, pytest.raises(FetchError) as caught:
        client.get(f"http://no-such-host.invalid{port}/a?b=c", limit=5)
    assert str(caught.value) == (
        f"http://no-such-host.invalid{port}/a?b=***: "
        "the name of no-such-host.invalid cannot be resolved"
    )
    assert caught.value.hint == (
        "check the name, /etc/resolv.conf, and whether a proxy (https_proxy) is needed"
    )


@pytest.mark.parametrize("code", [9, 10])
def test_a_clock_that_is_wrong_is_named(code: int) -> None:
    """A certificate that is not valid yet, or no longer, is more often a clock that is wrong."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, "certificate is not yet valid"
    hint = translate(error, "https://a.test/x").hint
    assert hint is not None
    assert f"this machine's clock says {dt.datetime.now(dt.UTC):%Y-%m-%d}" in hint
