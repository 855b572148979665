"""Requests to ``airseed serve`` that nobody sends by accident: no traceback, nothing from outside.

``make hostile`` runs the long campaign, ``make test`` a sample. A seed decides every byte.
"""

from __future__ import annotations

import random
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from served import serving

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample
    from served import Server

OUTSIDE = b"what lies outside of every bundle"
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_EXPECTED = {200, 206, 304, 400, 401, 404, 405, 412, 413, 416, 417, 431, 501, 505}
_CLIMBS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "..;/", "%252e%252e/", "./")
_DIGEST = "sha256:" + "0" * 64
_PLACES = ("", "v2/", "v2/pause/blobs/", "v2/pause/manifests/", "bundles/bundle/", "files/", "yum/")
_ODD = (
    "\x00",
    "%00",
    "\r\n",
    "%0d%0a",
    "\xff",
    "%ff",
    "\u2028",
    "?",
    "#",
    ";",
    " ",
    "\t",
    "\\",
    "//",
)


class Requests:
    """Think of requests."""

    def __init__(self, seed: int, target: Path) -> None:
        self._chance = random.Random(seed)
        self._target = target
        self._kinds = (
            self._climb, self._headers, self._range, self._smuggle, self._names, self._garbage,
            self._query, self._conditions,
        )  # fmt: skip

    def next(self) -> bytes:
        return self._chance.choice(self._kinds)().encode("utf-8", "surrogateescape")

    def _request(self, path: str, *more: str, method: str = "GET") -> str:
        fields = "".join(f"{line}\r\n" for line in ("Host: x", "Connection: close", *more))
        return f"{method} {path} HTTP/1.1\r\n{fields}\r\n"

    def _climb(self) -> str:
        climb = "".join(self._chance.choices(_CLIMBS, k=self._chance.randrange(1, 14)))
        target = self._chance.choice((str(self._target), "etc/passwd", "proc/self/environ"))
        lead = self._chance.choice(("/", "//", "/\\", "http://x/", "file://"))
        return self._request(f"{lead}{self._chance.choice(_PLACES)}{climb}{target}")

    def _headers(self) -> str:
        chance = self._chance
        line = chance.choice(
            (
                f"X: {'y' * chance.choice((1000, 70_000))}",
                f"{'X' * 70_000}: y",
                "\r\n".join(f"X-{n}: y" for n in range(chance.choice((90, 2000)))),
                f"Accept: {', '.join(['*/*'] * 9000)}",
                f"Authorization: Basic {'A' * chance.randrange(40_000)}",
                "Cookie: \x00", "Host: y", " folded: line", ": empty",
            )
        )  # fmt: skip
        return self._request("/cluster.lock", line)

    def _range(self) -> str:
        chance = self._chance
        number = chance.choice(("0", "-1", "9" * 17, "9" * 40, "1e3", "0x1", "", "1" * 9000))
        other = chance.choice(("", "0", "5", "9" * 18, "-", "9" * 300))
        unit = chance.choice(("bytes", "BYTES", "items", "", "bytes=bytes"))
        many = ",".join([f"{number}-{other}"] * chance.choice((1, 2, 3000)))
        return self._request("/cluster.lock", f"Range: {unit}={many}")

    def _smuggle(self) -> str:
        inner = self._request("/healthz", "X: smuggled")
        lines = self._chance.choice(
            (
                ("Content-Length: 5", "Transfer-Encoding: chunked"),
                ("Transfer-Encoding: chunked",),
                ("Transfer-Encoding:\x0bchunked",),
                ("Content-Length: 0", f"Content-Length: {len(inner)}"),
                (f"Content-Length: +{len(inner)}",),
                ("Content-Length: 99999999999999999999",),
                (f"Content-Length : {len(inner)}",),
                ("Expect: 100-continue", "Content-Length: 9999999"),
                ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
            )
        )
        method = self._chance.choice(("GET", "POST", "PUT", "HEAD", "CONNECT", "PRI", "TRACE"))
        return self._request("/cluster.lock", *lines, method=method) + inner

    def _names(self) -> str:
        chance = self._chance
        name = "/".join(
            chance.choices(("a", "pause", "..", "A" * 300, "%2e", "k8s.gcr.io", "_"), k=9)
        )
        kind = chance.choice(("blobs", "manifests", "referrers", "tags", "uploads"))
        item = chance.choice((_DIGEST, "sha256:", "sha512:" + "0" * 128, "x" * 9000, "..", "list"))
        return self._request(f"/v2/{name}/{kind}/{item}")

    def _query(self) -> str:
        value = self._chance.choice(
            ("-1", "9" * 5000, "%00", "1e9", "1&n=2", "\u0661", "a" * 60_000)
        )
        key = self._chance.choice(("n", "last", "ns", "artifactType", "x"))
        path = self._chance.choice(("_catalog", "pause/tags/list", f"pause/referrers/{_DIGEST}"))
        return self._request(f"/v2/{path}?{key}={value}")

    def _conditions(self) -> str:
        value = self._chance.choice(('"', "*" * 999, 'W/"' * 9000, "Mon, 99 Foo 99999", '"a","b'))
        name = self._chance.choice(("If-None-Match", "If-Match", "If-Range", "If-Modified-Since"))
        return self._request("/cluster.lock", f"{name}: {value}", "Range: bytes=0-1")

    def _garbage(self) -> str:
        words = [*self._request(f"/cluster.lock{self._chance.choice(_ODD)}x")]
        for _ in range(self._chance.randrange(1, 20)):
            words[self._chance.randrange(len(words))] = self._chance.choice(
                (*_ODD, "A", ":", "\x16")
            )
        return "".join(words)


def answers(server: Server, request: bytes) -> bytes:
    """Return all that comes back; a server that hangs makes a TimeoutError."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as client:
        with suppress(ConnectionError):  # it may have had enough before all was said
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(ConnectionError):
            while piece := client.recv(1 << 16):
                said += piece
        return said


def attack(sample: Sample, folder: Path, *, count: int, seed: int) -> None:
    """Send requests; what comes back must be an answer and nothing from beside the bundle."""
    secret = folder / "secret"
    secret.write_bytes(OUTSIDE)
    requests = Requests(seed, secret)
    sent = [requests.next() for _ in range(count)]
    wrong = []
    with serving(folder, sample.bundle) as server:

        def one(request: bytes) -> set[int]:
            said = answers(server, request)
            found = _STATUS.match(said)
            statuses = {int(found[1])} if found else set()
            if (said and not found) or OUTSIDE in said or b"root:x:0" in said:
                wrong.append((request, said[:200]))
            if not statuses <= _EXPECTED or b"PYTHON" in said:
                wrong.append((request, said[:200]))
            if b"smuggled" in request and said.count(b"\r\nok\n"):
                wrong.append((request, said[:200]))
            return statuses

        with ThreadPoolExecutor(8) as pool:
            seen = set().union(*pool.map(one, sent))
        lock = answers(server, b"GET /cluster.lock HTTP/1.0\r\n\r\n")
        memory = server.memory
        assert lock.startswith(b"HTTP/1.1 200 OK")
        assert server.process.poll() is None
        assert "rror" not in server.said
    assert not wrong, (seed, wrong[:3])
    assert {200, 400, 404} <= seen
    assert memory < 120e6
    print(f"{count} requests: statuses {sorted(seen)}, {memory / 1e6:.0f} MB")


def test_some_hostile_requests(sample: Sample, tmp_path: Path) -> None:
    attack(sample, tmp_path, count=300, seed=0)


@pytest.mark.campaign
def test_ten_thousand_hostile_requests(sample: Sample, tmp_path: Path) -> None:
    attack(sample, tmp_path, count=10_000, seed=1)
