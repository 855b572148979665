"""Clients that are slow, many, or hostile: the others are served all the same."""

from __future__ import annotations

import base64
import contextlib
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.server.basic_auth import BasicAuth
from builder.server.connection import Patience
from builder.server.listener import Listener
from builder.server.message import Response, text
from builder.server.ranges import apply_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.server.connection import Connection
    from builder.server.message import Request, Site

CONTENT = bytes(range(256)) * 8192
STRONG = {"ETag": '"one"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}


class Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[Request] = []
        self.headers = dict(STRONG)

    def answer(self, request: Request) -> Response:
        self.seen.append(request)
        if request.path == "/wait":
            time.sleep(1)
        if request.path == "/empty":
            return Response(headers=self.headers)
        return Response(headers=self.headers, body=self.path)


def serving(site: Site) -> Callable[[Connection], None]:
    def serve(connection: Connection) -> None:
        def exchange(request: Request) -> None:
            response = apply_range(request, site.answer(request))
            connection.send_head(response)
            if request.method != "HEAD":
                list(connection.send_body(response))

        connection.run(exchange)

    return serve


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "file").write_bytes(CONTENT)
    return Files(tmp_path / "file")


@pytest.fixture
def listen(files: Files) -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(**how: object) -> Listener:
        made.append(Listener(serving(files), **how))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for listener in made:
        with contextlib.suppress(OSError):
            listener.close()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection((listener.host, listener.port), 20)


def all_of(client: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: client.recv(65_536), b""))
    return b""


def ask(listener: Listener, head: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request that ends its connection; return status, headers and body."""
    with connect(listener) as client:
        client.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
        answer, _, body = all_of(client).partition(b"\r\n\r\n")
    first, *lines = answer.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def test_who_tries_tls_first_is_told_in_plain_words(listen: Callable[..., Listener]) -> None:
    with connect(listen()) as client:
        client.sendall(b"\x16\x03\x01\x00\xf8\x01")
        assert all_of(client).startswith(b"HTTP/1.1 400 Bad Request\r\n")


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 ", 200),
        ("Content-Length: -1", 400),
        ("Content-Length:", 400),
        ("Content-Length: 99999999999999999999", 400),
        ("Content-Length: 99999999", 413),
        ("X: a\r\n b: folded", 400),
        (" X: first", 400),
        ("X\r\nY: no colon", 400),
        ("X: a\nContent-Length: 44", 400),
        ("X: a\rContent-Length: 44", 400),
        ("X: \x00", 400),
        ("Host: y", 400),
        ("Range: bytes=0-1\r\nRange: bytes=3-4", 400),
        ("\r\n".join(f"X{number}: y" for number in range(200)), 431),
        ("X: " + "y" * 70_000, 431),
        ("Expect: 100-continue\r\nContent-Length: 5", 100),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    listen: Callable[..., Listener], files: Files, head: str, status: int
) -> None:
    listener = listen()
    with connect(listener) as client:
        with contextlib.suppress(OSError):
            request = f"GET /empty HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n"
            client.sendall(request.encode("latin-1"))
            client.sendall((SMUGGLED if status >= 400 else "12345").encode())
            client.shutdown(socket.SHUT_WR)
        answer = all_of(client)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    if status >= 400:
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer
        assert not files.seen


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /empty HTTP/1.1", 400),  # and no Host
        ("GET /empty HTTP/2.0\nHost: x", 505),
        ("GET /empty HTTP/1.10\nHost: x", 400),
        ("GET  /empty HTTP/1.1\nHost: x", 400),
        ("GET /em pty HTTP/1.1\nHost: x", 400),
        ("GET /\xe9 HTTP/1.1\nHost: x", 400),
        ("G(T /empty HTTP/1.1\nHost: x", 400),
        ("GET /empty", 400),
        ("GET http://[/ HTTP/1.1\nHost: x", 400),
        ("GET /empty HTTP/1.0", 200),
    ],
)
def test_first_lines(listen: Callable[..., Listener], first: str, status: int) -> None:
    assert ask(listen(), first)[0] == status


CLOSE = "\nHost: x\nConnection: close"


@pytest.mark.parametrize(
    ("asked", "status", "size"),
    [
        ("", 200, len(CONTENT)),
        ('If-None-Match: "one"', 304, 0),
        ('If-None-Match: "two", W/"one"', 304, 0),
        ("If-None-Match: *", 304, 0),
        ('If-None-Match: "two"', 200, len(CONTENT)),
        ('If-None-Match: "two"\nIf-Modified-Since: Fri, 01 Jan 2027 00:00:00 GMT', 200, 1 << 21),
        ("If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT", 304, 0),
        ("If-Modified-Since: Tue, 31 Dec 2024 00:00:00 GMT", 200, len(CONTENT)),
        ("If-Modified-Since: yesterday", 200, len(CONTENT)),
        ('If-Match: "two"', 412, 0),
        ("If-Unmodified-Since: Tue, 31 Dec 2024 00:00:00 GMT", 412, 0),
        ("Range: bytes=10-19", 206, 10),
        ("Range: BYTES=-5", 206, 5),
        ("Range: bytes=0-99999999999", 206, len(CONTENT)),
        ("Range: bytes=99999999-", 416, 0),
        ("Range: bytes=-0", 416, 0),
        ("Range: bytes=0-1,5-6", 200, len(CONTENT)),
        ("Range: lines=1-2", 200, len(CONTENT)),
        ("Range: bytes=" + "9" * 40 + "-", 200, len(CONTENT)),
        ('Range: bytes=10-19\nIf-Range: "one"', 206, 10),
        ('Range: bytes=10-19\nIf-Range: W/"one"', 200, len(CONTENT)),
        ("Range: bytes=10-19\nIf-Range: Wed, 01 Jan 2025 00:00:00 GMT", 206, 10),
        ("Range: bytes=10-19\nIf-Range: Thu, 02 Jan 2025 00:00:00 GMT", 200, len(CONTENT)),
        ('Range: bytes=10-19\nIf-None-Match: "one"', 304, 0),
    ],
)
def test_conditions_and_ranges(
    listen: Callable[..., Listener], asked: str, status: int, size: int
) -> None:
    listener = listen()
    head = f"GET /file HTTP/1.1{CLOSE}" + (f"\n{asked}" if asked else "")
    got, headers, body = ask(listener, head)
    assert (got, len(body)) == (status, size)
    assert ("Content-Length" in headers) == (status != 304)
    assert "Date" in headers
    got, headers, body = ask(listener, head.replace("GET", "HEAD"))
    assert (got, body) == ({206: 200, 416: 200}.get(status, status), b"")
    if got == 200:
        assert headers["Content-Length"] == str(len(CONTENT))


def test_a_weak_tag_gives_no_part(listen: Callable[..., Listener], files: Files) -> None:
    files.headers = {"ETag": 'W/"one"'}
    head = f'GET /file HTTP/1.1{CLOSE}\nRange: bytes=1-2\nIf-Range: W/"one"'
    assert ask(listen(), head)[0] == 200


@pytest.mark.parametrize(
    "start", [b"", b"GET /empty HTT", b"GET /empty HTTP/1.1\r\nHost: x\r\nX: "]
)
def test_who_says_nothing_or_drips_is_let_go(listen: Callable[..., Listener], start: bytes) -> None:
    listener = listen(patience=Patience(idle=1.0, head=1.0))
    begun = time.monotonic()
    with connect(listener) as client, contextlib.suppress(OSError):
        client.sendall(start)
        client.settimeout(0.1)
        while time.monotonic() - begun < 20:
            if start:
                client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                if not client.recv(100):
                    break
    assert time.monotonic() - begun < 10


def test_a_slow_reader_is_let_go_and_keeps_nobody_waiting(
    listen: Callable[..., Listener],
) -> None:
    listener = listen(patience=Patience(slow=1.0))
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(connect(listener))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        begun = time.monotonic()
        assert ask(listener, f"GET /file HTTP/1.1{CLOSE}")[2] == CONTENT
        assert time.monotonic() - begun < 10
        while listener._open and time.monotonic() - begun < 30:
            time.sleep(0.1)
        assert not listener._open


def test_when_all_connections_are_taken_the_greedy_client_gives_one(
    listen: Callable[..., Listener],
) -> None:
    listener = listen(address=("", 0), most=8)

    def come(source: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", listener.port), 20, (source, 0))

    with contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(come("127.0.0.2")) for _ in range(30)]
        modest = [stack.enter_context(come("127.0.0.3")) for _ in range(2)]
        for client in modest:
            client.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        assert all_of(greedy[0]) == b""
        more = stack.enter_context(come("127.0.0.2"))  # its own are displaced, not the others'
        more.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
        assert more.recv(12) == b"HTTP/1.1 200"
        for client in modest:
            client.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"HTTP/1.1 200" in all_of(client)


def test_a_graceful_stop_ends_what_is_under_way(listen: Callable[..., Listener]) -> None:
    listener = listen()
    with connect(listener) as busy, connect(listener) as idle:
        busy.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        answers: list[bytes] = []
        reader = threading.Thread(target=lambda: answers.append(all_of(busy)))
        reader.start()
        listener.close(grace=20)
        reader.join()
        assert answers[0].endswith(CONTENT[-1000:])
        assert b"\r\nConnection: close\r\n" in answers[0]
        assert all_of(idle) == b""


def test_no_descriptors_are_a_pause_and_no_end(listen: Callable[..., Listener]) -> None:
    listener = listen()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket() as early:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
        try:
            early.settimeout(20)
            early.connect((listener.host, listener.port))
            time.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        early.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
        assert early.recv(12) == b"HTTP/1.1 200"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_hostile_words_make_no_exception(listen: Callable[..., Listener]) -> None:
    listener = listen(patience=Patience(idle=2.0, head=2.0, slow=2.0))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    good = (
        b"GET /%2e%2e/../etc/passwd?a=b HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n"
        b'If-None-Match: "x"\r\nIf-Range: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Length: 0\r\n'
        b"Authorization: Basic eDp5\r\nConnection: keep-alive\r\n\r\n"
    )
    for _ in range(1000):
        words = bytearray(good)
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(words))
            words[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        with contextlib.suppress(OSError), connect(listener) as client:
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            answer = all_of(client)
            assert not answer or answer.startswith(b"HTTP/1.1 "), seed
    assert ask(listener, f"GET /file HTTP/1.1{CLOSE}")[2] == CONTENT, seed


def test_only_who_is_known_gets_in(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def knows(user: str, password: str) -> bool:
        asked.append((user, password))
        return (user, password) == ("jane", "sec:ret")

    class Hello:
        def answer(self, _: Request) -> Response:
            return text(200, "hello")

    listener = Listener(serving(BasicAuth(Hello(), knows, public={"/healthz"})))

    def status(header: str, path: str = "/x") -> int:
        more = f"\nAuthorization: {header}" if header else ""
        return ask(listener, f"GET {path} HTTP/1.1{CLOSE}{more}")[0]

    def basic(pair: str) -> str:
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    try:
        assert status("", "/healthz") == 200
        assert "WWW-Authenticate" in ask(listener, f"GET /x HTTP/1.1{CLOSE}")[1]
        for bad in ("", "Basic", "Basic %%%", "Bearer x", basic("jane"), basic("jane:wrong")):
            assert status(bad) == 401
        asked.clear()
        assert [status(basic("jane:sec:ret")) for _ in range(3)] == [200, 200, 200]
        assert asked == [("jane", "sec:ret")]
    finally:
        listener.close()


IDLE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from builder.server.listener import Listener
from builder.server.message import text
def serve(connection):
    def exchange(request):
        response = text(200, "hello")
        connection.send_head(response)
        list(connection.send_body(response))
    connection.run(exchange)
listener = Listener(serve)
print(listener.port, flush=True)
for line in sys.stdin:
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    print(len(listener._open), fields[0], flush=True)
"""


def test_a_thousand_idle_connections_take_little_memory() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with (
        subprocess.Popen(
            [sys.executable, "-c", IDLE, str(Path.cwd())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(1000):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        process.stdin.write("\n")
        process.stdin.flush()
        count, kib = map(int, process.stdout.readline().split())
        process.kill()
    print(f"{kib} KiB for {count} connections")
    assert count == 1000
    assert kib < 120 * 1000
