"""The yum side of publish on a real nginx, read by a real dnf that checks signatures."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from interop import servers
from interop.programs import environment, free_port, run
from yum_client import look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sample, Sandbox

pytestmark = pytest.mark.interop
_SERVER = """
  server {{
    listen 127.0.0.1:{port};
    location / {{
      root {folder}/www; client_max_body_size 0; create_full_put_path on;
      dav_methods PUT DELETE MKCOL MOVE;
      limit_except GET {{ auth_basic "publish"; auth_basic_user_file {folder}/users; }}
    }}
  }}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Run nginx with its dav module; return URL, folder and the environment with a login."""
    folder, port = tmp_path / "nginx", free_port()
    (folder / "www").mkdir(parents=True)
    env = environment(folder)
    users = run("htpasswd", "-nbm", "ci", "secret", env=env).stdout
    (folder / "users").write_text(users, "utf-8")
    secret = base64.b64encode(b"ci:secret").decode()
    login = {"auths": {f"127.0.0.1:{port}": {"auth": secret}}}
    (folder / "config.json").write_text(json.dumps(login), "utf-8")
    (folder / "config.json").chmod(0o600)
    with servers.nginx(folder, _SERVER.format(folder=folder, port=port), port):
        yield f"http://127.0.0.1:{port}/k8s", folder, {"DOCKER_CONFIG": str(folder)}


def fetched(url: str) -> bytes | None:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", quote(parts.path))
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in {200, 404}
        return content if answer.status == 200 else None


def second(sample: Sample, folder: Path) -> Sandbox:
    """Lock and bundle another release."""
    with sample.sandbox(folder, locked=False) as sandbox:
        path = sandbox.folder / "cluster.yaml"
        path.write_text(path.read_text("utf-8").replace("1.18.5", "1.19.5"), "utf-8")
        for ran in (sandbox.lock(), sandbox.bundle()):
            assert ran.code == 0, ran.err
        return sandbox


def test_dnf_installs_and_a_client_never_sees_half_a_repository(
    sample: Sample, tmp_path: Path, nginx: tuple[str, Path, dict[str, str]]
) -> None:
    url, folder, login = nginx
    later = second(sample, tmp_path / "later")
    later.environment |= login
    words = ("--yum", url, "--json")
    first = later.run("publish", str(sample.bundle), *words)
    assert first.code == 0, first.err
    env = environment(folder)
    (folder / "repos").mkdir()
    (folder / "repos" / "airseed.repo").write_bytes(fetched(f"{url}/airseed.repo") or b"")
    (folder / "dnf.conf").write_text("[main]\n", "utf-8")
    root = folder / "root"
    root.mkdir()
    installed = run(
        "dnf", "--noplugins", "--config", folder / "dnf.conf", "--installroot", root,
        "--releasever=7", "--forcearch=x86_64", "--assumeyes",
        f"--setopt=reposdir={folder / 'repos'}",
        f"--setopt=cachedir={folder / 'cache'}", "install", "--nodocs", "--downloadonly",
        "kubectl", env=env, check=False,  # all others need the base
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout
    assert list((folder / "cache").rglob("kubectl-1.18.5*.rpm"))

    repositories = [one.name for one in sample.lock.repositories]
    seen: dict[str, set[str]] = {name: set() for name in repositories}
    faults: list[str] = []
    done = threading.Event()

    def watch() -> None:
        last = False
        while not last:
            last = done.is_set()  # once more after the end
            for name in repositories:
                digest, wrong = look(lambda path: fetched(f"{url}/{path}"), name)
                seen[name].add(digest)
                faults.extend(f"{name} {digest[:8]}: {one}" for one in wrong)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ran = later.run("publish", "bundle.tar", *words)
    finally:
        done.set()
        watcher.join()
    assert ran.code == 0, ran.err
    assert faults == []
    assert max(len(digests) for digests in seen.values()) == 2
    again = json.loads(later.run("publish", "bundle.tar", *words).out)["yum"]
    assert (again["files"], again["size"]) == ([], 0)
    puts = (folder / "access.log").read_text("utf-8").count('"PUT ')
    assert later.run("publish", "bundle.tar", *words).code == 0
    assert (folder / "access.log").read_text("utf-8").count('"PUT ') == puts
    pruned = json.loads(later.run("publish", "bundle.tar", *words, "--prune", "--yes").out)["yum"]
    assert any("kubelet-1.18.5" in path for path in pruned["pruned"])
    assert not list((folder / "www").rglob("kubelet-1.18.5*"))
    assert not list((folder / "www").rglob("*.airseed-part"))
