"""The server alone, with a site of one file: what `serve` will stand on."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from builder.bundle.region import Files, open_region
from builder.server.connection import Connection
from builder.server.listener import Listener
from builder.server.message import Response
from builder.server.ranges import apply_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from builder.server.message import Request

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)

    def serve(connection: Connection) -> None:
        def exchange(request: Request) -> None:
            body = b"" if request.path == "/empty" else file
            response = apply_range(request, Response(headers={"ETag": '"1"'}, body=body))
            connection.send_head(response)
            if request.method != "HEAD":
                list(connection.send_body(response))

        connection.run(exchange)

    listener = Listener(serve)
    yield listener
    with suppress(OSError):  # a test may have closed it
        listener.close()


def test_one_connection_takes_many_requests(listener: Listener) -> None:
    with closing(http.client.HTTPConnection(listener.address, timeout=10)) as connection:
        answers = []
        for method, path, headers in (
            ("HEAD", "/file", {}),
            ("GET", "/file", {}),
            ("GET", "/empty", {}),
            ("GET", "/file", {"Range": "bytes=10-19"}),
            ("GET", "/file", {"Range": "bytes=-5"}),
            ("GET", "/file", {"Range": "bytes=10-", "If-Range": '"2"'}),
            ("GET", "/file", {"Range": f"bytes={len(CONTENT)}-"}),
        ):
            connection.request(method, path, headers=headers)
            with connection.getresponse() as response:
                answers.append(
                    (response.status, response.headers["Content-Range"], response.read())
                )
    total = len(CONTENT)
    assert answers == [
        (200, None, b""),
        (200, None, CONTENT),
        (200, None, b""),
        (206, f"bytes 10-19/{total}", CONTENT[10:20]),
        (206, f"bytes {total - 5}-{total - 1}/{total}", CONTENT[-5:]),
        (200, None, CONTENT),
        (416, f"bytes */{total}", b""),
    ]


def test_connection_close_is_obeyed(listener: Listener) -> None:
    with socket.create_connection((listener.host, listener.port), 10) as client:
        client.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_close_ends_idle_and_busy_connections(listener: Listener) -> None:
    with (
        socket.create_connection((listener.host, listener.port), 10) as idle,
        socket.create_connection((listener.host, listener.port), 10) as busy,
    ):
        busy.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n" * 64)  # and reads nothing of it
        assert busy.recv(12) == b"HTTP/1.1 200"
        listener.close()
        assert idle.recv(1) == b""
    assert not [one for one in threading.enumerate() if one.name.startswith("server")]


@pytest.mark.parametrize(
    "head",
    [
        "GET http://[ HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: [",
        f"POST / HTTP/1.1\r\nContent-Length: {'9' * 5000}",
    ],
)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_no_request_ends_its_connection_alone(listener: Listener, head: str) -> None:
    with closing(socket.create_connection((listener.host, listener.port), timeout=10)) as client:
        client.sendall(f"{head}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    with closing(http.client.HTTPConnection(listener.address, timeout=10)) as connection:
        connection.request("GET", "/empty")
        assert connection.getresponse().status == 200


class _Spread:
    """A body in two files that stand one after the other, as the parts of a bundle do."""

    def __init__(self, *files: Path) -> None:
        self._files = [os.open(file, os.O_RDONLY) for file in files]
        self._region = Files(self._files, [file.stat().st_size for file in files])
        self.size = sum(file.stat().st_size for file in files)

    def open(self) -> IO[bytes]:
        return open_region(self._region, 0, self.size)

    def segments(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        return self._region.segments(offset, size)


def test_a_body_in_several_files_is_sent_by_the_kernel(tmp_path: Path) -> None:
    halves = [tmp_path / "1", tmp_path / "2"]
    for half, content in zip(halves, (CONTENT[:1000], CONTENT[1000:]), strict=True):
        half.write_bytes(content)
    body = _Spread(*halves)
    here, there = socket.socketpair()
    there.settimeout(10)  # so that it does not block, and the kernel's buffer is soon full
    received = bytearray()

    def read() -> None:
        while piece := here.recv(1 << 16):
            received.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with closing(there):
        list(
            Connection(there).send_body(Response(body=body, offset=500, length=len(CONTENT) - 600))
        )
    reader.join(10)
    assert bytes(received) == CONTENT[500:-100]
    here.close()
