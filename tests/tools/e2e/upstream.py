"""What airseed locks and bundles from: repositories, a registry, a catalog that points there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nginx_config
import yaml
from interop.programs import daemon, environment, free_port

from builder.assets import tree
from e2e import calico, container_images, rpm_packages
from e2e.resources import CACHE, DATA, releases, repositories, run, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.machine import Namespace

_SOURCES = re.compile(r"^sources:\n(?: +- .*\n)+", re.MULTILINE)
_DIGESTS = re.compile(r"^  sha256:\n(?:    .*\n)+", re.MULTILINE)
_MAKERS = (rpm_packages.__file__, container_images.__file__)


@dataclass(frozen=True)
class Upstream:
    """Where the servers are, and the folder with the catalog."""

    stock: Path
    """What the web server shows: repositories and keys."""
    registry: str
    web: str
    catalog: Path
    seconds: float
    """That making it took."""


@contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    """Serve the stock on loopback, from a folder of this run's own."""
    began = time.monotonic()
    stock = _stock()
    ports = free_port(), free_port()
    own, data_folder = f"127.0.0.1:{ports[0]}", stock / "registry"
    with (
        registry(folder / "registry", own, storage=data_folder),
        web(folder / "nginx", stock / "www", f"127.0.0.1:{ports[1]}"),
    ):
        made = Upstream(
            stock / "www",
            own,
            f"http://127.0.0.1:{ports[1]}",
            folder / "catalog",
            time.monotonic() - began,
        )
        _write_catalog(made)
        yield made


def _stock() -> Path:
    """Return the RPMs, keys and images; they are made when anything in them has changed."""
    stock, fresh = CACHE / "stock", CACHE / "stock.new"
    stamp = _stamp()
    if (stock / ".stamp").exists() and (stock / ".stamp").read_text() == stamp:
        return stock
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "www" / "keys").mkdir(parents=True)
    keys = rpm_packages.keys()
    for name, key in keys.items():
        (fresh / "www" / "keys" / f"{name}.asc").write_bytes(key.public)
        (fresh / "www" / "keys" / f"{name}.fingerprint").write_text(key.fingerprint)
    signers = {}
    for name in repositories():
        described = yaml.safe_load((tree("mirrors") / f"repositories/{name}.yaml").read_text())
        signers[name] = keys[described["keys"][0]]
    rpm_packages.build(fresh / "www", signers)
    (fresh / "www" / "calico").mkdir()
    for name, text in calico.manifests().items():
        (fresh / "www" / "calico" / name).write_text(text, "utf-8")
    listen = f"127.0.0.1:{free_port()}"
    with registry(fresh / "run", listen, storage=fresh / "registry"):
        container_images.push(fresh / "container_images", listen)
        container_images.push_again("pause", fresh / "container_images", listen, calico.images())
    shutil.rmtree(fresh / "container_images")
    shutil.rmtree(fresh / "run")
    (fresh / ".stamp").write_text(stamp)
    shutil.rmtree(stock, ignore_errors=True)
    fresh.rename(stock)
    return stock


def _stamp() -> str:
    """Tell of everything that the stock is made of, so that a change shows."""
    digest = hashlib.sha256()
    for path in (DATA / "packages.yaml", DATA / "images.yaml", *map(Path, _MAKERS)):
        digest.update(path.read_bytes())
    for text in (*calico.images(), *calico.manifests().values()):
        digest.update(text.encode())
    recipes = [recipe for _, recipe in container_images.made().values()]
    for packages in repositories().values():
        recipes += packages.values()
    for where in sorted({path for recipe in recipes for path in recipe.get("files", {}).values()}):
        origin = source(where)
        for path in sorted(origin.iterdir()) if origin.is_dir() else [origin]:
            if path.is_relative_to(DATA):  # by content: checkouts share the stock
                digest.update(path.read_bytes())
                continue
            status = path.stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def registry(
    folder: Path,
    listen: str,
    *,
    storage: Path | None = None,
    inside: Namespace | None = None,
    tls: bool = False,
) -> Iterator[Path]:
    """Run Debian's registry without passwords; give the certificate that it may have.

    It goes on with what an earlier one left in its folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http: dict[str, Any] = {"addr": listen}
    certificate = folder / "tls.crt"
    if tls:
        if not certificate.exists():
            certify(listen.rpartition(":")[0], folder / "tls.key", certificate)
        http["tls"] = {"certificate": str(certificate), "key": str(folder / "tls.key")}
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "data")}},
        "http": http,
    }
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
    with serving(folder, inside, listen, "docker-registry", "serve", folder / "config.yml"):
        yield certificate


def certify(host: str, key: Path, certificate: Path) -> None:
    """Make a certificate that is its own authority, for an address."""
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=registry", "-addext", f"subjectAltName=IP:{host}", "-keyout", key, "-out", certificate,
    )  # fmt: skip


@contextmanager
def web(
    folder: Path, root: Path, listen: str, *, inside: Namespace | None = None
) -> Iterator[None]:
    """Run a plain web server."""
    folder.mkdir(parents=True)
    path = nginx_config.write(folder, f"server {{ listen {listen}; root {root}; }}")
    with serving(folder, inside, listen, "nginx", "-p", folder, "-c", path):
        yield


def airseed(*words: str | Path) -> tuple[str | Path, ...]:
    """Return the words that run airseed as a server."""
    return (sys.executable, "-m", "builder", *words)


@contextmanager
def serving(
    folder: Path, inside: Namespace | None, listen: str, *words: str | Path
) -> Iterator[None]:
    """Run a server until it listens; its log lies in the folder."""
    prefix = inside.prefix if inside else ()
    host, _, port = listen.rpartition(":")

    def answers() -> bool:
        return run(*prefix, "bash", "-c", f": >/dev/tcp/{host}/{port}", check=False).returncode == 0

    env = environment(folder)
    with daemon(*prefix, *words, env=env, log=folder / "log", ready=answers):
        yield


def _write_catalog(made: Upstream) -> None:
    """Write what a user writes who has mirrors of his own: the catalog's files, other sources."""
    mirrors = tree("mirrors")
    for name in repositories():
        text = (mirrors / f"repositories/{name}.yaml").read_text("utf-8")
        _write(made, f"repositories/{name}", _at(text, f"{made.web}/{name}/$basearch/"))
    for path in (mirrors / "registries").glob("*.yaml"):
        text = path.read_text("utf-8")
        prefix = yaml.safe_load(text)["prefix"]
        _write(made, f"registries/{path.stem}", _at(text, f"{made.registry}/{prefix}"))
    for path in (made.stock / "keys").glob("*.asc"):
        fingerprint = path.with_suffix(".fingerprint").read_text()
        text = f"fingerprint: {fingerprint}\nsources:\n  - {made.web}/keys/{path.name}\n"
        _write(made, f"keys/{path.stem}", text)
    for name in ("flannel", "library"):
        prefix = f"docker.io/{name}"
        text = f"prefix: {prefix}\nsources:\n  - {made.registry}/{prefix}\n"
        _write(made, f"registries/{name}", text)
    for release in releases():
        name = f"kubernetes/{release.rpartition('.')[0]}"
        text = (mirrors / f"{name}.yaml").read_text("utf-8")
        # upstream's digests are of other bytes
        _write(made, name, _DIGESTS.sub("", text))
    name = f"calico/{calico.release().of.series}"
    text = (mirrors / f"{name}.yaml").read_text("utf-8")
    _write(made, name, _at(text, f"{made.web}/calico/"))


def _at(text: str, where: str) -> str:
    """Return a file of the catalog with one source in the place of its own."""
    return _SOURCES.sub(lambda _: f"sources:\n  - {where}\n", text)


def _write(made: Upstream, name: str, text: str) -> None:
    path = made.catalog / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
