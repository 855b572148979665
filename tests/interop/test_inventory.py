"""What a real registry has, what a delta leaves out then, and what tools say to exports."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from interop.programs import run

from builder.formats import inventory as inventory_format

if TYPE_CHECKING:
    from pathlib import Path

    from interop.upstream import RealUpstream
    from interop.workdir import Workdir

pytestmark = pytest.mark.interop


def test_a_registry_tells_all_that_it_has(workdir: Workdir, real: RealUpstream) -> None:
    """With a password, in pages, behind docker distribution's own catalog."""
    workdir("inventory", real.servers.registry)
    found = inventory_format.read(workdir.folder / "inventory.json")
    mine = {blob.digest for blob in workdir.lock.blobs}
    assert mine <= found.digests
    images = {one.name: one.digest for one in found.holdings if one.kind == "image"}
    for image in workdir.lock.images:
        (source,) = image.sources
        assert image.digest in {images.get(source), *found.digests}
    workdir("bundle", "--have", "inventory.json", "-o", "delta.tar")
    with tarfile.open(workdir.folder / "delta.tar") as tar:
        names = set(tar.getnames())
    assert not names & {blob.path for blob in workdir.lock.blobs if blob.is_layer}
    assert "it is a delta" in workdir("verify", "delta.tar", code=4).stderr
    workdir("bundle", "delta.tar", "--base", str(workdir.bundle), "-o", "whole.tar")
    assert (workdir.folder / "whole.tar").read_bytes() == workdir.bundle.read_bytes()
    for name in ("delta.tar", "whole.tar", "inventory.json"):
        (workdir.folder / name).unlink()


def test_createrepo_finds_the_exported_packages(
    workdir: Workdir, scratch: Path, env: dict[str, str]
) -> None:
    out = scratch / "exported"
    workdir("export", "--packages-only", "-o", str(out))
    workdir("inventory", str(out / "yum"), "-o", str(scratch / "yum.json"))
    held = json.loads((scratch / "yum.json").read_text())["has"]
    assert sorted(one["name"] for one in held) == sorted(p.name for p in workdir.lock.packages)
    for folder in sorted((out / "yum").iterdir()):
        made = scratch / f"made-{folder.name}"
        made.mkdir()
        run("createrepo_c", "--quiet", "--outputdir", made, folder, env=env)


def test_skopeo_reads_the_exported_images(
    workdir: Workdir, scratch: Path, env: dict[str, str]
) -> None:
    path = scratch / "exported.tar"
    workdir("export", "--images-only", "--role", "worker", "-o", str(path))
    for image in workdir.lock.images:
        if "worker" in image.roles and image.reference.tag:
            name = f"{image.reference.repository}:{image.reference.tag}"
            run("skopeo", "inspect", "--config", f"docker-archive:{path}:{name}", env=env)
    path.unlink()
