"""A registry on loopback: real HTTP, tokens that expire, blobs on another host."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.backoff import Backoff
from builder.http import Client
from builder.model.artifact import Image, ImageManifest
from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.pull import Puller

if TYPE_CHECKING:
    from collections.abc import Iterator

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker.distribution.manifest"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Hub:
    """Hold repositories, hand out tokens, and remember every request."""

    def __init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode() if length else ""
                hub.requests.append((self.command, self.path, self.headers, body))
                status, headers, content = hub.answer(self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_HEAD = do_POST = do_GET  # noqa: N815 -- the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.content: dict[str, tuple[str, bytes]] = {}
        self.requests: list[tuple[str, str, Any, str]] = []
        self.tokens: set[str] = set()
        self.users = {"user": "pass"}
        self.identity = "refresh-me"
        self.auth: str | None = None  # None, "token", "private" or "basic"
        self.life: object = 300
        self.storage: str | None = None
        self.challenge: str | None = None
        self.extra: dict[str, str] = {}
        self.instead: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def put(self, name: str, content: bytes, kind: str, *tags: str) -> Digest:
        """Store a blob or manifest under its digest and its tags."""
        digest = Digest.of(content)
        folder = "blobs" if kind == "blob" else "manifests"
        for reference in (str(digest), *tags):
            self.content[f"/v2/{name}/{folder}/{reference}"] = kind, content
        return digest

    def asked(self) -> list[str]:
        return [f"{method} {path.partition('?')[0]}" for method, path, _, _ in self.requests]

    def answer(self, path: str, headers: Any, body: str) -> tuple[int, dict[str, str], bytes]:
        if self.instead and path.startswith("/v2/"):
            return self.instead.popleft()
        if path.startswith("/token"):
            return self._token(path, headers.get("Authorization"), body)
        if path not in self.content:
            return (404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        if not self._may(headers.get("Authorization")):
            return 401, {"WWW-Authenticate": self._challenge(path)}, b"{}"
        kind, content = self.content[path]
        if kind == "blob":
            return self._blob(path, content, headers.get("Range"))
        known = {"Content-Type": kind, "Docker-Content-Digest": str(Digest.of(content))}
        return 200, known | self.extra, content

    def _blob(
        self, path: str, content: bytes, asked: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        if self.storage:
            return 307, {"Location": f"{self.storage}{path}?X-Signature=s3cret"}, b""
        if not asked:
            return 200, {"Content-Type": "application/octet-stream"}, content
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        spread = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return 206, {"Content-Range": spread}, content[start:]

    def _challenge(self, path: str) -> str:
        if self.challenge is not None:
            return self.challenge
        if self.auth == "basic":
            return 'Basic realm="lab"'
        name = path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
        return (
            f'Bearer realm="http://{self.host}/token",service="lab",scope="repository:{name}:pull"'
        )

    def _may(self, header: str | None) -> bool:
        if self.auth is None:
            return True
        if self.auth == "basic":
            return self._user(header)
        return header is not None and header.removeprefix("Bearer ") in self.tokens

    def _user(self, header: str | None) -> bool:
        pairs = [f"{user}:{word}".encode() for user, word in self.users.items()]
        return header in [f"Basic {base64.b64encode(pair).decode()}" for pair in pairs]

    def _token(self, path: str, header: str | None, body: str) -> tuple[int, dict[str, str], bytes]:
        form = parse_qs(body)
        refreshed = form.get("refresh_token") == [self.identity]
        if self.auth == "private" and not self._user(header) and not refreshed:
            return 401, {}, b"{}"
        asked = form or parse_qs(urlsplit(path).query)
        token = f"token-{len(self.requests)}-{asked['scope'][0]}"
        self.tokens.add(token)
        key = "access_token" if form else "token"
        return 200, {}, json.dumps({key: token, "expires_in": self.life}).encode()


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close()


@pytest.fixture
def storage() -> Iterator[Hub]:
    """Be the other host that holds the blobs, with names that carry a signature."""
    made = Hub()
    made_content = made.content
    original = made.answer
    made.answer = lambda path, headers, body: original(  # type: ignore[method-assign]
        path.partition("?")[0], headers, body
    )
    assert made_content is made.content
    yield made
    made.close()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def registry(clock: Clock, pauses: list[float]) -> Iterator[Puller]:
    with Client(backoff=Backoff(sleep=pauses.append), read_timeout=5.0) as client:
        yield Puller(RegistryConnection(client, Credentials(), clock=clock))


def dump(document: object) -> bytes:
    return json.dumps(document, indent=3).encode()


class Made:
    """Make images in the shape of upstream's."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}

    def store(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.blobs[digest] = content
        return digest

    def descriptor(self, content: bytes, kind: str, **more: object) -> dict[str, object]:
        digest = self.store(content)
        return {"mediaType": kind, "digest": str(digest), "size": len(content), **more}

    def manifest(self, name: str, platform: str, *, docker: bool = False, layers: int = 2) -> bytes:
        """Make config, layers and manifest; return the manifest's bytes."""
        parsed = Platform.parse(platform)
        contents = [f"layer {number} of {name} {platform}".encode() for number in range(layers)]
        config = dump(
            {
                "os": parsed.os,
                "architecture": parsed.architecture,
                **({"variant": parsed.variant} if parsed.variant else {}),
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{hashlib.sha256(item).hexdigest()}" for item in contents],
                },
            }
        )
        config_type = (
            "application/vnd.docker.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
        )
        layer_type = (
            "application/vnd.docker.image.rootfs.diff.tar" if docker else f"{OCI}.layer.v1.tar"
        )
        kind = f"{DOCKER}.v2+json" if docker else f"{OCI}.manifest.v1+json"
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self.descriptor(config, config_type),
            "layers": [self.descriptor(item, layer_type) for item in contents],
        }
        content = dump(document)
        self.store(content)
        return content

    def index(self, name: str, *platforms: str, docker: bool = False) -> bytes:
        kind = f"{DOCKER}.v2+json" if docker else f"{OCI}.manifest.v1+json"
        entries = []
        for platform in platforms:
            parsed = Platform.parse(platform)
            shown = {"os": parsed.os, "architecture": parsed.architecture}
            if parsed.variant:
                shown["variant"] = parsed.variant
            content = self.manifest(name, platform, docker=docker)
            entries.append(self.descriptor(content, kind, platform=shown))
        top = f"{DOCKER}.list.v2+json" if docker else f"{OCI}.index.v1+json"
        content = dump({"schemaVersion": 2, "mediaType": top, "manifests": entries})
        self.store(content)
        return content

    def image(
        self,
        reference: str,
        *platforms: str,
        roles: tuple[str, ...] = ("control-plane", "worker"),
        docker: bool = False,
    ) -> Image:
        """Make an image with an index and lock all of these platforms."""
        content = self.index(reference, *platforms, docker=docker)
        document = json.loads(content)
        parts = []
        for platform, entry in zip(platforms, document["manifests"], strict=True):
            digest = Digest.parse(entry["digest"])
            manifest = json.loads(self.blobs[digest])
            parts.append(
                ImageManifest(
                    platform=Platform.parse(platform),
                    digest=digest,
                    config=Digest.parse(manifest["config"]["digest"]),
                    layers=tuple(Digest.parse(item["digest"]) for item in manifest["layers"]),
                )
            )
        return Image(
            reference=Reference.parse(reference),
            digest=Digest.of(content),
            size=len(content),
            media_type=document["mediaType"],
            sources=(reference,),
            manifests=tuple(parts),
            roles=roles,
            needed_by=("kubeadm",),
        )


@pytest.fixture
def made() -> Made:
    return Made()
