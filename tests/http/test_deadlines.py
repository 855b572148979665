"""A server that drips, or sends without end what is no body, holds nobody: in no phase."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from builder.backoff import Backoff
from builder.errors import FetchError
from builder.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SILENCE = 0.6
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Dripper:
    """Send some bytes to whoever connects, then others again and again, a few at a time."""

    def __init__(self, start: bytes, again: bytes, *, piece: int = 1, pause: float = 0.05) -> None:
        self._start, self._again, self._piece, self._pause = start, again, piece, pause
        self.connected = threading.Event()
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65_536)
            self.connected.set()
            client.sendall(self._start)
            endless = itertools.cycle(self._again)
            while self._again and not self._over.wait(self._pause):
                client.sendall(bytes(itertools.islice(endless, self._piece)))
            self._over.wait()


KINDS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "status line": (b"", b"HTTP/1.1 200 O" + b"K" * 1000),
    "header": (OK, b"X-Slow: and on and on "),
    "many headers": (OK, b"X: 1\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "body": (OK + b"Content-Length: 9\r\n\r\n", b""),
    "chunk extension": (CHUNKED, b"1;ext=" + b"x" * 1000),
    "chunk size": (CHUNKED, b"0" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"X: trailer "),
    "status of an error": (b"HTTP/1.1 503 ", b"Busy "),
    "body of an error": (b"HTTP/1.1 404 No\r\nContent-Length: 9999\r\n\r\n", b"x"),
    "redirect": (b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 9999\r\n\r\n", b"x"),
}
ENDLESS = {name: pair for name, pair in KINDS.items() if name != "body of an error"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def drip() -> Iterator[Callable[[bytes, bytes], Dripper]]:
    made: list[Dripper] = []

    def start(begin: bytes, again: bytes) -> Dripper:
        made.append(Dripper(begin, again, piece=8 if again.startswith(b"HTTP/1.1 1") else 1))
        return made[-1]

    yield start
    for dripper in made:
        dripper.close()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def ask(client: Client, url: str, way: str) -> None:
    """Fetch a document, or read a stream to its end."""
    if way == "get":
        client.get(url, limit=1 << 20)
        return
    with client.open(url) as stream:
        buffer = memoryview(bytearray(1 << 16))
        while stream.readinto(buffer):
            pass


@pytest.mark.parametrize("way", ["get", "open"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_phase_takes_for_ever(
    drip: Callable[[bytes, bytes], Dripper], kind: str, way: str
) -> None:
    dripper = drip(*KINDS[kind])
    with (
        Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client,
        within(20),
        pytest.raises(FetchError) as caught,
    ):
        ask(client, f"http://{dripper.address}/x", way)
    assert caught.value.temporary == (kind != "body of an error")


@pytest.mark.parametrize("kind", ENDLESS)
def test_cancelling_ends_every_phase(drip: Callable[[bytes, bytes], Dripper], kind: str) -> None:
    dripper = drip(*KINDS[kind])
    with Client(read_timeout=60.0) as client:

        def cancel() -> None:
            dripper.connected.wait(30)
            time.sleep(0.2)
            client.cancel()

        threading.Thread(target=cancel, daemon=True).start()
        with within(15), pytest.raises(FetchError, match="cancelled"):
            ask(client, f"http://{dripper.address}/x", "get")


@pytest.mark.parametrize("again", [b"", b"\x16\x03\x03\x10\x00" + b"\x02" * 4000])
def test_a_slow_handshake_ends(drip: Callable[[bytes, bytes], Dripper], again: bytes) -> None:
    dripper = drip(b"", again)
    with (
        Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client,
        within(20),
        pytest.raises(FetchError) as caught,
    ):
        client.get(f"https://{dripper.address}/x", limit=5)
    assert caught.value.temporary


@pytest.mark.parametrize(
    "again", [b"", b"HTTP/1.1 200 O" + b"K" * 1000, b"HTTP/1.1 200 OK\r\nX: y"]
)
def test_a_slow_proxy_ends(
    drip: Callable[[bytes, bytes], Dripper], again: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dripper = drip(b"", again)
    monkeypatch.setenv("https_proxy", f"http://{dripper.address}")
    with (
        Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client,
        within(20),
        pytest.raises(FetchError) as caught,
    ):
        client.get("https://example.test/x", limit=5)
    assert caught.value.temporary


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let every look-up of a name hang; the event says that one does."""
    asked, over, real = threading.Event(), threading.Event(), socket.getaddrinfo

    def hang(host: str, *args: object, flags: int = 0, **kwargs: object) -> object:
        if flags & socket.AI_NUMERICHOST:
            return real(host, *args, flags=flags, **kwargs)  # type: ignore[arg-type]
        asked.set()
        over.wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    over.set()


def test_a_name_that_is_never_resolved_ends(hanging_names: threading.Event) -> None:
    with (
        Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client,
        within(20),
        pytest.raises(FetchError) as caught,
    ):
        client.get("https://example.test/x", limit=5)
    assert hanging_names.is_set()
    assert caught.value.fault.what == "the name of example.test cannot be resolved"


def test_cancelling_ends_a_look_up(hanging_names: threading.Event) -> None:
    with Client(read_timeout=60.0) as client:

        def cancel() -> None:
            hanging_names.wait(30)
            client.cancel()

        threading.Thread(target=cancel, daemon=True).start()
        with within(8), pytest.raises(FetchError, match="cancelled"):
            client.get("https://example.test/x", limit=5)


def test_a_connection_serves_on_after_its_first_answer_is_watched(
    drip: Callable[[bytes, bytes], Dripper],
) -> None:
    """The next attempt on a connection that was kept is watched, too."""
    head = OK + b"Content-Length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.recv(65_536)
                client.sendall(head)
                client.recv(65_536)
                while True:
                    client.sendall(b"H")
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with (
            Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client,
            within(20),
        ):
            assert client.get(url, limit=5).content == b"ok"
            time.sleep(3 * SILENCE)  # what was watched is over
            with pytest.raises(FetchError, match="did not answer within 1 s"):
                client.get(url, limit=5)


def test_a_slow_but_steady_body_is_read(
    drip: Callable[[bytes, bytes], Dripper],
) -> None:
    dripper = drip(OK + b"Content-Length: 60\r\n\r\n", b"x")
    with Client(backoff=Backoff(attempts=1), read_timeout=SILENCE) as client:
        assert len(client.get(f"http://{dripper.address}/x", limit=99).content) == 60


def test_a_dripped_record_of_tls_ends(authority: Path) -> None:
    """The head comes in one record of TLS, of which a byte comes now and then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = context.wrap_bio(coming, going, server_side=True)
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        client.sendall(going.read())
                        coming.write(client.recv(65_536))
                client.sendall(going.read())
                client.recv(65_536)
                tls.write(OK + b"X: " + b"y" * 4000 + b"\r\n\r\n")
                for byte in going.read():
                    client.sendall(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://localhost:{server.getsockname()[1]}/x"
        with (
            Client(
                backoff=Backoff(attempts=1), read_timeout=SILENCE, ca_bundle=authority / "ca.pem"
            ) as client,
            within(20),
            pytest.raises(FetchError) as caught,
        ):
            client.get(url, limit=5)
    assert caught.value.temporary
