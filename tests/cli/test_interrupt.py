"""The first Ctrl-C ends every verb within seconds, whatever it waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from fault_lab.faults import Hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxes import Sandbox

SECONDS = 6.0
"""For a machine that does much else; it is one second where it does not."""
CLUSTER = """\
kubernetes: 1.18.5
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1}
"""
HANGS_IN_NAMES = """\
import os, socket, sys, time
def hang(*words, flags=0, **named):
    if flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    os.write(1, b"look-up\\n")
    time.sleep(600)
socket.getaddrinfo = hang
from builder.cli import main
main(sys.argv[1:])
"""


class Silent:
    """Take connections, send what it is told to, and then nothing or a byte now and then."""

    def __init__(self, start: bytes, again: bytes) -> None:
        self._words = start, again
        self.asked = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(
                    target=self._serve, args=(self._socket.accept()[0],), daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        start, again = self._words
        with client, contextlib.suppress(OSError):
            client.recv(65_536)
            client.sendall(start)
            self.asked.set()
            while again:
                client.sendall(again)
                time.sleep(0.1)
            while client.recv(65_536):
                pass


@pytest.fixture
def silent() -> Iterator[Callable[..., Silent]]:
    made: list[Silent] = []

    def start(begin: bytes = b"", again: bytes = b"") -> Silent:
        made.append(Silent(begin, again))
        return made[-1]

    yield start
    for one in made:
        one.close()


def started(folder: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a program as a shell does in the foreground: Ctrl-C is heard."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "no_proxy": "", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a program in the background of a shell has it ignored, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 -- nothing else is done there
    )


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, float]:
    """Press Ctrl-C once; return the exit code, the words, and how long it took."""
    time.sleep(0.7)  # until all its threads wait
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err, time.monotonic() - begun


def prove(process: subprocess.Popen[str]) -> None:
    code, err, seconds = interrupted(process)
    assert code == 130, err
    assert "interrupted; whatever was fetched is kept for the next run" in err
    assert "Traceback" not in err
    assert seconds < SECONDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(CLUSTER, "utf-8")
    return tmp_path


ANSWERS = {
    "nothing": (b"", b""),
    "drips": (b"HTTP/1.1 200 OK\r\n", b"X: and so on\r\n"),
}
VERBS = {
    "lock": ["lock", "cluster.yaml"],
    "doctor": ["doctor"],
    "doctor of a cluster": ["doctor", "cluster.yaml"],
    "inventory": ["inventory", "registry.example.test", "-o", "x"],
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_proxy_that_never_answers(
    folder: Path, silent: Callable[..., Silent], verb: str, answer: str
) -> None:
    proxy = silent(*ANSWERS[answer])
    process = started(
        folder,
        ["-m", "builder", *VERBS[verb]],
        http_proxy=f"http://{proxy.address}",
        https_proxy=f"http://{proxy.address}",
    )
    assert proxy.asked.wait(60), process.communicate(timeout=5)
    prove(process)


@pytest.mark.parametrize("verb", VERBS)
def test_names_that_are_never_resolved(folder: Path, verb: str) -> None:
    process = started(folder, ["-c", HANGS_IN_NAMES, *VERBS[verb]])
    assert process.stdout is not None
    assert process.stdout.readline() == "look-up\n"
    prove(process)


def test_a_credential_helper_that_never_answers(folder: Path) -> None:
    """Nothing ends it but itself, if it is not of our terminal."""
    helper = folder / "docker-credential-slow"
    helper.write_text("#!/bin/sh\ntrap '' INT\n: > asked\nexec sleep 20\n", "utf-8")
    helper.chmod(0o755)
    (folder / ".docker").mkdir()
    (folder / ".docker" / "config.json").write_text('{"credsStore": "slow"}', "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.recv(65_536)
                    client.sendall(
                        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n"
                        b'WWW-Authenticate: Basic realm="x"\r\n\r\n'
                    )

        threading.Thread(target=serve, daemon=True).start()
        registry = f"127.0.0.1:{server.getsockname()[1]}"
        process = started(
            folder,
            ["-m", "builder", "inventory", registry, "--repository", "a", "-o", "x"],
            PATH=f"{folder}:{os.environ['PATH']}",
        )
        begun = time.monotonic()
        while not (folder / "asked").exists():
            assert time.monotonic() - begun < 60
            time.sleep(0.05)
        prove(process)


@pytest.mark.parametrize(
    "words", [("lock", "cluster.yaml", "--update", "kubeadm"), ("bundle", "cluster.lock")]
)
def test_upstreams_that_hang(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    sandbox.upstream.faults.add(Hang())
    sandbox.environment["AIRSEED_TIMEOUT"] = "60"
    more = ("--catalog", str(sandbox.catalog)) if words[0] == "lock" else ()
    sandbox.bundle_path.unlink(missing_ok=True)
    with sandbox.start(*words, *more) as process:
        begun = time.monotonic()
        while not sandbox.upstream.requests[process.before :]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - begun < 60
            time.sleep(0.05)
        prove(process)
