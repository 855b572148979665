"""``airseed doctor --site``: whether registry and URL have all that the machines will ask for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from push_registry import PushRegistry, Quirks

from builder.cli.root import run
from builder.model.registry import Registry
from builder.pipeline.publish import publish
from builder.pipeline.serve import serve
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxes import Sample, Sandbox


class Cluster:
    """Hold a locked cluster, and ask what its machines will ask."""

    def __init__(self, folder: Path, catalog: Path) -> None:
        self.path = folder / "cluster.yaml"
        self.catalog = catalog

    def say(self, text: str) -> None:
        self.path.write_text(self.path.read_text("utf-8") + text, "utf-8")

    def ask(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
        code = run(
            ["doctor", str(self.path), "--site", "--catalog", str(self.catalog), "--json", *words]
        )
        return code, json.loads(capsys.readouterr().out)


def bad(shown: Any) -> dict[str, tuple[str, str]]:
    return {
        one["name"]: (one["state"], one["what"])
        for one in shown["sources"]
        if one["state"] != "healthy" and one["state"] != "slow"
    }


@pytest.fixture
def cluster(sample: Sample, shared: Sandbox, tmp_path: Path) -> Cluster:
    for name in ("cluster.yaml", "cluster.lock"):
        shutil.copy(sample.folder / name, tmp_path / name)
    shutil.copytree(sample.folder / "cluster.lock.d", tmp_path / "cluster.lock.d")
    return Cluster(tmp_path, shared.catalog)


@pytest.fixture
def web(unpacked: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Show an unpacked bundle, as any web server would."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "web"
    shutil.copytree(unpacked, folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("sparse", [True, False])
def test_what_was_published_and_served_is_all_there(
    cluster: Cluster, sample: Sample, capsys: pytest.CaptureFixture[str], *, sparse: bool
) -> None:
    with (
        PushRegistry(Quirks(sparse=sparse)) as registry,
        serve([sample.bundle], address=("127.0.0.1", 0)) as serving,
    ):
        publish([sample.bundle], Registry(host=registry.host, prefix="k8s"), reporter=Silent())
        cluster.say(f"\nregistry: {registry.host}/k8s\n")
        cluster.say(f"\nseed: {{url: 'http://{serving.address}/bundles/bundle'}}\n")
        registry.requests.clear()
        code, shown = cluster.ask(capsys, "--plain-http")
        assert (code, bad(shown)) == (0, {})
        names = {one["name"] for one in shown["sources"]}
        assert {f"{registry.host}/k8s/pause:3.2", f"{registry.host}/k8s/coredns/coredns:1.6.7"} < (
            names
        )
        assert {"SHA256SUMS", "cluster.lock", "keys", "manifests"} < names
        assert len([name for name in names if name.startswith("yum/")]) > 2
        assert {method for method, _ in registry.requests} <= {"GET", "HEAD"}
        blobs = [
            path for method, path in registry.requests if method == "GET" and "/blobs/" in path
        ]
        assert blobs == []


def test_served_images_are_found_in_serve_itself(
    cluster: Cluster, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve([sample.bundle], address=("127.0.0.1", 0)) as serving:
        cluster.say(f"\nregistry: {serving.address}\nseed: {{url: 'http://{serving.address}'}}\n")
        code, shown = cluster.ask(capsys, "--plain-http")
        assert (code, bad(shown)) == (0, {})
        # a machine speaks TLS, unless it was told otherwise
        code, shown = cluster.ask(capsys)
        assert code == 1
        assert {state for state, _ in bad(shown).values()} == {"wrong"}


def _forget(registry: PushRegistry, sample: Sample) -> None:
    del registry.tags["k8s/pause"]


def _move(registry: PushRegistry, sample: Sample) -> None:
    digest = registry.tags["k8s/etcd"]["3.4.3-0"]
    registry.tags["k8s/pause"]["3.2"] = digest
    registry.manifests["k8s/pause"][digest] = registry.manifests["k8s/etcd"][digest]


def _lose_a_layer(registry: PushRegistry, sample: Sample) -> None:
    (pause,) = [one for one in sample.lock.images if one.reference.path == "pause"]
    registry.blobs["k8s/pause"].remove(str(pause.manifests[0].layers[0]))


@pytest.mark.parametrize(
    ("harm", "state", "what"),
    [
        (_forget, "missing", "the server answered 404 Not Found"),
        (_move, "wrong", "this name means another image there: sha256:"),
        (_lose_a_layer, "missing", "the server answered 404 Not Found"),
    ],
)
def test_an_image_that_machines_would_not_get_is_named(
    harm: Callable[[PushRegistry, Sample], None],
    state: str,
    what: str,
    cluster: Cluster,
    sample: Sample,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PushRegistry() as registry:
        publish([sample.bundle], Registry(host=registry.host, prefix="k8s"), reporter=Silent())
        harm(registry, sample)
        cluster.say(f"\nregistry: {registry.host}/k8s\n")
        code, shown = cluster.ask(capsys, "--plain-http")
        assert code == 1
        ((name, (seen, said)),) = bad(shown).items()
        assert (name, seen) == (f"{registry.host}/k8s/pause:3.2", state)
        assert what in said
        assert shown["lost"][0]["what"].startswith(f"{name}: ")
        assert state != "missing" or shown["lost"][0]["hint"].startswith("publish the bundle of ")


def test_a_name_that_machines_alone_know_is_told_with_its_address(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.say("\nregistry: registry.invalid\nmachine: {hosts: {10.0.0.2: registry.invalid}}\n")
    code, shown = cluster.ask(capsys)
    assert code == 1
    assert shown["lost"][0]["hint"] == (
        "machines know it by machine.hosts: put 10.0.0.2 registry.invalid into /etc/hosts here"
    )


def test_another_bundle_and_what_is_missing_are_found_at_the_url(
    cluster: Cluster, web: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = web
    cluster.say(f"\nseed: {{url: '{url}/'}}\n")
    code, shown = cluster.ask(capsys)
    assert (code, bad(shown)) == (0, {})
    assert {one["name"] for one in shown["sources"]} > {"images", "SHA256SUMS"}
    (folder / "SHA256SUMS").write_text("another\n", "utf-8")
    next((folder / "keys").iterdir()).write_bytes(b"\0")
    packages = sorted(folder.glob("yum/*/Packages/*.rpm"), key=lambda one: one.stat().st_size)
    packages[-1].write_bytes(packages[-1].read_bytes()[:-1])
    blob = max(folder.glob("images/blobs/*/*"), key=lambda one: one.stat().st_size)
    size = blob.stat().st_size
    os.truncate(blob, size - 1)
    shutil.rmtree(folder / "manifests")
    code, shown = cluster.ask(capsys)
    assert code == 1
    states = {name: state for name, (state, _) in bad(shown).items()}
    assert bad(shown)["images"][1] == (
        f"the server has {size - 1:,} bytes of {blob.relative_to(folder)}, not {size:,}"
    )
    assert states == {
        "SHA256SUMS": "wrong",
        "keys": "wrong",
        "images": "wrong",
        f"yum/{packages[-1].parents[1].name}": "wrong",
        "manifests": "missing",
    }


def test_the_machines_own_login_is_tried_and_no_other(
    cluster: Cluster,
    sample: Sample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PushRegistry() as registry:
        publish([sample.bundle], Registry(host=registry.host), reporter=Silent())
        registry.quirks.login = "node:secret"
        login = base64.b64encode(b"node:secret").decode()
        document = json.dumps({"auths": {registry.host: {"auth": login}}})
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker" / "config.json").write_text(document, "utf-8")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        cluster.say(f"\nregistry: {registry.host}\n")
        code, shown = cluster.ask(capsys, "--plain-http")
        assert code == 1
        assert {state for state, _ in bad(shown).values()} == {"refuses"}
        (lost,) = shown["lost"]
        assert lost["artifact"] == registry.host
        assert " and " in lost["what"]
        own = tmp_path / "registry.json"
        own.write_text(document, "utf-8")
        own.chmod(0o600)
        cluster.say("\nmachine: {registry: {credentials: registry.json}}\n")
        code, shown = cluster.ask(capsys, "--plain-http")
        assert (code, bad(shown)) == (0, {})


def test_who_asks_nobody_is_told_so(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = cluster.ask(capsys)
    assert code == 2
    assert shown["error"]["what"] == "its machines ask neither a registry nor a web server"
    for words, said in (
        (["doctor", "--site"], "--site asks for what the machines of a cluster.yaml will want"),
        (["doctor", "--plain-http"], "--plain-http goes with --site"),
    ):
        assert run(words) == 2
        assert said in capsys.readouterr().err
