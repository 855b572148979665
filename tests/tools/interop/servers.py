"""A registry, and a web server over plain HTTP and TLS, both Debian's, on loopback."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nginx_config

from interop.programs import daemon, environment, free_port, listens, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "airseed-interop", "correct-horse-7"
_SERVER = """
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {folder}/tls.crt;
    ssl_certificate_key {folder}/tls.key;
    root {root};
  }}
"""


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Hold where the servers are and how to get in."""

    registry: str
    plain: str
    """URL of the web server, without a slash at its end."""
    tls: str
    ca: Path
    """The certificate of the web server, which is its own authority."""
    login: Path
    """Folder of a docker ``config.json`` with the registry's password."""


@contextmanager
def serve(folder: Path, root: Path, *, guarded: bool = True) -> Iterator[Servers]:
    """Run both; ``root`` is what the web server shows, ``guarded`` gives the registry a password.

    A registry that is asked for its password works a while on each request.
    """
    ports = [free_port() for _ in range(3)]
    registry, plain, tls = ports
    with ExitStack() as stack:
        stack.enter_context(_registry(folder / "registry", registry, guarded=guarded))
        stack.enter_context(_web(folder / "nginx", root, plain, tls))
        yield Servers(
            registry=f"127.0.0.1:{registry}",
            plain=f"http://127.0.0.1:{plain}",
            tls=f"https://127.0.0.1:{tls}",
            ca=folder / "nginx" / "tls.crt",
            login=_login(folder / "login", f"127.0.0.1:{registry}"),
        )


@contextmanager
def _registry(folder: Path, port: int, *, guarded: bool) -> Iterator[None]:
    folder.mkdir()
    env = environment(folder)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if guarded:
        users = run("htpasswd", "-niB", USER, env=env, input=PASSWORD).stdout
        (folder / "users").write_text(users, "utf-8")
        config["auth"] = {"htpasswd": {"realm": "interop", "path": str(folder / "users")}}
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
    with daemon(
        "docker-registry", "serve", folder / "config.yml",
        env=env, log=folder / "log", ready=lambda: listens(port),
    ):  # fmt: skip
        yield


@contextmanager
def nginx(folder: Path, http: str, *ports: int) -> Iterator[None]:
    """Run nginx until it listens at these ports of loopback."""
    folder.mkdir(exist_ok=True)
    with daemon(
        "nginx", "-p", folder, "-c", nginx_config.write(folder, http),
        env=environment(folder), log=folder / "log", ready=lambda: all(map(listens, ports)),
    ):  # fmt: skip
        yield


@contextmanager
def _web(folder: Path, root: Path, plain: int, tls: int) -> Iterator[None]:
    folder.mkdir()
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=interop", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt", env=environment(folder),
    )  # fmt: skip
    with nginx(folder, _SERVER.format(folder=folder, root=root, plain=plain, tls=tls), plain, tls):
        yield


def _login(folder: Path, registry: str) -> Path:
    """Write the file that ``docker login`` would."""
    import base64

    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    folder.mkdir(mode=0o700)
    (folder / "config.json").write_text(
        json.dumps({"auths": {registry: {"auth": secret}}}), "utf-8"
    )
    return folder
