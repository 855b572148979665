"""The configurations of docs/scale.md as they stand there: one of two servers dies, all goes on."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from interop.programs import PATH, environment, free_port, listens, run
from interop.servers import nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample, Sandbox

pytestmark = pytest.mark.interop
PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def block(beginning: str) -> str:
    """Return an example of the page by how it begins."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE.read_text("utf-8"), re.MULTILINE)
    texts = [re.sub("^    ", "", one, flags=re.MULTILINE).strip() for one in blocks]
    (found,) = [text for text in texts if text.startswith(beginning)]
    return found


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"docs/scale.md has no {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def process(
    *words: str | Path, port: int, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that a test may kill."""
    program = [shutil.which(words[0], path=PATH) or words[0], *words[1:]]
    started = subprocess.Popen(
        program, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 60
        while not listens(port):
            assert started.poll() is None, f"{words[0]} ended"
            assert time.monotonic() < end, f"{words[0]} does not start"
            time.sleep(0.1)
        yield started
    finally:
        started.kill()
        started.wait()


def headers(port: int, path: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
        kept = {"ETag", "Last-Modified", "Content-Length", "Content-Type", "Docker-Content-Digest"}
        return {name: value for name, value in answer.headers.items() if name in kept}


def copy(folder: Path, source: str, number: int) -> None:
    target = folder / f"{number}"
    words = ("--src-tls-verify=false", f"docker://{source}", f"dir:{target}")
    run("skopeo", "copy", *words, env=environment(folder))
    shutil.rmtree(target)


def test_two_serves_behind_nginx_are_one(sample: Sample, tools: None, tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    changes = {f"10.0.0.1{n}:5000": f"127.0.0.1:{ports[n]}" for n in (1, 2)}
    changes |= {"listen 5000": f"listen 127.0.0.1:{ports[0]}"}
    env = environment(tmp_path)
    serve: list[str | Path] = [sys.executable, "-m", "builder", "serve", sample.bundle, "--listen"]
    with ExitStack() as stack:
        first, _ = [
            stack.enter_context(process(*serve, f"127.0.0.1:{port}", port=port, env=env))
            for port in ports[1:]
        ]
        config = replaced(block("upstream airseed {"), changes)
        stack.enter_context(nginx(tmp_path / "nginx", config, ports[0]))
        for path in ("SHA256SUMS", "v2/pause/manifests/3.2"):
            assert headers(ports[1], path) == headers(ports[2], path) == headers(ports[0], path)
        for number, image in enumerate(sample.lock.images):
            if number == 2:
                first.send_signal(signal.SIGKILL)
            name = f"127.0.0.1:{ports[0]}/{image.reference.path}:{image.reference.tag}"
            copy(tmp_path, name, number)
        assert first.wait() == -signal.SIGKILL


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server with the bucket of the page; return what it is called there."""
    pytest.importorskip("moto.server")
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with process(*words, port=port, env=environment(tmp_path)):
        run(
            "curl", "-sf", "-X", "PUT", f"http://127.0.0.1:{port}/images", env=environment(tmp_path)
        )
        yield {"http://s3.example.com": f"http://127.0.0.1:{port}"}


def test_two_registries_over_one_bucket_and_a_folder(
    sample: Sample, sandbox: Sandbox, tools: None, bucket: dict[str, str], tmp_path: Path
) -> None:
    ports = [free_port() for _ in range(4)]
    env = environment(tmp_path)
    folder = tmp_path / "folder"
    registry = f"127.0.0.1:{ports[0]}"
    web = f"http://127.0.0.1:{ports[3]}"
    with ExitStack() as stack:
        running = []
        for port in ports[1:3]:
            text = replaced(block("version: 0.1"), {**bucket, "0.0.0.0:5000": f"127.0.0.1:{port}"})
            config: dict[str, Any] = yaml.safe_load(text)
            path = tmp_path / f"{port}.yml"
            path.write_text(json.dumps(config), "utf-8")
            running.append(
                stack.enter_context(process("docker-registry", "serve", path, port=port, env=env))
            )
        changes = {f"10.0.0.2{n}:5000": f"127.0.0.1:{ports[n]}" for n in (1, 2)}
        servers = replaced(
            block("upstream registry {"), {**changes, "listen 5001": f"listen {registry}"}
        ) + replaced(
            block("server {"),
            {"listen 8080": f"listen {web.removeprefix('http://')}", "/srv/airseed": str(folder)},
        )
        stack.enter_context(nginx(tmp_path / "nginx", servers, ports[0], ports[3]))
        where = ("--registry", f"{registry}/k8s", "--yum", str(folder), "--base-url", web)
        filled = sandbox.run("publish", str(sample.bundle), *where)
        assert filled.code == 0, filled.err
        running[0].send_signal(signal.SIGKILL)
        running[0].wait()
        document = sandbox.folder / "cluster.yaml"
        more = f"\nregistry: {registry}/k8s\nseed: {{url: '{web}'}}\n"
        document.write_text(document.read_text("utf-8") + more, "utf-8")
        words = ("--site", "--plain-http", "--catalog", str(sandbox.catalog), "--json")
        asked = sandbox.run("doctor", "cluster.yaml", *words)
        assert asked.code == 0, asked.out + asked.err
        again = json.loads(sandbox.run("publish", str(sample.bundle), *where, "--json").out)
        assert again["blobs"] == 0
