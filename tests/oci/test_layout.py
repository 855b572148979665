from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.model.reference import Reference
from builder.oci.layout import names, path_of, render, subset

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.artifact import Image

Fixture = Any
AMD = Platform("linux", "amd64")
ARM = Platform("linux", "arm64")


@pytest.fixture
def images(made: Fixture) -> list[Image]:
    return [
        made.image("k8s.gcr.io/pause:3.2", "linux/amd64", "linux/arm64", docker=True),
        made.image("docker.io/calico/node:v3.18.6", "linux/amd64", "linux/arm64"),
        made.image("k8s.gcr.io/etcd:3.4.3-0", "linux/amd64", roles=("control-plane",)),
    ]


def _files(made: Fixture, images: list[Image], platforms: tuple[Platform, ...]) -> dict[str, bytes]:
    return render(images, platforms) | {
        path_of(digest): content for digest, content in made.blobs.items()
    }


def test_the_files_of_the_format(made: Fixture, images: list[Image]) -> None:
    files = render(images, (AMD, ARM))
    assert files == render(reversed(images), (AMD, ARM))
    assert sorted(files) == [
        "control-plane/linux-amd64/blobs",
        "control-plane/linux-amd64/index.json",
        "control-plane/linux-amd64/manifest.json",
        "control-plane/linux-arm64/blobs",
        "control-plane/linux-arm64/index.json",
        "control-plane/linux-arm64/manifest.json",
        "index.json",
        "manifest.json",
        "oci-layout",
        "worker/linux-amd64/blobs",
        "worker/linux-amd64/index.json",
        "worker/linux-amd64/manifest.json",
        "worker/linux-arm64/blobs",
        "worker/linux-arm64/index.json",
        "worker/linux-arm64/manifest.json",
    ]
    assert files["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}\n'
    index = json.loads(files["index.json"])
    pause = images[0]
    assert index["manifests"][2] == {
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "digest": str(pause.digest),
        "size": pause.size,
        "annotations": {
            "io.containerd.image.name": "k8s.gcr.io/pause:3.2",
            "org.opencontainers.image.ref.name": "k8s.gcr.io/pause:3.2",
        },
    }
    part = pause.manifests[0]
    assert json.loads(files["manifest.json"])[2] == {
        "Config": f"blobs/sha256/{part.config.hex}",
        "RepoTags": ["k8s.gcr.io/pause:3.2"],
        "Layers": [f"blobs/sha256/{layer.hex}" for layer in part.layers],
    }
    assert b'{"schemaVersion":2}' not in files["index.json"]
    assert b" " not in files["index.json"]


def test_a_subset_holds_one_role_and_platform(made: Fixture, images: list[Image]) -> None:
    files = render(images, (AMD, ARM))

    def tags(folder: str) -> list[str]:
        entries = json.loads(files[f"{folder}/manifest.json"])
        return [tag for entry in entries for tag in entry["RepoTags"]]

    assert tags("control-plane/linux-amd64") == [
        "docker.io/calico/node:v3.18.6",
        "k8s.gcr.io/etcd:3.4.3-0",
        "k8s.gcr.io/pause:3.2",
    ]
    assert tags("worker/linux-arm64") == ["docker.io/calico/node:v3.18.6", "k8s.gcr.io/pause:3.2"]
    wanted = set()
    for image in images[:2]:
        part = image.manifests[1]
        wanted |= {image.digest, part.digest, part.config, *part.layers}
    assert files["worker/linux-arm64/blobs"].decode() == "".join(
        f"{path_of(digest)}\n" for digest in sorted(wanted)
    )


def test_a_name_with_a_digest_is_found_by_containerd(made: Fixture) -> None:
    digest = Digest.of(b"x")
    reference = Reference("quay.io", "a/b", "v1", digest)
    assert names(reference) == ("quay.io/a/b:v1", f"quay.io/a/b@{digest}")
    assert names(Reference("quay.io", "a/b", None, digest)) == (
        f"quay.io/a/b:digest-{digest.hex[:12]}",
        f"quay.io/a/b@{digest}",
    )


@pytest.mark.parametrize("role", ["worker", "control-plane"])
def test_plain_tar_picks_a_subset(
    made: Fixture, images: list[Image], tmp_path: Path, role: str
) -> None:
    """Run the very commands of the docstring; the tar must be a whole archive and layout."""
    folder = tmp_path / "images"
    for path, content in _files(made, images, (AMD, ARM)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    chosen = subset(role, AMD)
    command = (
        f"tar -cf - -C {chosen} manifest.json index.json"
        f" -C ../.. oci-layout -T {chosen}/blobs >../some.tar"
    )
    subprocess.run(["bash", "-euc", command], cwd=folder, check=True)
    with tarfile.open(tmp_path / "some.tar") as archive:
        found = {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    blobs = (folder / chosen / "blobs").read_text().split()
    assert sorted(found) == sorted(["manifest.json", "index.json", "oci-layout", *blobs])
    assert found["manifest.json"] == (folder / chosen / "manifest.json").read_bytes()
    archive_paths = json.loads(found["manifest.json"])
    assert {p for entry in archive_paths for p in (entry["Config"], *entry["Layers"])} < set(found)
