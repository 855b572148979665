from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.backoff import Backoff
from builder.errors import AirseedError, FetchError
from builder.http import Client, HttpStream, StatusError
from builder.model.digest import Digest
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.pull import Puller
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from pathlib import Path

Fixture = Any
INDEX = "application/vnd.oci.image.index.v1+json"


def read(stream: HttpStream) -> bytes:
    view = memoryview(bytearray(1000))
    found = b""
    while count := stream.readinto(view):
        found += bytes(view[:count])
    return found


@pytest.fixture
def private(tmp_path: Path, hub: Fixture) -> Puller:
    """Log in as docker login does."""
    return _login(tmp_path, hub.host, {"auth": base64.b64encode(b"user:pass").decode()})


def _login(folder: Path, host: str, entry: dict[str, str]) -> Puller:
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {host: entry}}))
    return Puller(RegistryConnection(Client(backoff=Backoff(attempts=1)), Credentials([path])))


def test_a_manifest_comes_with_its_own_digest(registry: Puller, hub: Fixture) -> None:
    digest = hub.put("team/app", b"{}", INDEX, "1.0")
    for reference in ("1.0", str(digest)):
        found = registry.manifest(f"{hub.host}/team/app", reference)
        assert (found.content, found.media_type, found.digest) == (b"{}", INDEX, digest)
    accept = hub.requests[0][2]["Accept"]
    assert accept == (
        "application/vnd.oci.image.index.v1+json,"
        " application/vnd.docker.distribution.manifest.list.v2+json,"
        " application/vnd.oci.image.manifest.v1+json,"
        " application/vnd.docker.distribution.manifest.v2+json"
    )


def test_other_bytes_than_asked_for_are_refused(registry: Puller, hub: Fixture) -> None:
    wanted = Digest.of(b"wanted")
    path = f"/v2/team/app/manifests/{wanted}"
    hub.content[path] = INDEX, b"{}"
    with pytest.raises(FetchError) as caught:
        registry.manifest(f"{hub.host}/team/app", str(wanted))
    assert str(caught.value) == (
        f"http://{hub.host}{path}: the manifest's digest is {Digest.of(b'{}')}, not the one that"
        f" was asked for (expected {wanted})"
    )


def test_other_bytes_than_announced_are_refused(registry: Puller, hub: Fixture) -> None:
    hub.put("team/app", b"{}", INDEX, "1.0")
    hub.extra = {"Docker-Content-Digest": str(Digest.of(b"other"))}
    with pytest.raises(FetchError, match="not the one that was announced"):
        registry.manifest(f"{hub.host}/team/app", "1.0")
    hub.extra = {"Docker-Content-Digest": "sha512:" + "0" * 128}
    assert registry.manifest(f"{hub.host}/team/app", "1.0").content == b"{}"


def test_look_asks_for_the_head_only(registry: Puller, hub: Fixture) -> None:
    digest = hub.put("team/app", b"{}", INDEX, "1.0")
    reply = registry.look(f"{hub.host}/team/app", "1.0")
    assert reply.headers["Docker-Content-Digest"] == str(digest)
    assert hub.asked() == ["HEAD /v2/team/app/manifests/1.0"]


def test_a_token_is_for_what_is_to_be_done(hub: Fixture) -> None:
    """A registry asks for what one request needs; more may be wanted soon."""
    hub.auth = "token"
    hub.put("team/app", b"{}", INDEX, "1.0")
    with Client() as client:
        connection = RegistryConnection(client, Credentials())
        for _ in range(2):
            scope = Scope.of(f"{hub.host}/team/app", "pull,push")
            connection.head(scope, "manifests/1.0")
    asked = [parse_qs(urlsplit(path).query) for _, path, _, _ in hub.requests]
    assert [query["scope"] for query in asked if query] == [["repository:team/app:pull,push"]]


def test_one_token_a_repository_and_one_challenge_a_host(registry: Puller, hub: Fixture) -> None:
    hub.auth = "token"
    for name in ("a", "b"):
        hub.put(name, b"{}", INDEX, "1", "2")
        hub.put(name, b"blob", "blob")
        for tag in ("1", "2"):
            registry.manifest(f"{hub.host}/{name}", tag)
        assert read(registry.blob(f"{hub.host}/{name}", Digest.of(b"blob"), 4)) == b"blob"
    blob = f"blobs/{Digest.of(b'blob')}"
    assert hub.asked() == [
        "GET /v2/a/manifests/1",  # 401
        "GET /token",
        "GET /v2/a/manifests/1",
        "GET /v2/a/manifests/2",
        f"GET /v2/a/{blob}",
        "GET /token",
        "GET /v2/b/manifests/1",
        "GET /v2/b/manifests/2",
        f"GET /v2/b/{blob}",
    ]


def test_many_threads_need_one_token(registry: Puller, hub: Fixture) -> None:
    hub.auth = "token"
    hub.put("a", b"{}", INDEX, "1")
    registry.manifest(f"{hub.host}/a", "1")
    hub.tokens.clear()
    threads = [
        threading.Thread(target=registry.manifest, args=(f"{hub.host}/a", "1")) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.asked().count("GET /token") == 2


@pytest.mark.parametrize(
    ("life", "used"),
    [(100, 80), (None, 48), (0, 48), (-5, 48), (True, 48), ("x", 48), (1e300, 69_120)],
)
def test_a_token_is_renewed_before_it_ends(
    registry: Puller, hub: Fixture, clock: Fixture, life: object, used: int
) -> None:
    hub.auth, hub.life = "token", life
    hub.put("a", b"{}", INDEX, "1")
    registry.manifest(f"{hub.host}/a", "1")
    clock.now += used - 1
    registry.manifest(f"{hub.host}/a", "1")
    assert hub.asked().count("GET /token") == 1
    clock.now += 1
    registry.manifest(f"{hub.host}/a", "1")
    assert hub.asked().count("GET /token") == 2
    assert len(hub.asked()) == 6


def test_a_token_that_ends_early_is_renewed_once(registry: Puller, hub: Fixture) -> None:
    hub.auth = "token"
    hub.put("a", b"0123456789", "blob")
    digest = Digest.of(b"0123456789")
    assert read(registry.blob(f"{hub.host}/a", digest, 10)) == b"0123456789"
    hub.tokens.clear()
    with registry.blob(f"{hub.host}/a", digest, 10, offset=4) as stream:
        assert stream.offset == 4
        assert read(stream) == b"456789"
    assert hub.asked().count("GET /token") == 2


def test_a_registry_that_takes_no_token_is_left(registry: Puller, hub: Fixture) -> None:
    hub.auth = "token"
    hub.put("a", b"{}", INDEX, "1")
    challenge = {"WWW-Authenticate": hub._challenge("/v2/a/manifests/1")}
    hub.instead.extend([(401, challenge, b""), (401, challenge, b"")])
    with pytest.raises(FetchError) as caught:
        registry.manifest(f"{hub.host}/a", "1")
    assert str(caught.value) == f"http://{hub.host}/v2/a/manifests/1: the registry requires a login"
    assert caught.value.hint == (
        f"the repository does not exist, or reading it needs credentials: docker login {hub.host}"
    )
    assert caught.value.status == 401


def test_a_password_is_shown_to_the_token_server_alone(private: Puller, hub: Fixture) -> None:
    hub.auth = "private"
    hub.put("a", b"{}", INDEX, "1")
    assert private.manifest(f"{hub.host}/a", "1").content == b"{}"
    sent = [
        (path.partition("?")[0], headers["Authorization"]) for _, path, headers, _ in hub.requests
    ]
    assert sent[0] == ("/v2/a/manifests/1", None)
    assert sent[1] == ("/token", "Basic dXNlcjpwYXNz")
    assert sent[2][1].startswith("Bearer token-")
    assert hub.requests[1][1] == "/token?service=lab&scope=repository%3Aa%3Apull"


def test_wrong_credentials_are_explained_without_showing_them(
    private: Puller, hub: Fixture
) -> None:
    hub.auth, hub.users = "private", {}
    hub.put("a", b"{}", INDEX, "1")
    with pytest.raises(FetchError) as caught:
        private.manifest(f"{hub.host}/a", "1")
    assert str(caught.value) == (
        f"http://{hub.host}/token?service=***&scope=***: the token server answered 401"
    )
    assert caught.value.hint == (
        f"the credentials for {hub.host} are wrong, expired, or may not read this repository"
    )


def test_an_identity_token_is_posted(tmp_path: Path, hub: Fixture) -> None:
    hub.auth = "private"
    hub.put("a", b"{}", INDEX, "1")
    registry = _login(tmp_path, hub.host, {"identitytoken": "refresh-me"})
    assert registry.manifest(f"{hub.host}/a", "1").content == b"{}"
    method, path, _, body = hub.requests[1]
    assert (method, path) == ("POST", "/token")
    assert "refresh_token=refresh-me" in body
    assert "scope=repository%3Aa%3Apull" in body


def test_basic_is_sent_with_every_request_once_asked_for(private: Puller, hub: Fixture) -> None:
    hub.auth = "basic"
    hub.put("a", b"{}", INDEX, "1")
    private.manifest(f"{hub.host}/a", "1")
    private.manifest(f"{hub.host}/a", "1")
    assert len(hub.asked()) == 3
    hub.users = {}
    with pytest.raises(FetchError) as caught:
        private.manifest(f"{hub.host}/a", "1")
    assert str(caught.value) == (
        f"http://{hub.host}/v2/a/manifests/1: the registry refuses the login"
    )


def test_storage_never_sees_the_token(registry: Puller, hub: Fixture, storage: Fixture) -> None:
    hub.auth, hub.storage = "token", f"http://{storage.host}"
    digest = hub.put("a", b"0123456789", "blob")
    storage.put("a", b"0123456789", "blob")
    with registry.blob(f"{hub.host}/a", digest, 10, offset=3) as stream:
        assert (stream.offset, read(stream)) == (3, b"3456789")
    [(_, path, headers, _)] = storage.requests
    assert path.endswith("?X-Signature=s3cret")
    assert headers["Authorization"] is None
    assert headers["Range"] == "bytes=3-"
    storage.content.clear()
    with pytest.raises(StatusError) as caught:
        registry.blob(f"{hub.host}/a", digest, 10)
    assert str(caught.value) == (
        f"http://{storage.host}/v2/a/blobs/{digest}?X-Signature=***:"
        " the server answered 404 Not Found"
    )


def test_a_registry_is_not_shown_the_token_of_another(
    private: Puller, hub: Fixture, storage: Fixture
) -> None:
    """It may name the other's token server, and the scope that was asked for there."""
    hub.auth = "private"
    hub.put("secret", b"{}", INDEX, "1")
    storage.put("bait", b"{}", INDEX, "1")
    private.manifest(f"{hub.host}/secret", "1")
    storage.auth, storage.challenge = "token", hub._challenge("/v2/secret/manifests/1")
    with pytest.raises(FetchError):
        private.manifest(f"{storage.host}/bait", "1")
    assert [headers["Authorization"] for _, _, headers, _ in storage.requests] == [None]


def test_a_401_from_elsewhere_gets_no_login(
    private: Puller, hub: Fixture, storage: Fixture
) -> None:
    hub.storage = f"http://{storage.host}"
    digest = hub.put("a", b"blob", "blob")
    storage.put("a", b"blob", "blob")
    storage.auth = "basic"
    with pytest.raises(StatusError) as caught:
        private.blob(f"{hub.host}/a", digest, 4)
    assert caught.value.status == 401
    assert len(storage.requests) == 1


@pytest.mark.parametrize(
    ("challenge", "text"),
    [
        (
            'Digest realm="x"',
            (
                "http://{host}/v2/a/manifests/1: the registry offers no login that airseed knows"
                " (digest) (expected Bearer or Basic)"
            ),
        ),
        (
            "",
            (
                "http://{host}/v2/a/manifests/1: the registry offers no login that airseed knows"
                " (-) (expected Bearer or Basic)"
            ),
        ),
        (
            'Bearer realm="x',
            (
                "http://{host}/v2/a/manifests/1: the registry asks for a login that airseed"
                " does not understand: 'realm=\"x' does not begin a challenge"
            ),
        ),
        ('Bearer service="x"', "{host}: : the registry names no valid URL for tokens"),
        (
            'Bearer realm="file:///x"',
            "{host}: file:///x: the registry names no valid URL for tokens",
        ),
        (
            'Bearer realm="http://elsewhere.invalid/t"',
            (
                "{host}: http://elsewhere.invalid/t: the registry asks for credentials over plain"
                " http to another host (expected https)"
            ),
        ),
    ],
)
def test_a_challenge_that_cannot_be_met_is_explained(
    private: Puller, hub: Fixture, challenge: str, text: str
) -> None:
    hub.auth, hub.challenge = "private", challenge
    hub.put("a", b"{}", INDEX, "1")
    with pytest.raises(FetchError) as caught:
        private.manifest(f"{hub.host}/a", "1")
    assert str(caught.value) == text.format(host=hub.host)


def test_temporary_trouble_is_retried(registry: Puller, hub: Fixture, pauses: list[float]) -> None:
    hub.put("a", b"{}", INDEX, "1")
    hub.instead.extend([(429, {"Retry-After": "3"}, b""), (503, {}, b"")])
    assert registry.manifest(f"{hub.host}/a", "1").content == b"{}"
    assert pauses[0] == 3.0
    hub.instead.append((503, {}, b""))
    with pytest.raises(FetchError) as caught:
        registry.blob(f"{hub.host}/a", Digest.of(b""), 0)
    assert caught.value.temporary


def test_a_manifest_has_a_limit(registry: Puller, hub: Fixture) -> None:
    hub.put("a", b" " * 1001, INDEX, "1")
    with pytest.raises(FetchError, match=r"has 1,001 bytes \(expected at most 1,000\)"):
        registry.manifest(f"{hub.host}/a", "1", limit=1000)


@pytest.mark.parametrize(
    "name", ["127.0.0.1:1/UPPER", "a.test/b:tag", "a.test/b:latest", "a.test/../b"]
)
def test_a_repository_is_checked(registry: Puller, name: str) -> None:
    with pytest.raises(AirseedError):
        registry.manifest(name, "1")
