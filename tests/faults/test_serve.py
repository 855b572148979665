"""``airseed serve`` with large bundles, many clients and slow ones: the others are served."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from openssl import P256, openssl
from served import serving, sparse_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample
    from served import Server


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_it_is_ready_at_once_however_large_the_bundle_is(sample: Sample, tmp_path: Path) -> None:
    """Processor time is what counts: how long that takes is up to what else this machine does."""
    bundle = tmp_path / "bundle.tar"
    sparse_bundle(sample, bundle, size=10_000_000_000, count=400)
    assert bundle.stat().st_size > 10_000_000_000
    begun = time.monotonic()
    with serving(tmp_path, bundle) as server:
        cpu, seconds = server.cpu, time.monotonic() - begun
        print(f"10 GB: ready after {seconds:.2f} s, {cpu:.2f} s of processor time")
        assert get(server, "/healthz") == (200, b"ok\n")
        assert get(server, "/files/large/0", Range="bytes=0-0")[0] == 500  # hashed, and wrong
    assert cpu < 1


@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=pytest.mark.campaign)])
def test_a_thousand_idle_connections_take_little(
    sample: Sample, tmp_path: Path, *, tls: bool
) -> None:
    context = None
    words: list[str | Path] = []
    if tls:
        openssl(
            *("req", "-x509", "-nodes", *P256, "-subj", "/CN=serve", "-days", 2),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", tmp_path / "key", "-out", tmp_path / "crt"),
        )
        context = ssl.create_default_context(cafile=str(tmp_path / "crt"))
        words = ["--tls-cert", tmp_path / "crt", "--tls-key", tmp_path / "key"]
    with serving(tmp_path, *words, sample.bundle) as server, ExitStack() as opened:
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", server.port), 60)
            if context:
                client = context.wrap_socket(client, server_hostname="127.0.0.1")
            opened.enter_context(client)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        print(f"{server.memory / 1e6:.0f} MB with 1,000 idle connections, TLS: {tls}")
        assert server.memory < 120e6
        assert server.process.poll() is None


def crowd(sample: Sample, tmp_path: Path, *, clients: int, seconds: float, seed: int) -> None:
    """Let clients pull all at once, some of them slow, broken or rude; watch one that is not."""
    blobs = [blob for blob in sample.lock.blobs if blob.is_layer]
    stop = threading.Event()
    wrong: list[str] = []

    def pull(number: int) -> int:
        chance, done = random.Random(f"{seed}-{number}"), 0
        while not stop.is_set():
            blob = chance.choice(blobs)
            path = f"/{blob.path}"
            kind = chance.random()
            try:
                if kind < 0.8:
                    status, body = get(server, path)
                    if (status, hashlib.sha256(body).hexdigest()) != (200, blob.digest.hex):
                        wrong.append(f"{path} {status}")
                    done += 1
                else:
                    _be_rude(server, path, chance, stop)
            except OSError as error:
                wrong.append(repr(error))
        return done

    with serving(tmp_path, sample.bundle) as server, ThreadPoolExecutor(clients) as pool:
        for blob in blobs:
            get(server, f"/{blob.path}")
        pulls = [pool.submit(pull, number) for number in range(clients)]
        memory, waits = [], []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            assert get(server, "/healthz") == (200, b"ok\n")
            waits.append(time.monotonic() - begun)
            memory.append(server.memory)
            time.sleep(0.2)
        stop.set()
        done = sum(pull.result() for pull in pulls)
    half = len(memory) // 2
    print(
        f"{clients} clients, {done} pulls; healthz after {max(waits):.2f} s at most;"
        f" {max(memory) / 1e6:.0f} MB at most"
    )
    assert not wrong
    assert done > clients
    assert max(memory[half:]) < max(memory[:half]) + 30e6
    assert max(memory) < 250e6


def _be_rude(server: Server, path: str, chance: random.Random, stop: threading.Event) -> None:
    """Ask and read slowly, leave in the middle, or say half a request."""
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", server.port), 60) as client,
    ):
        words = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        client.sendall(words[: chance.choice((5, len(words)))])
        for _ in range(chance.randrange(5)):
            if stop.wait(0.3):
                return
            client.settimeout(0.1)
            with suppress(TimeoutError):
                client.recv(512)


def test_some_clients_at_once_are_served_beside_rude_ones(sample: Sample, tmp_path: Path) -> None:
    crowd(sample, tmp_path, clients=40, seconds=4, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(3))
def test_five_hundred_clients(sample: Sample, tmp_path: Path, seed: int) -> None:
    crowd(sample, tmp_path, clients=500, seconds=30, seed=seed)
