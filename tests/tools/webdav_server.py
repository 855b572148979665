"""A web server that takes PUT, and knows as much of WebDAV as it is told to."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from typing import Self


@dataclass
class Ways:
    moves: bool = True
    folders: int = 0
    """The status of what goes into a folder that was not made; 0 where it need not be."""
    deletes: bool = True
    marks: bool = True
    """Whether it gives an ETag."""
    login: str = ""
    """The Authorization that it wants."""
    breaks: int = 0
    """How often the connection breaks in the middle of a body."""
    lies: int = 0
    """How often it takes a file and keeps nothing of it."""
    heads: bool = True
    """Whether it knows HEAD: 405 if not."""
    page: bytes = b""
    """What it answers with 200 to everything, if anything."""
    reads: bool = True
    """Whether it can only be read: 405 for all else."""


@dataclass
class WebDavServer:
    """Run on loopback; ``files`` by path, ``requests`` in order, ``history`` of what got a name."""

    ways: Ways = field(default_factory=Ways)
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    requests: list[tuple[str, str]] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        owner = self

        class Handler(_Handler):
            server_: WebDavServer = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/k8s"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, *methods: str) -> int:
        return sum(method in methods for method, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    server_: WebDavServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        owner, ways = self.server_, self.server_.ways
        path = unquote(urlsplit(self.path).path)
        with owner.lock:
            owner.requests.append((self.command, path))
        if ways.login and self.headers.get("Authorization") != ways.login:
            self.close_connection = True
            self.answer(401)
        elif ways.page:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer(200, ways.page)
        elif self.command == "HEAD" and not ways.heads:
            self.answer(405)
        elif self.command in {"GET", "HEAD"}:
            content = owner.files.get(path)
            self.answer(404 if content is None else 200, content or b"")
        elif not ways.reads:
            self.close_connection = True
            self.answer(405)
        else:
            getattr(self, f"_{self.command.lower()}")(path)

    do_HEAD = do_PUT = do_DELETE = do_MKCOL = do_MOVE = do_GET  # noqa: N815 -- http.server's

    def _put(self, path: str) -> None:
        owner, ways = self.server_, self.server_.ways
        size = int(self.headers["Content-Length"])
        if ways.breaks and size > 1:
            ways.breaks -= 1
            self.rfile.read(size // 2)
            self.close_connection = True
            self.connection.close()
            return
        content = self.rfile.read(size)
        if len(content) < size:
            return  # cut off: nothing counts
        folder = path.rpartition("/")[0] + "/"
        if ways.folders and folder not in owner.folders:
            self.answer(ways.folders)
            return
        if ways.lies:
            ways.lies -= 1
            self.answer(201)
            return
        self.give(path, content)
        self.answer(201)

    def give(self, path: str, content: bytes) -> None:
        owner = self.server_
        with owner.lock:
            owner.files[path] = content
            owner.history.append(path)

    def _delete(self, path: str) -> None:
        if not self.server_.ways.deletes:
            self.answer(405)
            return
        self.answer(204 if self.server_.files.pop(path, None) is not None else 404)

    def _mkcol(self, path: str) -> None:
        parent = path.rstrip("/").rpartition("/")[0] + "/"
        there = path in self.server_.folders
        if parent not in self.server_.folders:
            self.answer(409)
            return
        self.server_.folders.add(path)
        self.answer(405 if there else 201)

    def _move(self, path: str) -> None:
        if not self.server_.ways.moves:
            self.answer(405)
            return
        content = self.server_.files.pop(path, None)
        if content is None:
            self.answer(404)
            return
        self.give(unquote(urlsplit(self.headers["Destination"]).path), content)
        self.answer(201)

    def answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        if self.server_.ways.marks and status == 200:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
