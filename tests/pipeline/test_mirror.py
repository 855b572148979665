"""``airseed mirror``: from the embedded upstream into a registry, through one process."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from push_registry import PushRegistry, Quirks

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample


def test_a_registry_is_filled_straight_from_the_upstreams(sample: Sample, tmp_path: Path) -> None:
    quirks = Quirks(breaks={"PUT": 2})
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry(quirks) as registry:
        words = ("mirror", "cluster.lock", "--registry", f"{registry.host}/k8s", "--json")
        done = sandbox.run(*words)
        assert done.code == 0, done.err
        assert {one["state"] for one in json.loads(done.out)["images"]} == {"pushed"}
        for image in sample.lock.images:
            tags = registry.tags[f"k8s/{image.reference.path}"]
            assert tags[image.reference.tag or ""] == str(image.digest)
        assert registry.incomplete() == []
        again = sandbox.run(*words)
        assert (again.code, json.loads(again.out)["blobs"]) == (0, 0)
        assert again.requests == ()
        assert not (sandbox.folder / "bundle.tar").exists()


def test_a_yum_folder_is_filled_straight_from_the_upstreams(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox:
        words = ("mirror", "cluster.lock", "--yum", str(tmp_path / "www"), "--json")
        done = sandbox.run(*words)
        assert done.code == 0, done.err
        for extent in sample.layout.extents:
            file = tmp_path / "www" / extent.path
            assert file.is_file() != extent.path.startswith("images/")
            if file.is_file():
                assert hashlib.sha256(file.read_bytes()).hexdigest() == extent.digest.hex
        again = sandbox.run(*words)
        assert (again.code, json.loads(again.out)["yum"]["files"]) == (0, [])
        assert again.requests == ()
