"""airseed crosses the gap in a bundle's own files, and works where no route leads anywhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interop.programs import PATH, environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample, Sandbox

pytestmark = pytest.mark.interop
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["airseed"]["kit"]
RESULT = '{"format": 1, "node": "k8s01", "state": "running", "step": "images", "updated": 1061}'
FAR_SIDE = """\
set -eu
cd "$1"
ip link set lo up
[ -z "$(ip route)" ] || exit 90
tar -xOf bundle.tar files/kit.tar >kit.tar
tar -xf kit.tar
./airseed-kit-*/install "$PWD/airseed"
PATH=$PWD/airseed/bin:$PATH
airseed verify bundle.tar
airseed secrets cluster.yaml
airseed seeds cluster.yaml --catalog catalog
airseed status result.json
docker-registry serve registry.json >registry.log 2>&1 &
registry=$!
airseed serve bundle.tar --listen 127.0.0.1:8080 >serve.log 2>&1 &
trap 'kill $registry $!' EXIT
until curl -sf http://127.0.0.1:5000/v2/ &&
    curl -sf http://127.0.0.1:8080/healthz; do sleep 0.2; done
airseed publish bundle.tar --registry 127.0.0.1:5000/k8s
airseed publish bundle.tar --registry 127.0.0.1:5000/k8s --dry-run --json >again.json
curl -sf http://127.0.0.1:8080/SHA256SUMS >SHA256SUMS
config() { skopeo inspect --tls-verify=false --config --raw "docker://127.0.0.1:$1:v1.18.5"; }
config 5000/k8s/kube-proxy >published
config 8080/kube-proxy >served
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kit") / "kit.tar"
    subprocess.run([sys.executable, ROOT / "kit" / "make.py", path], check=True)
    return path


@pytest.fixture
def folder(kit: Path, tmp_path: Path) -> Path:
    with tarfile.open(kit) as tar:
        tar.extractall(tmp_path, filter="data")
    (found,) = tmp_path.glob("airseed-kit-*")
    return found


@pytest.fixture
def far(sample: Sample, kit: Path, tmp_path: Path) -> Iterator[Sandbox]:
    """Lock and bundle a cluster that brings the kit along."""
    with sample.sandbox(tmp_path / "far", locked=False) as sandbox:
        shutil.copy(kit, sandbox.folder / "kit.tar")
        document = sandbox.folder / "cluster.yaml"
        document.write_text(document.read_text("utf-8") + "\nextra:\n  files: [kit.tar]\n", "utf-8")
        for ran in (sandbox.lock(), sandbox.bundle()):
            assert ran.code == 0, ran.err
        (sandbox.folder / "kit.tar").unlink()
        shutil.copytree(sandbox.catalog, sandbox.folder / "catalog")
        yield sandbox


def test_what_the_far_side_does_works_without_any_route(far: Sandbox, tmp_path: Path) -> None:
    folder = far.folder
    (folder / "result.json").write_text(RESULT, "utf-8")
    registry = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": "127.0.0.1:5000"},
    }
    (folder / "registry.json").write_text(json.dumps(registry), "utf-8")
    home = tmp_path / "home"
    home.mkdir()
    ran = run("unshare", "--net", "sh", "-c", FAR_SIDE, "sh", folder, env=environment(home))
    said = ran.stdout.replace(str(folder), "FAR")
    for line in (
        "install: done: FAR/airseed/bin/airseed",
        "wrote seeds: 5 nodes, 5 new, 0 changed",
        "k8s01  -     running  images",
    ):
        assert line in said, said
    again = json.loads((folder / "again.json").read_text("utf-8"))
    assert (again["blobs"], again["missing"]) == (0, [])
    assert "kit.tar" in (folder / "SHA256SUMS").read_text("utf-8")
    assert (folder / "published").read_bytes() == (folder / "served").read_bytes()


def test_the_same_wheels_make_the_same_kit(kit: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    subprocess.run([sys.executable, ROOT / "kit" / "make.py", again], check=True)
    assert again.read_bytes() == kit.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.tar"]


@pytest.mark.parametrize("python", SETTINGS["pythons"])
def test_every_python_finds_all_it_needs(folder: Path, python: str, tmp_path: Path) -> None:
    """By uv, which can judge for a Python that is not here."""
    words: list[str | Path] = ["--no-config", "--no-cache", "--offline", "--python-version", python]
    words += ["--python-platform", SETTINGS["resolve-for"], "--no-index"]
    words += ["--find-links", folder / "wheels", "--target", tmp_path / "target"]
    words += ["--only-binary", ":all:", "--require-hashes"]
    requirements = folder / "requirements" / f"{python}.txt"
    uv = [sys.executable, "-m", "uv", "pip", "install", *words, "-r", requirements]
    subprocess.run(uv, check=True)
    lines = requirements.read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    assert "airseed" in {line.partition("==")[0] for line in lines}


def test_a_damaged_kit_installs_nothing_and_leaves_what_was_there(
    folder: Path, tmp_path: Path
) -> None:
    env = environment(tmp_path)
    target = tmp_path / "in"
    run(folder / "install", target, env=env)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    (wheel,) = folder.glob("wheels/requests-*.whl")
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused = run(folder / "install", target, env=env, check=False)
    assert refused.returncode == 1
    assert f"wheels/{wheel.name}: FAILED" in refused.stdout
    assert "install: error: the kit is damaged\nhint: copy it again" in refused.stdout
    # whoever mends the list, too, is stopped by pip, and the old environment comes back
    sums = folder / "SHA256SUMS"
    listed = sums.read_text("utf-8").splitlines(keepends=True)
    sums.write_text("".join(line for line in listed if wheel.name not in line), "utf-8")
    refused = run(folder / "install", target, env=env, check=False)
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stdout
    assert "install: error: pip could not install it" in refused.stdout
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before
    assert not target.with_name("in.old").exists()


def test_install_refuses_what_it_can_not_use(folder: Path, tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert "usage: ./install [-p PYTHON] [DIR]" in run(folder / "install", "-h", env=env).stdout
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for words, said in (
        (["-p", "/bin/false"], "/bin/false is no Python that runs"),
        (["-p", sys.executable, stranger], f"{stranger} is there, and is no virtual environment"),
        ([tmp_path / 'a"b$(c)'], "programs do not start from a folder with "),
        (["one", "two"], "usage: "),
    ):
        refused = run(folder / "install", *words, env=env, check=False)
        assert refused.returncode in {1, 2}
        assert said in refused.stdout
    # a shell that looks for folders elsewhere, too, says where it found one
    words = ["sh", f"{folder.name}/install", "-p", "/bin/false"]
    refused = run(*words, env={**env, "CDPATH": str(tmp_path)}, check=False, cwd=tmp_path)
    assert "/bin/false is no Python that runs" in refused.stdout
    for requirements in folder.glob("requirements/*"):
        requirements.rename(requirements.with_name("2.7.txt"))
    refused = run(folder / "install", tmp_path / "in", env={**env, "PATH": PATH}, check=False)
    assert "no Python that this kit is for was found: 2.7" in refused.stdout
    assert not (tmp_path / "in").exists()
