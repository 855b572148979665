"""``airseed mirror``: from the embedded upstream into a registry, through one process."""

from __future__ import annotations

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
