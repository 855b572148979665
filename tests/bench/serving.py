"""``airseed serve`` beside nginx with files and docker-registry: the same blobs, warm, 8 clients.

``python -m bench.serving`` runs this part alone.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from interop.programs import environment, free_port, listens, run
from sandboxes import Sample
from served import bundle_with, serving

from bench.figures import Figure, table

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOBS, SIZE = 16, 46 << 20
CLIENTS = 8
PULLS = 3
"""How often the whole set is pulled in one measurement."""
_NGINX = """\
daemon off; master_process off; user root; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; sendfile on; default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    ssl_certificate {folder}/crt; ssl_certificate_key {folder}/key;
    root {folder}/blobs;
  }}
}}
"""
_REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
"""


@dataclass
class Contest:
    """Hold what each server took, in turns, by name."""

    folder: Path
    env: dict[str, str]
    urls: dict[str, list[str]] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, pid: int, base: str, paths: list[str]) -> None:
        self.pids[name] = pid
        self.urls[name] = [f"{base}/{path}" for path in paths]

    def pull(self, name: str, *, times: int = PULLS) -> tuple[float, float]:
        """Pull the whole set; return the seconds, and those of the server's processor time."""
        before, begun = _cpu(self.pids[name]), time.monotonic()
        subprocess.run(
            ["xargs", f"-P{CLIENTS}", "-n1", "curl", "-sfk", "-o", "/dev/null"],
            input="\n".join(self.urls[name] * times),
            text=True,
            check=True,
            env=self.env,
        )
        return time.monotonic() - begun, _cpu(self.pids[name]) - before

    def turn(self, number: int) -> None:
        for name in list(self.urls)[:: 1 if number % 2 else -1]:
            seconds, cpu = self.pull(name)
            self.seconds.setdefault(name, []).append(seconds)
            self.cpu.setdefault(name, []).append(cpu)

    def figures(self) -> list[Figure]:
        found = []
        for tls in ("", " TLS"):
            ours, nginx, registry = (f"{name}{tls}" for name in ("serve", "nginx", "registry"))
            found += [
                Figure(
                    figure=f"{ours}, speed / nginx with files",
                    value=self._faster(ours, nginx),
                    goal=0.9,
                    unit="x",
                    better="more",
                ),
                Figure(
                    figure=f"{ours}, speed / docker-registry",
                    value=self._faster(ours, registry),
                    goal=1.1,
                    unit="x",
                    better="more",
                ),
                Figure(
                    figure=f"{ours}, processor time / docker-registry",
                    value=median(self.cpu[ours]) / median(self.cpu[registry]),
                    goal=0.6,
                    unit="x",
                ),
            ]
        found += [
            Figure(figure=f"  {name} {what}", value=median(took[name]), unit="s")
            for name in self.urls
            for what, took in (("", self.seconds), ("processor time", self.cpu))
        ]
        return found

    def _faster(self, ours: str, theirs: str) -> float:
        pairs = zip(self.seconds[ours], self.seconds[theirs], strict=True)
        return median(other / one for one, other in pairs)


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def contest(folder: Path) -> Iterator[Contest]:
    """Start all servers, let each read all that it has once."""
    home = folder / "home"
    home.mkdir()
    env = environment(home)
    made = folder / "blobs"
    made.mkdir()
    dice = random.Random(1)
    for number in range(BLOBS):
        (made / str(number)).write_bytes(dice.randbytes(1 << 20) * (SIZE >> 20) + bytes([number]))
    (folder / "sample").mkdir()
    sample = Sample.build(folder / "sample")
    digests = bundle_with(sample, folder / "bundle.tar", [made / str(n) for n in range(BLOBS)])
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key",
        "-out", folder / "crt", env=env,
    )  # fmt: skip
    files = [f"files/large/{number}" for number in range(BLOBS)]
    _fill_registry(folder, made, digests)
    found = Contest(folder, env)
    with ExitStack() as stack:
        plain, tls, registry, registry_tls = (free_port() for _ in range(4))
        text = _NGINX.format(folder=folder, plain=plain, tls=tls)
        (folder / "nginx.conf").write_text(text, "utf-8")
        nginx = stack.enter_context(_running(env, "nginx", "-c", folder / "nginx.conf", port=plain))
        names = [str(number) for number in range(BLOBS)]
        found.add("nginx", nginx, f"http://127.0.0.1:{plain}", names)
        found.add("nginx TLS", nginx, f"https://127.0.0.1:{tls}", names)
        tls_words = f"certificate: {folder}/crt, key: {folder}/key"
        blobs = [f"v2/bench/blobs/{digest}" for digest in digests]
        for name, port, words in (
            ("registry", registry, ""),
            ("registry TLS", registry_tls, f", tls: {{{tls_words}}}"),
        ):
            config = folder / f"{port}.yml"
            config.write_text(_REGISTRY.format(folder=folder, port=port, tls=words), "utf-8")
            pid = stack.enter_context(_running(env, "docker-registry", "serve", config, port=port))
            found.add(name, pid, f"http{'s' if words else ''}://127.0.0.1:{port}", blobs)
        (folder / "key").chmod(0o600)
        (folder / "with-tls").mkdir()
        own = stack.enter_context(serving(folder, folder / "bundle.tar"))
        found.add("serve", own.process.pid, f"http://127.0.0.1:{own.port}", files)
        own = stack.enter_context(
            serving(
                folder / "with-tls", "--tls-cert", folder / "crt", "--tls-key", folder / "key",
                folder / "bundle.tar",
            )
        )  # fmt: skip
        found.add("serve TLS", own.process.pid, f"https://127.0.0.1:{own.port}", files)
        for name in found.urls:
            found.pull(name, times=1)
        yield found


def _fill_registry(folder: Path, blobs: Path, digests: list[str]) -> None:
    """Lay blobs where docker-registry has them, as links to nginx's."""
    top = folder / "data/docker/registry/v2"
    for number, digest in enumerate(digests):
        name = digest.removeprefix("sha256:")
        place = top / "blobs/sha256" / name[:2] / name
        link = top / "repositories/bench/_layers/sha256" / name
        place.mkdir(parents=True)
        link.mkdir(parents=True)
        (place / "data").hardlink_to(blobs / str(number))
        (link / "link").write_text(digest, "ascii")


@contextmanager
def _running(env: dict[str, str], *words: str | Path, port: int) -> Iterator[int]:
    program = shutil.which(words[0], path=env["PATH"])
    assert program
    with subprocess.Popen(
        [program, *map(str, words[1:])], env=env, stderr=subprocess.DEVNULL
    ) as process:
        while not listens(port):
            assert process.poll() is None, words
            time.sleep(0.05)
        yield process.pid
        process.terminate()


def measure(folder: Path, runs: int) -> list[Figure]:
    """Take turns; return the figures."""
    with contest(folder) as found:
        for number in range(runs):
            found.turn(number)
        return found.figures()


def main() -> int:
    """Measure this part alone; return 0 when every goal is reached, else 1."""
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        figures = measure(Path(folder), runs=int(sys.argv[1]) if sys.argv[1:] else 5)
    print(table(figures))
    return 1 if any(one.met is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
