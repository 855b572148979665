"""Bundles published into real registries, and asked back by skopeo."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from interop.programs import PATH, daemon, environment, free_port, listens, run
from interop.servers import PASSWORD, USER, nginx

from builder.model.image_names import ImageNames

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from interop.workdir import Workdir

pytestmark = pytest.mark.interop
PREFIX = "site/k8s"


@dataclass
class Registry:
    """Hold a registry of a site: TLS of its own authority, a password, and what it was asked."""

    address: str
    folder: Path
    sparse: bool = False
    """Whether it takes indexes without all of their platforms."""

    @property
    def ca(self) -> Path:
        return self.folder / "tls.crt"

    def requests(self) -> list[tuple[str, str]]:
        """Return method and status of what came since the last call."""
        lines = (self.folder / "log").read_text("utf-8", "replace").splitlines()
        found = [json.loads(line) for line in lines[self._seen :] if line.startswith("{")]
        self._seen = len(lines)
        return [
            (one["http.request.method"], str(one["http.response.status"]))
            for one in found
            if one.get("msg") == "response completed"
            and one.get("http.request.uri", "").startswith("/v2/s")
        ]

    _seen: int = 0

    def copy(self, name: str, other: str) -> None:
        """Give an image another name, as somebody of the site does."""
        certs = self.folder / "certs"
        run(
            "skopeo", "--insecure-policy", "copy", "--quiet",
            "--authfile", self.folder / "auth.json", "--src-cert-dir", certs,
            "--dest-cert-dir", certs, f"docker://{name}", f"docker://{other}",
            env=environment(self.folder),
        )  # fmt: skip

    def skopeo(self, *words: str) -> str:
        env = environment(self.folder)
        login = (
            "--authfile",
            str(self.folder / "auth.json"),
            "--cert-dir",
            str(self.folder / "certs"),
        )
        return run("skopeo", *words[:1], *login, *words[1:], env=env).stdout


@contextmanager
def serving(
    folder: Path, program: str, *, validation: dict[str, Any] | None = None
) -> Iterator[Registry]:
    """Run a registry as a site would have it."""
    folder.mkdir()
    port, env = free_port(), environment(folder)
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=site", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt", env=env,
    )  # fmt: skip
    (folder / "certs").mkdir()
    shutil.copy(folder / "tls.crt", folder / "certs" / "ca.crt")
    users = run("htpasswd", "-niB", USER, env=env, input=PASSWORD).stdout
    (folder / "users").write_text(users, "utf-8")
    config = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": f"127.0.0.1:{port}",
            "tls": {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")},
        },
        "auth": {"htpasswd": {"realm": "site", "path": str(folder / "users")}},
        **({"validation": validation} if validation else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
    with daemon(
        program, "serve", folder / "config.yml",
        env=env, log=folder / "log", ready=lambda: listens(port),
    ):  # fmt: skip
        registry = Registry(f"127.0.0.1:{port}", folder)
        run(
            "skopeo", "login", "--authfile", folder / "auth.json", "--cert-dir", folder / "certs",
            "-u", USER, "--password-stdin", registry.address, env=env, input=PASSWORD,
        )  # fmt: skip
        yield registry


@pytest.fixture(params=["docker-registry 2.8", "distribution 3", "distribution 3, sparse"])
def registry(request: pytest.FixtureRequest, tools: None, tmp_path: Path) -> Iterator[Registry]:
    sparse = request.param.endswith("sparse")
    program = "docker-registry" if "2.8" in request.param else "registry"
    if not shutil.which(program, path=PATH):
        pytest.skip("distribution 3 is not built: tests/interop/setup.sh does it with a newer Go")
    how = {"manifests": {"indexes": {"platforms": "none"}}} if sparse else None
    with serving(tmp_path / "registry", program, validation=how) as made:
        made.sparse = sparse
        yield made


def published(
    workdir: Workdir, registry: Registry, *words: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    return workdir(
        "publish", "bundle.tar", "--registry", f"https://{registry.address}/{PREFIX}",
        "--ca-bundle", str(registry.ca), "--authfile", str(registry.folder / "auth.json"), "--json",
        *words, code=code,
    )  # fmt: skip


def expect_all(workdir: Workdir, registry: Registry) -> None:
    """Ask for every reference, as nodes would."""
    names = ImageNames(f"{registry.address}/{PREFIX}")
    for image in workdir.lock.images:
        name = names.name(image.reference)
        found = json.loads(registry.skopeo("inspect", f"docker://{name}"))
        whole = registry.sparse or image.digest == image.manifests[0].digest
        wanted = image.digest if whole else image.manifests[0].digest
        assert found["Digest"] == str(wanted), name
        for signature in image.signatures:
            tag = f"sha256-{image.digest.hex}.sig"
            found = json.loads(
                registry.skopeo("inspect", f"docker://{names.repository(image.reference)}:{tag}")
            )
            assert found["Digest"] == str(signature.digest)


def test_a_registry_has_what_the_lock_says_and_a_second_run_moves_nothing(
    workdir: Workdir, registry: Registry
) -> None:
    done = json.loads(published(workdir, registry).stdout)
    assert {one["state"] for one in done["images"]} == {"pushed"}
    assert [status for _, status in registry.requests() if status[0] == "5"] == []
    expect_all(workdir, registry)
    registry.requests()
    again = json.loads(published(workdir, registry).stdout)
    assert {one["state"] for one in again["images"]} == {"there"}
    asked = registry.requests()
    found = [method for method, status in asked if status == "200"]
    assert {method for method, status in asked if status != "401"} == {"HEAD", "GET"}
    images = {image.name: image for image in workdir.lock.images}
    parts = [
        part
        for one in again["images"]
        for part in images[one["source"]].manifests
        if str(part.digest) != one["digest"]
    ]
    assert found.count("HEAD") == len(again["images"]) + len(parts)
    assert found.count("GET") == 2  # what was published before


_PROXY = """
  server {{
    client_max_body_size {most};
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {site}/tls.crt;
    ssl_certificate_key {site}/tls.key;
    {more}
    location / {{
      proxy_pass https://{address};
      proxy_set_header Host {name};
      proxy_set_header X-Forwarded-Proto http;
      proxy_request_buffering off;
    }}
  }}
"""


def proxy(behind: Registry, port: int, *, most: str, name: str, more: str = "") -> str:
    """Return a server of nginx in front of a registry, by whose name it asks that."""
    return _PROXY.format(
        port=port, site=behind.folder, address=behind.address, most=most, name=name, more=more
    )


def test_a_proxy_that_limits_bodies_and_hides_tls_is_got_through(
    workdir: Workdir, tools: None, tmp_path: Path
) -> None:
    """nginx takes 1 MiB unless told otherwise, and the registry behind says http://."""
    folder, port = tmp_path / "nginx", free_port()
    with serving(tmp_path / "registry", "docker-registry") as behind:
        with nginx(folder, proxy(behind, port, most="1m", name="127.0.0.1"), port):
            login = json.loads((behind.folder / "auth.json").read_text())
            (entry,) = login["auths"].values()
            login["auths"][f"127.0.0.1:{port}"] = entry
            (behind.folder / "auth.json").write_text(json.dumps(login))
            published(workdir, replace(behind, address=f"127.0.0.1:{port}"))
            log = (folder / "access.log").read_text()
            assert " 413 " in log
            assert "PATCH" in log
        expect_all(workdir, behind)


def test_a_client_certificate_opens_what_is_shut_to_others(
    workdir: Workdir, tools: None, tmp_path: Path
) -> None:
    folder, port = tmp_path / "nginx", free_port()
    folder.mkdir()
    env = environment(folder)
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=airseed", "-keyout", folder / "client.key", "-out", folder / "client.crt", env=env,
    )  # fmt: skip
    with serving(tmp_path / "registry", "docker-registry") as behind:
        asks = f"ssl_client_certificate {folder}/client.crt; ssl_verify_client on;"
        http = proxy(behind, port, most="0", name=f"127.0.0.1:{port}", more=asks)
        login = json.loads((behind.folder / "auth.json").read_text())
        login["auths"][f"127.0.0.1:{port}"] = login["auths"][behind.address]
        (behind.folder / "auth.json").write_text(json.dumps(login))
        front = replace(behind, address=f"127.0.0.1:{port}")
        with nginx(folder, http, port):
            told = published(workdir, front, code=1).stderr
            assert "--cert" in told
            shown = ("--cert", str(folder / "client.crt"), "--key", str(folder / "client.key"))
            done = json.loads(published(workdir, front, *shown).stdout)
            assert {one["state"] for one in done["images"]} == {"pushed"}
        expect_all(workdir, behind)


def test_prune_removes_what_is_not_wanted_any_more_and_nothing_of_the_sites(
    workdir: Workdir, registry: Registry, tmp_path: Path
) -> None:
    published(workdir, registry)
    team = f"{registry.address}/{PREFIX}/team"
    for name in ("old", "lone"):
        registry.copy(f"{team}/{name}:1", f"{team}/{name}:mine")
    next_one = replace(workdir, folder=tmp_path / "next")
    shutil.copytree(
        workdir.folder, next_one.folder, ignore=shutil.ignore_patterns("*.tar*", "unpacked")
    )
    path = next_one.folder / "cluster.yaml"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    gone = ("team/tool:1", "team/old:1")
    path.write_text("".join(one for one in lines if not one.rstrip().endswith(gone)), "utf-8")
    next_one.lock_and_bundle()
    dry = published(next_one, registry, "--prune", "--dry-run")
    stale = {f"{PREFIX}/{name}" for name in gone}
    assert {*json.loads(dry.stdout)["stale"]} == stale
    done = json.loads(published(next_one, registry, "--prune", "--yes").stdout)
    assert f"{PREFIX}/team/tool:1" in done["removed"]
    expect_all(next_one, registry)
    for name in ("old:mine", "lone:mine"):
        registry.skopeo("inspect", f"docker://{team}/{name}")
    tags = json.loads(registry.skopeo("list-tags", f"docker://{team}/old"))["Tags"]
    assert "mine" in tags
