"""Who we are to a registry: docker's and podman's configuration files and credential helpers.

Formats: docker's config.json (``auths``, ``credsStore``, ``credHelpers``), containers-auth.json(5),
and the credential helper protocol (the server's name in, JSON out, on stdin and stdout). Nothing is
looked up before a registry asks for it, and a secret never enters a repr, a log or an error.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import disk, strict_json
from builder.errors import AirseedError, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HUB = "docker.io"
_HUB_HOSTS = frozenset({_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_HELPER = "https://index.docker.io/v1/"  # the key that docker login and all helpers use
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 60
_TOKEN_USER = "<token>"  # noqa: S105 -- the protocol's mark for an identity token
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Hold a user and a password, or an identity token; neither is ever shown."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


def _folder(environment: Mapping[str, str], name: str, usual: str) -> Path | None:
    """Return the folder that a variable names, or else the usual one at home, if any."""
    if named := environment.get(name):
        return Path(named)
    try:
        return Path(environment.get("HOME") or Path.home()) / usual
    except RuntimeError:  # a user without an entry in passwd
        return None


class Credentials:
    """Find the credential for a repository in configuration files; safe for many threads.

    Files are read when first asked. The first file that knows the repository, or its host, wins;
    a login that is given for a host comes before all of them.
    """

    def __init__(
        self, paths: Iterable[Path] = (), *, logins: Mapping[str, Credential] | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._logins = dict(logins or {})
        self._files: tuple[_File, ...] | None = None
        self._known: dict[str, Credential | None] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        authfile: Path | None = None,
        logins: Mapping[str, Credential] | None = None,
    ) -> Credentials:
        """Take the files that docker and podman would read for this user; ``authfile`` first."""
        paths = []
        if docker := _folder(environment, "DOCKER_CONFIG", ".docker"):
            paths.append(docker / "config.json")
        if named := environment.get("REGISTRY_AUTH_FILE"):
            paths.insert(0, Path(named))
        if runtime := environment.get("XDG_RUNTIME_DIR"):
            paths.append(Path(runtime) / "containers" / "auth.json")
        if configured := _folder(environment, "XDG_CONFIG_HOME", ".config"):
            paths.append(configured / "containers" / "auth.json")
        return cls([authfile, *paths] if authfile else paths, logins=logins)

    def find(self, repository: str) -> Credential | None:
        """Return the credential for ``host[:port]/path``; raise AirseedError for a broken file.

        None means to ask as anybody.
        """
        if login := self._logins.get(repository.partition("/")[0]):
            return login
        with self._lock:
            if repository not in self._known:
                if self._files is None:
                    self._files = tuple(
                        file for path in self._paths if (file := _File.read(path)) is not None
                    )
                answers = (file.find(repository) for file in self._files)
                self._known[repository] = next((item for item in answers if item), None)
            return self._known[repository]


class _File:
    def __init__(self, path: Path, document: Any) -> None:
        self.path = path
        if not isinstance(document, dict):
            raise self._error("the document is not an object")
        self._auths = self._table(document, "auths")
        self._helpers = self._table(document, "credHelpers")
        self._store = document.get("credsStore") or ""

    @classmethod
    def read(cls, path: Path) -> _File | None:
        """Read a file; return None where there is none."""
        try:
            content = disk.read(path, _LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AirseedError(
                f"the registry credentials cannot be read: {reason(error)}", where=str(path)
            ) from error
        try:
            return cls(path, strict_json.load(content or b"{}"))
        except ValueError as error:
            # The sentence names at most a key, never a value.
            raise AirseedError(
                f"the registry credentials cannot be read: {error}", where=str(path)
            ) from error

    def find(self, repository: str) -> Credential | None:
        """Look for helpers of the host first, then for the longest key that fits."""
        host = repository.partition("/")[0]
        server = _HUB_HELPER if host in _HUB_HOSTS else host
        by_host = {_plain(key): name for key, name in self._helpers.items()}
        helper = by_host.get(_plain(host)) or self._store
        if helper:
            credential = self._ask(helper, server)
            if credential is not None:
                return credential
        keys = {_plain(key): key for key in self._auths}
        path = f"{_plain(host)}/{repository.partition('/')[2]}"
        while path:
            if path in keys:
                return self._entry(keys[path])
            path = path.rpartition("/")[0]
        return None

    def _entry(self, key: str) -> Credential | None:
        """Read one entry of ``auths``; an empty one marks that a helper has it."""
        entry = self._auths[key]
        if not isinstance(entry, dict):
            raise self._error("the entry is not an object", f"auths[{key!r}]")
        texts = {
            name: entry.get(name) or ""
            for name in ("auth", "username", "password", "identitytoken")
        }
        if not all(isinstance(text, str) for text in texts.values()):
            raise self._error("the entry has a value that is not a string", f"auths[{key!r}]")
        user, password = texts["username"], texts["password"]
        if texts["auth"]:
            try:
                decoded = base64.b64decode(texts["auth"], validate=True).decode().rstrip("\0")
            except (binascii.Error, ValueError):
                # `from None`: the cause would carry the secret's bytes.
                raise self._error(
                    "the entry's auth is not base64 of USER:PASSWORD", f"auths[{key!r}]"
                ) from None
            user, _, password = decoded.partition(":")
        if not user and not texts["identitytoken"]:
            return None
        return Credential(username=user, password=password, identity_token=texts["identitytoken"])

    def _ask(self, name: Any, server: str) -> Credential | None:
        """Run a credential helper; return None when it knows nothing of the server."""
        if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
            raise self._error("the name of a credential helper is not valid")
        program = f"docker-credential-{name}"
        try:
            done = subprocess.run(  # noqa: S603 -- what docker runs too; the name is checked above
                [program, "get"],
                input=server.encode(),
                capture_output=True,
                timeout=_HELPER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            what = reason(error) if isinstance(error, OSError) else "it does not answer"
            raise self._error(
                f"the credential helper {program} cannot be run: {what}",
                hint="install it, or remove it from the file and log in again",
            ) from None
        if done.returncode != 0:
            if b"not found" in done.stdout.lower():
                return None
            raise self._error(
                f"the credential helper {program} failed for {server} (exit {done.returncode})"
            )
        return self._answer(program, done.stdout)

    def _answer(self, program: str, content: bytes) -> Credential:
        try:
            document = strict_json.load(content[:_LARGEST])
        except ValueError:
            document = None
        user = document.get("Username") if isinstance(document, dict) else None
        secret = document.get("Secret") if isinstance(document, dict) else None
        if not isinstance(user, str) or not isinstance(secret, str):
            raise self._error(f"the credential helper {program} gave no Username and Secret")
        if user == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(username=user, password=secret)

    def _table(self, document: dict[str, Any], key: str) -> dict[str, Any]:
        table = document.get(key) or {}
        if not isinstance(table, dict):
            raise self._error("is not an object", key)
        return table

    def _error(self, what: str, at: str = "", *, hint: str | None = None) -> AirseedError:
        where = f"{self.path}: {at}" if at else str(self.path)
        return AirseedError(what, where=where, hint=hint)


def _plain(key: str) -> str:
    """Normalise a key of ``auths``: HOST[/PATH], no scheme or version, one name for the Hub."""
    key = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        key = key.removesuffix(version)
    host, slash, path = key.partition("/")
    return f"{_HUB if host in _HUB_HOSTS else host.lower()}{slash}{path}"
