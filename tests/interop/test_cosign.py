"""Signatures by real cosign on a real registry, and its opinion of those that the tests make."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import tarfile
import urllib.request
from typing import TYPE_CHECKING

import cosign as lab
import pytest
from interop.image_recipes import ImageRecipe, push
from interop.programs import PATH, daemon, environment, free_port, listens, run

from builder.formats import lock as lock_format
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sandbox

pytestmark = pytest.mark.interop
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
WHO, BY = "release@example.org", "https://accounts.example.org"
AT = dt.datetime(2023, 5, 1, 12, 0, tzinfo=dt.UTC)
CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: "127.0.0.1:%d"}
log: {level: error}
"""


class Registry:
    """Hold a registry that anybody may write to, and put single things into it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def blob(self, repository: str, content: bytes) -> None:
        start = f"http://{self.address}/v2/{repository}/blobs/uploads/"
        with self._ask("POST", start, b"") as reply:
            where = reply.headers["Location"]
        mark = "&" if "?" in where else "?"
        self._ask("PUT", f"{where}{mark}digest={Digest.of(content)}", content).close()

    def manifest(self, repository: str, tag: str, content: bytes) -> None:
        url = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        self._ask("PUT", url, content, MANIFEST).close()

    def digest(self, repository: str, tag: str) -> Digest:
        url = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        request = urllib.request.Request(
            url, headers={"Accept": f"application/vnd.oci.image.index.v1+json, {MANIFEST}"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            return Digest.of(reply.read())

    def _ask(self, method: str, url: str, content: bytes, kind: str = "application/octet-stream"):  # type: ignore[no-untyped-def] # noqa: ANN202
        request = urllib.request.Request(url, content, {"Content-Type": kind}, method=method)  # noqa: S310 -- our own
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cosign", path=PATH):
        pytest.skip("cosign is not built: tests/interop/setup.sh does it with Go 1.24 or newer")
    return tmp_path_factory.mktemp("cosign")


@pytest.fixture(scope="module")
def env(home: Path) -> dict[str, str]:
    return environment(home, COSIGN_PASSWORD="a long passphrase")  # noqa: S106 -- of a key of the test's own


@pytest.fixture(scope="module")
def registries(home: Path, env: dict[str, str]) -> Iterator[tuple[Registry, Registry]]:
    """Keep two registries running: one outside, one behind the gap."""
    ports = (free_port(), free_port())
    for port in ports:
        (home / f"{port}.yml").write_text(CONFIG % (home / str(port), port), "utf-8")

    def running(port: int):  # type: ignore[no-untyped-def] # noqa: ANN202
        return daemon(
            "docker-registry", "serve", home / f"{port}.yml",
            env=env, log=home / f"{port}.log", ready=lambda: listens(port),
        )  # fmt: skip

    with running(ports[0]), running(ports[1]):
        yield Registry(f"127.0.0.1:{ports[0]}"), Registry(f"127.0.0.1:{ports[1]}")


@pytest.fixture(scope="module")
def key(home: Path, env: dict[str, str]) -> Path:
    run("cosign", "generate-key-pair", env=env, cwd=home)
    return home / "cosign.key"


def publish(registry: Registry, name: str, home: Path, env: dict[str, str]) -> Digest:
    recipe = ImageRecipe(name=f"{name}:1", era="oci", platforms=("linux/amd64", "linux/arm64"))
    push(recipe, home / name.replace("/", "-"), registry.address, env)
    return registry.digest(name, "1")


def sign(where: str, key: Path, env: dict[str, str], **more: str) -> None:
    words = [f"--{word.replace('_', '-')}={value}" for word, value in more.items()]
    run("cosign", "sign", "--yes", "--tlog-upload=false", "--key", key, *words, where, env=env)


def prepare(sandbox: Sandbox, registry: Registry, name: str, policy: str) -> None:
    """Let the cluster have an image of the registry; loopback is asked without a proxy."""
    sandbox.environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    (sandbox.folder / "cluster.yaml").write_text(
        "kubernetes: 1.18.5\nnodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"
        f"extra:\n  images: ['{registry.address}/{name}:1']\n"
        f"signatures:\n  - name: team\n    images: ['{registry.address}/*']\n    {policy}\n",
        "utf-8",
    )


@pytest.mark.parametrize("mode", ["legacy", "oci-1-1"])
def test_what_cosign_signed_is_carried_and_checked_on_both_sides(
    sandbox: Sandbox, home: Path, env: dict[str, str], key: Path, mode: str,
    registries: tuple[Registry, Registry],
) -> None:  # fmt: skip
    outside, inside = registries
    name = f"team/{mode}"
    digest = publish(outside, name, home, env)
    experimental = env | {"COSIGN_EXPERIMENTAL": "1"} if mode != "legacy" else env
    sign(f"{outside.address}/{name}@{digest}", key, experimental, registry_referrers_mode=mode)
    prepare(sandbox, outside, name, "keys: cosign.pub")
    shutil.copy(home / "cosign.pub", sandbox.folder)
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    lock = lock_format.read(sandbox.lock_path)
    image = next(one for one in lock.images if one.reference.path == name)
    assert (image.digest, image.signed_by, image.trust) == (digest, "team", "signed")
    assert sandbox.bundle().code == 0
    ran = sandbox.run("verify")
    assert ran.code == 0, ran.err
    # from the bundle to the registry behind the gap, where real cosign is asked again
    with tarfile.open(sandbox.bundle_path) as tar:
        tar.extractall(home / f"unpacked-{mode}", filter="data")
    images = home / f"unpacked-{mode}" / "images"
    carried = json.loads((images / "signatures.json").read_text("utf-8"))["manifests"]
    assert len(carried) == 1
    own = json.loads((home / f"team-{mode}" / "index.json").read_text("utf-8"))
    assert own["manifests"][0]["digest"] == str(digest)
    push(ImageRecipe(name=f"{name}:1", era="oci", platforms=("linux/amd64", "linux/arm64")),
         home / f"again-{mode}", inside.address, env)  # fmt: skip
    refused = run("cosign", "verify", "--key", home / "cosign.pub", "--insecure-ignore-tlog",
                  f"{inside.address}/{name}@{digest}", env=env, check=False)  # fmt: skip
    assert refused.returncode != 0
    for entry in carried:
        content = (images / "blobs/sha256" / entry["digest"].partition(":")[2]).read_bytes()
        manifest = json.loads(content)
        for part in (manifest["config"], *manifest["layers"]):
            blob = images / "blobs/sha256" / part["digest"].partition(":")[2]
            inside.blob(name, blob.read_bytes())
        tag = entry["annotations"]["org.opencontainers.image.ref.name"].rpartition(":")[2]
        assert tag == f"sha256-{digest.hex}.sig"
        inside.manifest(name, tag, content)
    run("cosign", "verify", "--key", home / "cosign.pub", "--insecure-ignore-tlog",
        f"{inside.address}/{name}@{digest}", env=env)  # fmt: skip


def test_a_signature_that_cosign_made_for_another_image(
    sandbox: Sandbox, home: Path, env: dict[str, str], key: Path,
    registries: tuple[Registry, Registry],
) -> None:  # fmt: skip
    outside, _ = registries
    one = publish(outside, "team/one", home, env)
    two = publish(outside, "team/two", home, env)
    sign(f"{outside.address}/team/one@{one}", key, env)
    source = f"{outside.address}/team/one:sha256-{one.hex}.sig"
    run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
        f"docker://{source}", f"docker://{outside.address}/team/two:sha256-{two.hex}.sig",
        env=env)  # fmt: skip
    refused = run("cosign", "verify", "--key", home / "cosign.pub", "--insecure-ignore-tlog",
                  f"{outside.address}/team/two@{two}", env=env, check=False)  # fmt: skip
    assert refused.returncode != 0
    prepare(sandbox, outside, "team/two", "keys: cosign.pub")
    shutil.copy(home / "cosign.pub", sandbox.folder)
    ran = sandbox.lock()
    assert ran.code == 1
    assert f"it is the signature of another image, {one}" in ran.err


@pytest.mark.parametrize("minutes", [1, 30])
def test_cosign_and_airseed_agree_about_identities(
    sandbox: Sandbox, home: Path, env: dict[str, str], minutes: int,
    registries: tuple[Registry, Registry],
) -> None:  # fmt: skip
    """With certificates and a log that the tests make; in 30 minutes a certificate has ended."""
    outside, _ = registries
    name = f"team/keyless{minutes}"
    digest = publish(outside, name, home, env)
    service = lab.Service(start=dt.datetime(2022, 1, 1, tzinfo=dt.UTC))
    logged = AT + dt.timedelta(minutes=minutes)
    layer = service.by_identity(
        lab.payload(f"{outside.address}/{name}", digest), WHO, BY, at=AT, logged=logged
    )
    config = b'{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":null}}'
    outside.blob(name, config)
    outside.blob(name, layer.payload)
    outside.manifest(name, f"sha256-{digest.hex}.sig", _manifest(config, layer))
    roots, log = home / "roots.pem", home / "log.pub"
    roots.write_text("".join(service.certificates), "utf-8")
    log.write_text(lab.public(service.log_key), "utf-8")
    trust = {
        "SIGSTORE_ROOT_FILE": str(roots),
        "SIGSTORE_REKOR_PUBLIC_KEY": str(log),
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": str(log),
    }
    verdict = run(
        "cosign", "verify", "--offline", "--insecure-ignore-sct", "--certificate-identity", WHO,
        "--certificate-oidc-issuer", BY, f"{outside.address}/{name}@{digest}",
        env=env | trust, check=False,
    )  # fmt: skip
    good = minutes < 10
    assert (verdict.returncode == 0) is good, verdict.stdout
    folder = sandbox.folder / "catalog" / "authorities"
    folder.mkdir(parents=True)
    document = {"certificates": list(service.certificates), "logs": [log.read_text("utf-8")]}
    (folder / "lab.yaml").write_text(json.dumps(document), "utf-8")
    prepare(
        sandbox, outside, name,
        f"identities: [{{subject: '{WHO}', issuer: '{BY}'}}]\n    authority: lab",
    )  # fmt: skip
    ran = sandbox.lock("--catalog", "catalog")
    assert (ran.code == 0) is good, ran.err
    if good:
        assert sandbox.bundle().code == 0
        assert sandbox.run("verify").code == 0
    else:
        assert "the certificate was not valid when it was used" in ran.err


def _manifest(config: bytes, layer: lab.Layer) -> bytes:
    described = [
        ("application/vnd.oci.image.config.v1+json", config, {}),
        (lab.PAYLOAD_TYPE, layer.payload, {"annotations": dict(layer.annotations)}),
    ]
    parts = [
        {
            "mediaType": kind,
            "size": len(content),
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            **more,
        }
        for kind, content, more in described
    ]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    return json.dumps(document).encode()
