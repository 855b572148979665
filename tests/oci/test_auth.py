from __future__ import annotations

import base64
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from builder.errors import AirseedError, UsageError
from builder.oci.auth import Credential, Credentials
from builder.sources import cache

SECRET = "hunter2:with:colons"  # noqa: S105 -- made up
FIRST, SECOND = "s1", "s2"
AUTH = base64.b64encode(f"user:{SECRET}".encode()).decode()


def _load(folder: Path, document: object) -> Credentials:
    path = folder / "config.json"
    path.write_text(json.dumps(document))
    return Credentials([path])


@pytest.mark.parametrize(
    ("key", "repository"),
    [
        ("registry.test", "registry.test/a/b"),
        ("https://registry.test", "registry.test/a"),
        ("https://registry.test/v2/", "registry.test/a"),
        ("Registry.test:5000", "registry.test:5000/a"),
        ("https://index.docker.io/v1/", "docker.io/library/nginx"),
        ("docker.io", "docker.io/library/nginx"),
        ("registry-1.docker.io", "docker.io/a/b"),
        ("registry.test/team", "registry.test/team/app"),
    ],
)
def test_keys_are_read_as_docker_and_podman_write_them(
    tmp_path: Path, key: str, repository: str
) -> None:
    found = _load(tmp_path, {"auths": {key: {"auth": AUTH}}}).find(repository)
    assert found == Credential(username="user", password=SECRET)


@pytest.mark.parametrize(
    "repository", ["other.test/a", "registry.test:5000/a", "registry.test.evil/a", "test/a"]
)
def test_other_hosts_get_nothing(tmp_path: Path, repository: str) -> None:
    assert _load(tmp_path, {"auths": {"registry.test": {"auth": AUTH}}}).find(repository) is None


def test_the_longest_key_wins(tmp_path: Path) -> None:
    def auth(user: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user}:x".encode()).decode()}

    credentials = _load(
        tmp_path, {"auths": {"r.test": auth("all"), "r.test/a": auth("a"), "r.test/ab": auth("ab")}}
    )
    users = [credentials.find(f"r.test/{path}") for path in ("a", "a/b/c", "ab/c", "abc")]
    assert [found and found.username for found in users] == ["a", "a", "ab", "all"]


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    found = _load(tmp_path, {"auths": {"r.test": {"auth": AUTH, "identitytoken": SECRET}}}).find(
        "r.test/a"
    )
    assert found is not None
    assert found.identity_token == SECRET
    assert repr(found) == "Credential(username='user')"


def test_a_user_without_a_home_asks_as_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a container's, whose number is nobody's."""
    monkeypatch.setattr(Path, "home", nowhere)
    assert Credentials.load({}).find("quay.io/a/b") is None
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(UsageError) as caught:
        cache.folder()
    assert caught.value.hint == "set HOME, or XDG_CACHE_HOME to a folder"


def nowhere() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_files_are_looked_for_where_the_tools_write_them(tmp_path: Path) -> None:
    places = {
        "DOCKER_CONFIG": ("docker", "docker/config.json"),
        "REGISTRY_AUTH_FILE": ("auth.json", "auth.json"),
        "XDG_RUNTIME_DIR": ("run", "run/containers/auth.json"),
    }
    environment = {"HOME": str(tmp_path / "home")}
    for user, (name, (value, path)) in enumerate(places.items()):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        auth = base64.b64encode(f"{user}:x".encode()).decode()
        target.write_text(
            json.dumps({"auths": {"both.test": {"auth": auth}, f"{user}.test": {"auth": auth}}})
        )
        environment[name] = str(tmp_path / value)
    credentials = Credentials.load(environment)
    found = [credentials.find(f"{host}.test/a") for host in ("both", "0", "1", "2", "none")]
    assert [item and item.username for item in found] == ["1", "0", "1", "2", None]
    assert Credentials.load({"HOME": str(tmp_path)}).find("r.test/a") is None


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put docker-credential-lab, which knows two servers, on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-lab"
    program.write_text(
        "#!/bin/sh\n"
        'test "$1" = get || exit 9\n'
        "server=$(cat)\n"
        f'echo "$server" >>{tmp_path}/asked\n'
        "case $server in\n"
        """https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"s1"}' ;;\n"""
        """token.test) echo '{"Username":"<token>","Secret":"s2"}' ;;\n"""
        """junk.test) echo 'no JSON: s3' ;;\n"""
        """broken.test) echo 's4' >&2; exit 1 ;;\n"""
        """*) echo 'credentials not found in native keychain'; exit 1 ;;\n"""
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "asked"


@pytest.mark.parametrize(
    "document",
    [
        {"credsStore": "lab", "auths": {"plain.test": {"auth": AUTH}, "token.test": {}}},
        {
            "credHelpers": dict.fromkeys(
                ["docker.io", "token.test", "junk.test", "broken.test"], "lab"
            ),
            "auths": {"plain.test": {"auth": AUTH}},
        },
    ],
)
def test_helpers_are_asked_over_stdin(tmp_path: Path, helper: Path, document: object) -> None:
    credentials = _load(tmp_path, document)
    for _ in range(2):
        assert credentials.find("docker.io/a/b") == Credential(username="hub", password=FIRST)
        assert credentials.find("token.test/a") == Credential(identity_token=SECOND)
        assert credentials.find("plain.test/a") == Credential(username="user", password=SECRET)
        assert credentials.find("nobody.test/a") is None
    asked = helper.read_text().split()
    assert asked[:2] == ["https://index.docker.io/v1/", "token.test"]
    assert len(asked) == len(set(asked))
    path = tmp_path / "config.json"
    with pytest.raises(AirseedError) as caught:
        credentials.find("junk.test/a")
    assert str(caught.value) == (
        f"{path}: the credential helper docker-credential-lab gave no Username and Secret"
    )
    with pytest.raises(AirseedError) as caught:
        credentials.find("broken.test/a")
    assert str(caught.value) == (
        f"{path}: the credential helper docker-credential-lab failed for broken.test (exit 1)"
    )


def test_a_missing_helper_is_explained(tmp_path: Path) -> None:
    with pytest.raises(AirseedError) as caught:
        _load(tmp_path, {"credsStore": "no-such-one"}).find("r.test/a")
    assert str(caught.value) == (
        f"{tmp_path}/config.json: the credential helper docker-credential-no-such-one cannot be"
        " run: no such file or directory"
    )
    assert caught.value.hint == "install it, or remove it from the file and log in again"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "config.json: the document is not an object"),
        ({"auths": []}, None),
        ({"auths": [1]}, "config.json: auths: is not an object"),
        ({"auths": {"r.test": 7}}, "config.json: auths['r.test']: the entry is not an object"),
        (
            {"auths": {"r.test": {"auth": 7}}},
            "config.json: auths['r.test']: the entry has a value that is not a string",
        ),
        (
            {"auths": {"r.test": {"auth": "%%s3cret"}}},
            "config.json: auths['r.test']: the entry's auth is not base64 of USER:PASSWORD",
        ),
        (
            {"credsStore": "../../bin/sh"},
            "config.json: the name of a credential helper is not valid",
        ),
    ],
)
def test_a_broken_file_is_explained(tmp_path: Path, document: object, text: str | None) -> None:
    credentials = _load(tmp_path, document)
    if text is None:
        assert credentials.find("r.test/a") is None
        return
    with pytest.raises(AirseedError) as caught:
        credentials.find("r.test/a")
    assert str(caught.value) == f"{tmp_path}/{text}"
    assert caught.value.__cause__ is None


def test_an_entry_that_nobody_asks_for_breaks_nothing(tmp_path: Path) -> None:
    credentials = _load(tmp_path, {"auths": {"bad.test": 7, "r.test": {"auth": AUTH}}})
    assert credentials.find("r.test/a") is not None


def test_mutations_end_in_one_kind_of_error(tmp_path: Path) -> None:
    source = random.Random(3)
    good = json.dumps(
        {"auths": {"r.test": {"auth": AUTH}}, "credHelpers": {"x.test": "lab"}, "credsStore": ""}
    ).encode()
    path = tmp_path / "config.json"
    found = 0
    for _ in range(1000):
        content: Any = bytearray(good)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(content))
            content[at : at + source.randint(0, 3)] = source.choice(
                [b"", b"{", b"[]", b"null", b"7", b'"', b"\xff", b"\\u0000", b"a" * 9]
            )
        path.write_bytes(content)
        try:
            found += Credentials([path]).find("r.test/a") is not None
        except AirseedError as error:
            assert SECRET not in str(error)  # noqa: PT017 -- most mutations are refused
            assert AUTH not in str(error)  # noqa: PT017
    assert found > 20
