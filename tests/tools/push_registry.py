"""A registry that takes pushes and behaves as badly as it is told to."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from typing import Self

_ROUTE = re.compile(r"/v2/(.+)/(blobs/uploads|blobs|manifests|tags)/([^/]*)")


@dataclass
class Quirks:
    """What it does otherwise than the standard asks; nothing, unless told."""

    sparse: bool = True
    """Take an index without all of its manifests."""
    mount: int = 201
    """The status of a mount; 202 begins an upload, others refuse."""
    whole: int = 201
    """The status of a blob in one PUT."""
    largest: int = 0
    """Bytes of a request's body; more is a 413 of the proxy's, in HTML. 0 for any."""
    head_digest: bool = True
    scheme: str = ""
    """What a Location begins with; empty for a path alone."""
    breaks: dict[str, int] = field(default_factory=dict)
    """How often the connection breaks in the middle of a method's body."""
    deletes: str = ""
    """What DELETE takes: ``tag``, ``digest`` (with all its tags), nothing."""
    slow: float = 0.0
    """Seconds that each request takes."""
    immutable: bool = False
    """Refuse to move a tag."""
    chunks: int = 202
    """The status of a blob in chunks."""
    least: int = 0
    """Bytes that a chunk must have, but for the last."""
    head: int = 200
    """The status of HEAD for a manifest that is there."""
    docker_types: bool = True
    """Take manifests of docker's own types, which zot refuses unless told otherwise."""
    missing: int = 0
    """The status of everything in a project that is not there, which is every one."""
    shared: bool = False
    """Refuse each blob that is there then, as Nexus does when two pushes bring the same."""
    forgets: int = 0
    """How many uploads are lost before their first byte."""
    page: str = ""
    """The type of a page with which it says 200 to everything, and does nothing."""
    busy: dict[str, list[int]] = field(default_factory=dict)
    """Statuses that come first, by method."""
    login: str = ""
    """USER:PASSWORD that has to be said, to get a token where there are any."""
    token_uses: int = 0
    """Requests that a token is good for; 0 for no tokens but the login itself."""


class PushRegistry:
    """Run on loopback; ``requests`` has method and path of all requests, in order."""

    def __init__(self, quirks: Quirks | None = None) -> None:
        self.quirks = quirks or Quirks()
        self.host = ""
        self.down = False
        self.requests: list[tuple[str, str]] = []
        self.blobs: dict[str, set[str]] = {}
        self.content: dict[str, bytes] = {}
        self.manifests: dict[str, dict[str, str]] = {}
        """By repository: media types by digest."""
        self.tags: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.numbers = itertools.count()
        self.stored: list[str] = []
        """Repositories and digests of blobs, each as often as its bytes came."""
        self.active = 0
        self.short: list[str] = []
        """Uploads with a chunk that was too small; it has to be the last."""
        self.tokens: dict[str, int] = {}
        """How often each may still be used."""
        self.lock = threading.Lock()
        registry = self

        class Handler(_Handler):
            owner = registry

        self._handler = Handler
        self.restart()

    def restart(self, port: int = 0) -> None:
        """Listen, again at the port that it had."""
        port = int(self.host.partition(":")[2]) if self.host else port
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.down = False
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Break all connections and listen no more."""
        self.down = True
        self._server.shutdown()
        self._server.server_close()

    def settle(self) -> None:
        """Wait until nothing is under way any more."""
        end = time.monotonic() + 10
        time.sleep(0.1)
        while self.active and time.monotonic() < end:
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.down:
            self.stop()

    def count(self, method: str) -> int:
        return sum(one == method for one, _ in self.requests)

    def other_image(self, repository: str, tag: str) -> str:
        """Let a tag mean an empty image of somebody else's; return its digest."""
        content = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.content[digest] = content
        index = "application/vnd.oci.image.index.v1+json"
        self.manifests.setdefault(repository, {})[digest] = index
        self.tags.setdefault(repository, {})[tag] = digest
        return digest

    def record(self, path: str, tag: str) -> dict[str, list[str]]:
        """Return the names in a record of what was published."""
        manifest = json.loads(self.content[self.tags[path][tag]])
        names: dict[str, list[str]] = json.loads(self.content[manifest["layers"][0]["digest"]])[
            "names"
        ]
        return names

    def note(self, path: str, tag: str, names: dict[str, list[str]]) -> None:
        """Add names to such a record."""
        content = json.dumps({"names": self.record(path, tag) | names}).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        manifest = json.loads(self.content[self.tags[path][tag]])
        manifest["layers"][0]["digest"] = digest
        text = json.dumps(manifest).encode()
        named = f"sha256:{hashlib.sha256(text).hexdigest()}"
        self.content |= {digest: content, named: text}
        self.blobs[path].add(digest)
        self.manifests[path][named] = manifest["mediaType"]
        self.tags[path][tag] = named

    def incomplete(self) -> list[str]:
        """Return what tags name and is not there."""
        lacking = []
        for repository, tags in self.tags.items():
            for tag, digest in tags.items():
                lacking += [f"{repository}:{tag} {one}" for one in self.missing(repository, digest)]
        return lacking

    def missing(self, repository: str, digest: str) -> list[str]:
        if digest not in self.manifests.get(repository, {}):
            return [digest]
        document = json.loads(self.content[digest])
        if "manifests" in document:
            there = [
                entry["digest"]
                for entry in document["manifests"]
                if entry["digest"] in self.manifests[repository]
            ]
            return [one for child in there for one in self.missing(repository, child)]
        parts = [document["config"], *document["layers"]]
        return [p["digest"] for p in parts if p["digest"] not in self.blobs.get(repository, ())]


class _Handler(BaseHTTPRequestHandler):
    owner: PushRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._run()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD  # noqa: N815 -- http.server's

    def _run(self) -> None:
        registry = self.owner
        with registry.lock:
            registry.requests.append((self.command, self.path))
            registry.active += 1
        try:
            time.sleep(registry.quirks.slow)
            if registry.down:
                self.close_connection = True
            else:
                self._work()
        except OSError:  # whoever asked is gone
            self.close_connection = True
        finally:
            with registry.lock:
                registry.active -= 1

    def _work(self) -> None:
        registry, quirks = self.owner, self.owner.quirks
        size = int(self.headers.get("Content-Length") or 0)
        if quirks.largest and size > quirks.largest:
            self.close_connection = True
            self._answer(413, b"<html>413 Request Entity Too Large</html>", kind="text/html")
            return
        if not self._may(size):
            return
        url = urlsplit(self.path)
        query = {key: value[-1] for key, value in parse_qs(url.query).items()}
        route = _ROUTE.fullmatch(url.path)
        if route is None:
            self._answer(200 if url.path == "/v2/" else 404, b"{}")
            return
        if self.command in {"PUT", "PATCH"} and size and quirks.breaks.get(self.command, 0):
            quirks.breaks[self.command] -= 1
            part = self.rfile.read(size // 2)
            if route[2] == "blobs/uploads" and self.command == "PATCH":
                registry.uploads[route[3]] += part
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True
            return
        if quirks.missing:
            self._refuse(quirks.missing, "NAME_UNKNOWN")
            return
        answer = getattr(self, f"_{route[2].replace('blobs/', '')}")
        with registry.lock:
            answer(route[1], route[3], query, body)

    def _may(self, size: int) -> bool:
        """Tell whether a request is heard at all; hand out tokens."""
        registry, quirks = self.owner, self.owner.quirks
        with registry.lock:
            early = quirks.busy.get(self.command)
            status = early.pop(0) if early else 0
        if quirks.page:
            self.rfile.read(size)
            self._answer(200, b"<html>Sign in</html>", kind=quirks.page)
            return False
        if status:
            self.rfile.read(size)
            self._refuse(status, "TOOMANYREQUESTS")
            return False
        said = self.headers.get("Authorization", "")
        basic = f"Basic {base64.b64encode(quirks.login.encode()).decode()}"
        if not quirks.login or (not quirks.token_uses and said == basic):
            return True
        if self.path.startswith("/token") and said == basic:
            token = f"token-{next(registry.numbers)}"
            registry.tokens[token] = quirks.token_uses
            self._answer(200, json.dumps({"token": token, "expires_in": 3600}).encode())
            return False
        with registry.lock:
            token = said.removeprefix("Bearer ")
            if registry.tokens.get(token, 0):
                registry.tokens[token] -= 1
                return True
        self.rfile.read(size)
        realm = f'Bearer realm="http://{registry.host}/token",service="s"'
        how = realm if quirks.token_uses else 'Basic realm="r"'
        self._answer(401, b"{}", headers={"WWW-Authenticate": how})
        return False

    def _blobs(self, repository: str, name: str, _: dict[str, str], __: bytes) -> None:
        if name not in self.owner.blobs.get(repository, ()):
            self._refuse(404, "BLOB_UNKNOWN")
        else:
            self._answer(200, self.owner.content[name])

    def _uploads(self, repository: str, name: str, query: dict[str, str], body: bytes) -> None:
        upload = self.owner.uploads.get(name)
        if self.command == "POST":
            self._begin(repository, query)
        elif upload is None:
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "GET":
            self._session(repository, name, 204)
        elif self.command == "PUT":
            self._end(repository, name, query, body)
        elif self.owner.quirks.chunks != 202:
            self._refuse(self.owner.quirks.chunks, "UNSUPPORTED")
        elif self.headers.get("Content-Range", "0-").partition("-")[0] != str(len(upload)):
            self._session(repository, name, 416)
        elif len(body) < self.owner.quirks.least and upload:
            self.owner.short.append(name)
            upload += body
            self._session(repository, name, 202)
        elif name in self.owner.short:
            self._refuse(400, "SIZE_INVALID")
        else:
            upload += body
            self._session(repository, name, 202)

    def _begin(self, repository: str, query: dict[str, str]) -> None:
        registry, quirks = self.owner, self.owner.quirks
        mounted = query.get("mount", "")
        if mounted and quirks.mount not in {201, 202}:
            self._refuse(quirks.mount, "UNSUPPORTED")
            return
        if mounted and quirks.mount == 201 and mounted in registry.blobs.get(query["from"], ()):
            registry.blobs.setdefault(repository, set()).add(mounted)
            self._answer(201)
            return
        name = f"{next(registry.numbers)}"
        registry.uploads[name] = bytearray()
        self._session(repository, name, 202)

    def _end(self, repository: str, name: str, query: dict[str, str], body: bytes) -> None:
        registry, quirks = self.owner, self.owner.quirks
        content = bytes(registry.uploads[name] + body)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if quirks.forgets:
            quirks.forgets -= 1
            del registry.uploads[name]
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif body and quirks.whole != 201:
            self._refuse(quirks.whole, "UNSUPPORTED")
        elif query.get("digest") != digest:
            self._refuse(400, "DIGEST_INVALID")
        else:
            del registry.uploads[name]
            registry.content[digest] = content
            registry.stored.append(f"{repository}@{digest}")
            registry.blobs.setdefault(repository, set()).add(digest)
            if quirks.shared:
                self._refuse(400, "BLOB_UPLOAD_INVALID")
            else:
                self._answer(201)

    def _manifests(self, repository: str, name: str, _: dict[str, str], body: bytes) -> None:
        self.owner.manifests.setdefault(repository, {})
        if self.command in {"GET", "HEAD"}:
            self._show(repository, name)
        elif self.command == "DELETE":
            self._remove(repository, name)
        elif ".docker." in self.headers["Content-Type"] and not self.owner.quirks.docker_types:
            self._refuse(415, "MANIFEST_INVALID")
        elif self._lacks(repository, json.loads(body)):
            self._refuse(400, "MANIFEST_BLOB_UNKNOWN")
        else:
            self._name(repository, name, body)

    def _tags(self, repository: str, _: str, __: dict[str, str], ___: bytes) -> None:
        tags = sorted(self.owner.tags.get(repository, ()))
        self._answer(200, json.dumps({"name": repository, "tags": tags}).encode())

    def _remove(self, repository: str, name: str) -> None:
        tags = self.owner.tags.get(repository, {})
        if self.owner.quirks.deletes != ("digest" if ":" in name else "tag"):
            self._refuse(405, "UNSUPPORTED")
        elif ":" in name:
            del self.owner.manifests[repository][name]
            for tag in [tag for tag, digest in tags.items() if digest == name]:
                del tags[tag]
            self._answer(202)
        else:
            self._answer(202 if tags.pop(name, None) else 404)

    def _show(self, repository: str, name: str) -> None:
        registry, quirks = self.owner, self.owner.quirks
        digest = registry.tags.get(repository, {}).get(name, name)
        kind = registry.manifests[repository].get(digest)
        if kind is None:
            self._refuse(404, "MANIFEST_UNKNOWN")
        elif self.command == "HEAD" and quirks.head != 200:
            self._refuse(quirks.head, "UNKNOWN")
        else:
            told = {"Docker-Content-Digest": digest} if quirks.head_digest else {}
            self._answer(200, registry.content[digest], kind=kind, headers=told)

    def _lacks(self, repository: str, document: Any) -> bool:
        registry = self.owner
        if "manifests" in document:
            known = registry.manifests[repository]
            lacking = [e["digest"] for e in document["manifests"] if e["digest"] not in known]
            return bool(lacking) and not registry.quirks.sparse
        blobs = registry.blobs.get(repository, ())
        return any(p["digest"] not in blobs for p in (document["config"], *document["layers"]))

    def _name(self, repository: str, name: str, body: bytes) -> None:
        registry = self.owner
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if ":" not in name:
            tags = registry.tags.setdefault(repository, {})
            if tags.setdefault(name, digest) != digest and registry.quirks.immutable:
                self._refuse(412, "DENIED")
                return
            tags[name] = digest
        registry.content[digest] = body
        registry.manifests[repository][digest] = self.headers["Content-Type"]
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def _session(self, repository: str, name: str, status: int) -> None:
        have = len(self.owner.uploads[name])
        location = f"{self.owner.quirks.scheme}/v2/{repository}/blobs/uploads/{name}"
        told = {"Location": location, "Range": f"0-{max(have - 1, 0)}"}
        if least := self.owner.quirks.least:
            told["OCI-Chunk-Min-Length"] = str(least)
        self._answer(status, headers=told)

    def _refuse(self, status: int, code: str) -> None:
        text = json.dumps({"errors": [{"code": code, "message": code.lower()}]})
        self._answer(status, text.encode())

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)
