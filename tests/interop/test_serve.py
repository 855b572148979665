"""What ``airseed serve`` offers, taken by registries' and yum's real clients."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from interop.engines import containerd, dockerd
from interop.programs import PATH, environment, run

from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sample

    from builder.model.artifact import Image, ImageManifest
    from builder.model.lock import Lock

pytestmark = pytest.mark.interop
UPSTREAM, SHORT, TAG = "k8s.gcr.io/pause", "pause", "3.2"
NEWER = ("regctl", "oras", "crictl", "conformance")
_READY = re.compile(r"at https?://(\S+)/")


@dataclass(frozen=True)
class Served:
    """Hold what is served, and where."""

    host: str
    sample: Sample
    env: dict[str, str]

    @property
    def image(self) -> Image:
        return next(
            image
            for image in self.sample.lock.images
            if image.reference.repository == UPSTREAM and image.reference.tag == TAG
        )

    @property
    def manifest(self) -> ImageManifest:
        (manifest,) = self.image.manifests
        return manifest

    def run(self, *words: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
        return run(*words, env=self.env, **how)


@contextmanager
def serving(bundle: Path, env: dict[str, str], *more: str) -> Iterator[str]:
    """Run the real verb; yield its host and port once it says that it is ready."""
    words = [sys.executable, "-m", "builder", "serve", "--listen", "127.0.0.1:0", *more]
    with subprocess.Popen(
        [*words, str(bundle)], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = _READY.search(line)
        assert found, line
        yield found[1]
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def served(
    tools: None, sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    env = environment(tmp_path_factory.mktemp("home"))
    with serving(sample.bundle, env) as host:
        yield Served(host, sample, env)


@pytest.fixture
def hosts(served: Served, tmp_path: Path) -> Path:
    """Write the hosts.toml that sends containerd to the mirror, for one registry and for all."""
    for name in ("k8s.gcr.io", "_default"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.toml").write_text(
            f'[host."http://{served.host}"]\ncapabilities = ["pull", "resolve"]\n', "utf-8"
        )
    return tmp_path


def test_docker_pulls_by_tag_and_by_digest(served: Served) -> None:
    with dockerd() as docker:
        for path in (UPSTREAM, SHORT):
            name = f"{served.host}/{path}"
            for reference in (f"{name}:{TAG}", f"{name}@{served.image.digest}"):
                docker("pull", "--quiet", reference)
                shown = json.loads(docker("image", "inspect", reference).stdout)
                assert shown[0]["Id"] == str(served.manifest.config)
                assert f"{name}@{served.image.digest}" in shown[0]["RepoDigests"]


def test_docker_uses_it_as_its_mirror(served: Served) -> None:
    image = next(i for i in served.sample.lock.images if i.reference.host == "docker.io")
    with dockerd("--registry-mirror", f"http://{served.host}") as docker:
        docker("pull", "--quiet", image.name)
        shown = json.loads(docker("image", "inspect", image.name).stdout)
        assert shown[0]["Id"] == str(image.manifests[0].config)


def test_ctr_pulls_through_hosts_toml(served: Served, hosts: Path) -> None:
    with containerd() as ctr:
        ctr("images", "pull", "--hosts-dir", hosts, served.image.name)
        line = next(line for line in ctr("images", "list").stdout.splitlines() if UPSTREAM in line)
        assert str(served.image.digest) in line
        assert "complete" in ctr("images", "check", f"name=={served.image.name}").stdout


@pytest.fixture
def newer(served: Served) -> None:
    """Skip where this machine's Go could not build these."""
    if missing := [name for name in NEWER if not shutil.which(name, path=PATH)]:
        pytest.skip(f"{', '.join(missing)}: tests/interop/setup.sh builds them with a newer Go")


def test_crictl_pulls_through_hosts_toml(newer: None, served: Served, hosts: Path) -> None:
    with containerd(hosts=hosts) as ctr:
        crictl = ("crictl", "--runtime-endpoint", f"unix://{ctr.client[2]}")
        pull = run(*crictl, "pull", served.image.name, env=ctr.env)
        assert str(served.manifest.config) in pull.stdout
        shown = run(*crictl, "images", "--output", "json", env=ctr.env)
        (image,) = json.loads(shown.stdout[shown.stdout.index("{\n") :])["images"]
        assert image["id"] == str(served.manifest.config)
        assert image["repoDigests"] == [f"{UPSTREAM}@{served.image.digest}"]


def test_skopeo_copies_every_image_and_syncs(served: Served, tmp_path: Path) -> None:
    skopeo = ("skopeo", "--insecure-policy")
    for number, image in enumerate(served.sample.lock.images):
        source = f"docker://{served.host}/{image.reference.repository}:{image.reference.tag}"
        target = tmp_path / str(number)
        served.run(*skopeo, "copy", "-q", "--src-tls-verify=false", source, f"dir:{target}")
        got = (target / "manifest.json").read_bytes()
        assert hashlib.sha256(got).hexdigest() == image.manifests[0].digest.hex
    served.run(
        *skopeo, "sync", "--src", "docker", "--src-tls-verify=false", "--dest", "dir",
        f"{served.host}/{UPSTREAM}", tmp_path / "synced",
    )  # fmt: skip
    (synced,) = (tmp_path / "synced").iterdir()
    assert hashlib.sha256((synced / "manifest.json").read_bytes()).hexdigest() == (
        served.manifest.digest.hex
    )


def test_crane_finds_every_image_right(served: Served) -> None:
    for image in served.sample.lock.images:
        name = f"{served.host}/{image.reference.path}:{image.reference.tag}"
        done = served.run("crane", "validate", "--platform", "linux/amd64", "--remote", name)
        assert "PASS" in done.stdout
        assert served.run("crane", "digest", name).stdout.strip() == str(image.digest)


def test_regctl_and_oras_copy_images(newer: None, served: Served, tmp_path: Path) -> None:
    name = f"{served.host}/{SHORT}:{TAG}"
    served.run("regctl", "registry", "set", served.host, "--tls", "disabled")
    served.run(
        "regctl", "image", "copy", "--platform", "linux/amd64", name, f"ocidir://{tmp_path}/r:x"
    )
    served.run(
        "oras", "copy", "--platform", "linux/amd64", "--from-plain-http", name,
        "--to-oci-layout", f"{tmp_path}/o:x",
    )  # fmt: skip
    for folder in ("r", "o"):
        for digest in (served.manifest.digest, served.manifest.config, *served.manifest.layers):
            got = (tmp_path / folder / "blobs/sha256" / digest.hex).read_bytes()
            assert hashlib.sha256(got).hexdigest() == digest.hex
    listed = served.run("regctl", "repo", "ls", served.host).stdout.split()
    assert {UPSTREAM, SHORT} <= set(listed)
    assert (
        TAG in served.run("oras", "repo", "tags", "--plain-http", f"{served.host}/{SHORT}").stdout
    )


def test_the_pull_part_of_the_conformance_suite_passes(
    newer: None, served: Served, tmp_path: Path
) -> None:
    digests = (served.manifest.config, *served.manifest.layers)
    env = served.env | {
        "OCI_REGISTRY": served.host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": SHORT,
        "OCI_VERSION": "1.1",
        "OCI_API_PUSH": "false",
        "OCI_API_BLOBS_DELETE": "false",
        "OCI_API_MANIFESTS_DELETE": "false",
        "OCI_API_TAGS_DELETE": "false",
        "OCI_RO_DATA_TAGS": TAG,
        "OCI_RO_DATA_MANIFESTS": f"{served.image.digest} {served.manifest.digest}",
        "OCI_RO_DATA_BLOBS": " ".join(map(str, digests)),
    }
    # read-only, it always panics when it writes its results, behind its verdict
    said = run("conformance", env=env, cwd=tmp_path, check=False).stdout
    assert "OCI Conformance Result: Pass" in said, said
    for part in ("manifest-by-tag", "manifest-by-digest", "blob-get", "blob-head"):
        assert re.search(rf"{part}: Pass", said), said


@pytest.fixture(scope="module")
def whole(
    tools: None, sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Lock]]:
    """Serve a bundle that brings all that its packages need."""
    with sample.sandbox(tmp_path_factory.mktemp("whole") / "work", locked=False) as sandbox:
        cluster = sandbox.folder / "cluster.yaml"
        text = cluster.read_text("utf-8")
        assert "base: core" in text
        cluster.write_text(text.replace("base: core", "base: empty"), "utf-8")
        for words in (("lock", "cluster.yaml", "--catalog", str(sandbox.catalog)), ("bundle",)):
            ran = sandbox.run(*words)
            assert ran.code == 0, ran.err
        lock = LockDocument.read(sandbox.lock_path).lock
        with serving(sandbox.bundle_path, sandbox.environment) as host:
            yield host, lock


def test_dnf_installs_with_gpgcheck(
    whole: tuple[str, Lock], served: Served, tmp_path: Path
) -> None:
    """Everything comes into an empty root, from nothing but URLs of the server."""
    host, lock = whole
    names = [f"{one.nevra.name}-{one.nevra.evr}" for one in lock.packages if one.requested]
    keys = [f"http://{host}/{key.path}" for key in lock.files if key.kind == "key"]

    def dnf(folder: Path, keys: list[str]) -> subprocess.CompletedProcess[str]:
        (folder / "root").mkdir(parents=True)
        (folder / "dnf.conf").write_text("[main]\n", "utf-8")
        words = ["--config", f"{folder}/dnf.conf", "--installroot", f"{folder}/root"]
        words += ["--setopt=reposdir=/nonexistent", f"--setopt=cachedir={folder}/cache"]
        words += [
            "--releasever=7",
            "--forcearch=x86_64",
            "--assumeyes",
            "--setopt=tsflags=noscripts",
        ]
        for name in {one.repository for one in lock.packages}:
            words += [f"--repofrompath={name},http://{host}/yum/{name}", f"--repo={name}"]
            words += [f"--setopt={name}.gpgcheck=1", f"--setopt={name}.gpgkey={' '.join(keys)}"]
        return served.run("dnf", *words, "install", *names, check=False)

    done = dnf(tmp_path / "all", keys)
    assert done.returncode == 0, done.stdout
    form = "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm\n"
    root = tmp_path / "all" / "root"
    listed = served.run("rpm", "--root", root, "-qa", "--queryformat", form).stdout.split()
    installed = {name for name in listed if not name.startswith("gpg-pubkey")}
    assert installed == {package.nevra.filename for package in lock.packages}
    done = dnf(tmp_path / "one", keys[:1])
    assert done.returncode != 0
    assert "key" in done.stdout.lower(), done.stdout


def test_curl_takes_ranges_and_goes_on_where_it_was(served: Served, tmp_path: Path) -> None:
    package = max(served.sample.lock.packages, key=lambda one: one.size)
    url, target = f"http://{served.host}/{package.path}", tmp_path / "got"
    served.run("curl", "-sSf", "-r", "0-9999", "-o", target, url)
    assert target.stat().st_size == 10000
    served.run("curl", "-sSf", "-C", "-", "-o", target, url)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == package.digest.hex
    served.run("curl", "-sSf", "--etag-save", tmp_path / "tag", "-o", target, url)
    again = served.run(
        "curl", "-sSf", "--etag-compare", tmp_path / "tag", "-o", target, "-w", "%{http_code}", url
    )
    assert again.stdout == "304"
