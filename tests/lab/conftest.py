"""An upstream for each test, and a client that hides nothing of what came over the wire."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest
from fault_lab.upstream import FaultyUpstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """Ask through the lab's proxy, one connection a request; follow nothing unless told to."""

    def __init__(self, upstream: FaultyUpstream) -> None:
        proxy = urlsplit(upstream.proxy)
        self.proxy = (proxy.hostname or "", proxy.port or 0)
        self.context = ssl.create_default_context(cafile=str(upstream.ca))

    def connect(self, url: str, timeout: float = 10) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host, port = self.proxy
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        secure = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.context)
        secure.set_tunnel(parts.hostname or "", 443)
        return secure

    def ask(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        timeout: float = 10,
    ) -> Answer:
        target = url
        if url.startswith("https"):
            target = "/" + url.partition("://")[2].partition("/")[2]
        with closing(self.connect(url, timeout)) as connection:
            connection.request(method, target, headers=dict(headers or {}))
            with closing(connection.getresponse()) as response:
                return Answer(response.status, response.headers, response.read())

    def follow(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Follow redirects as one should: without Authorization on another host."""
        kept = dict(headers or {})
        for _ in range(5):
            answer = self.ask(url, kept)
            if answer.status not in {301, 302, 307}:
                return answer
            there = urljoin(url, answer.headers["Location"])
            if urlsplit(there).hostname != urlsplit(url).hostname:
                kept.pop("Authorization", None)
            url = there
        raise AssertionError("redirects without end")

    def body_of(self, url: str, timeout: float = 10) -> tuple[bytes, OSError | None]:
        """Ask for an http URL; return all bytes after the head, and the error they ended in."""
        host = urlsplit(url).hostname
        with socket.create_connection(self.proxy, timeout) as client:
            request = f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            client.sendall(request.encode())
            received = b""
            try:
                while piece := client.recv(65536):
                    received += piece
            except OSError as error:
                return received.partition(b"\r\n\r\n")[2], error
            return received.partition(b"\r\n\r\n")[2], None


def plain(address: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask a listener on loopback, without a proxy."""
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", path, headers=dict(headers or {}))
        with closing(connection.getresponse()) as response:
            return Answer(response.status, response.headers, response.read())


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold authority, keys and content for all tests of this process."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def upstream(lab_folder: Path) -> Iterator[FaultyUpstream]:
    with FaultyUpstream(lab_folder) as running:
        yield running


@pytest.fixture
def client(upstream: FaultyUpstream) -> RawClient:
    return RawClient(upstream)


@pytest.fixture
def at_loopback() -> Any:
    return plain
