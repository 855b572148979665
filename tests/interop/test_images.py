"""The images of a bundle, read by skopeo, crane, docker and containerd."""

from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from interop.programs import run

from builder.oci.layout import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from interop.engines import Engine
    from interop.upstream import RealUpstream
    from interop.workdir import Workdir

    from builder.model.artifact import Image

pytestmark = pytest.mark.interop
SIGN = "/etc/airseed-image"


def is_oci(image: Image) -> bool:
    return "vnd.oci" in image.media_type


def pinned(image: Image) -> bool:
    return image.reference.digest is not None


def printed_name(image: Image, registry: str) -> str:
    """Return what a container of the image prints: the name that it was pushed under."""
    name = str(image.reference).removeprefix(f"{registry}/").partition("@")[0]
    return f"{name}{':1' if pinned(image) else ''} linux/amd64\n"


def copied(folder: Path) -> dict[str, Any]:
    """Read the manifest of an OCI layout that holds one image."""
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    blob = folder / "blobs" / entry["digest"].replace(":", "/")
    return {"digest": entry["digest"], **json.loads(blob.read_bytes())}


@pytest.fixture(scope="module")
def registry(real: RealUpstream) -> str:
    return real.servers.registry


@pytest.fixture(scope="module")
def archive(unpacked: Path, scratch: Path, env: dict[str, str]) -> Iterator[Path]:
    """Pack the images folder, as the README says."""
    path = scratch / "images.tar"
    run("tar", "-cf", path, "-C", unpacked / "images", ".", env=env)
    yield path
    path.unlink()


def test_there_are_images_of_both_types_with_and_without_index(workdir: Workdir) -> None:
    kinds = {image.media_type for image in workdir.lock.images}
    assert {kind.rpartition("/")[2] for kind in kinds} == {
        "vnd.docker.distribution.manifest.list.v2+json",
        "vnd.docker.distribution.manifest.v2+json",
        "vnd.oci.image.index.v1+json",
        "vnd.oci.image.manifest.v1+json",
    }


def test_skopeo_copies_every_image(
    workdir: Workdir, unpacked: Path, archive: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    """An OCI layout takes OCI manifests alone; the docker archive has all images."""
    for number, image in enumerate(workdir.lock.images):
        target = tmp_path / str(number)
        name = str(image.reference)
        (manifest,) = image.manifests
        oci = f"oci:{unpacked}/images:{name}"
        if is_oci(image):
            run("skopeo", "--insecure-policy", "copy", "-q", oci, f"oci:{target}", env=env)
            found = copied(target)
            assert found["digest"] == str(manifest.digest), name
            layers = [layer["digest"] for layer in found["layers"]]
            assert layers == [str(digest) for digest in manifest.layers], name
        else:
            source = f"docker-archive:{archive}:{name}"
            run("skopeo", "--insecure-policy", "copy", "-q", source, f"dir:{target}", env=env)
            found = json.loads((target / "manifest.json").read_bytes())
            assert len(found["layers"]) == len(manifest.layers), name
        assert found["config"]["digest"] == str(manifest.config), name


def test_crane_finds_the_same_image_upstream_and_put_back(
    workdir: Workdir, unpacked: Path, registry: str, tmp_path: Path, env: dict[str, str]
) -> None:
    for number, image in enumerate(workdir.lock.images):
        (manifest,) = image.manifests
        (source,) = image.sources
        pulled = tmp_path / f"pulled-{number}"
        run(
            "crane", "pull", "--format", "oci", "--platform", "linux/amd64",
            source, pulled, env=env,
        )  # fmt: skip
        found = copied(pulled)
        assert found["digest"] == str(manifest.digest)
        bundled = {f"{digest.hex}" for digest in (manifest.config, *manifest.layers)}
        for name in (*bundled, manifest.digest.hex):
            upstream = pulled / "blobs/sha256" / name
            assert upstream.read_bytes() == (unpacked / "images/blobs/sha256" / name).read_bytes()
        if not is_oci(image):
            continue
        target = f"{registry}/back/{number}:1"
        run(
            "skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false",
            f"oci:{unpacked}/images:{image.reference}", f"docker://{target}", env=env,
        )  # fmt: skip
        assert run("crane", "digest", target, env=env).stdout.strip() == str(manifest.digest)
        run("crane", "validate", "--remote", target, env=env)


def test_docker_loads_and_runs_every_image(
    workdir: Workdir, archive: Path, docker: Engine, registry: str
) -> None:
    docker("load", "--quiet", "--input", archive)
    for image in workdir.lock.images:
        (manifest,) = image.manifests
        name = str(image.reference.tagged)
        identity = docker("image", "inspect", "--format", "{{.Id}}", name).stdout.strip()
        assert identity == str(manifest.config), name
        ran = docker("run", "--rm", "--network", "none", name)
        assert ran.stdout == printed_name(image, registry)


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_docker_loads_the_images_of_one_role(
    workdir: Workdir, unpacked: Path, docker: Engine, role: str
) -> None:
    left = docker("image", "ls", "--quiet").stdout.split()
    if left:
        docker("image", "rm", "--force", *dict.fromkeys(left))
    # word for word what README.txt in the bundle says
    pack = (
        f"cd images && tar -cf - -C {role}/linux-amd64 manifest.json index.json -C ../.. oci-layout"
        f" -T {role}/linux-amd64/blobs"
    )
    packed = subprocess.run(
        ["/bin/sh", "-c", pack], cwd=unpacked, env=docker.env, check=True, capture_output=True
    )
    path = unpacked.parent / f"{role}.tar"
    path.write_bytes(packed.stdout)
    docker("load", "--quiet", "--input", path)
    path.unlink()
    listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    wanted = {
        str(image.reference.tagged).removeprefix("docker.io/")
        for image in workdir.lock.images
        if role in image.roles
    }
    assert {name for name in listed if "<none>" not in name} == wanted


def test_containerd_imports_and_runs_every_image(
    workdir: Workdir, archive: Path, ctr: Engine, registry: str
) -> None:
    ctr("--namespace", "k8s.io", "images", "import", archive)
    lines = ctr("--namespace", "k8s.io", "images", "list").stdout.splitlines()[1:]
    digests = {line.split()[0]: line.split()[2] for line in lines}
    for number, image in enumerate(workdir.lock.images):
        name = str(image.reference)
        assert digests[name] == str(image.digest), name
        ran = ctr("--namespace", "k8s.io", "run", "--rm", name, f"one-{number}")
        assert ran.stdout == printed_name(image, registry)
    checks = ctr("--namespace", "k8s.io", "images", "check").stdout
    known = sum(len(names(image.reference)) for image in workdir.lock.images)
    assert checks.count(" complete ") == known, checks


def test_the_archive_holds_nothing_twice(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = [member.name for member in tar if member.isfile()]
    assert len(names) == len(set(names))
