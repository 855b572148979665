"""``airseed publish`` into registries that are as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from push_registry import PushRegistry, Quirks

from builder.model.cluster import Registry
from builder.pipeline.publish import publish
from builder.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

    from builder.pipeline.publish import Published


def fill(bundle: Path, registry: PushRegistry) -> Published:
    return publish(bundle, Registry(host=registry.host, prefix="k8s"), reporter=Silent())


def expect_all(sample: Sample, registry: PushRegistry) -> None:
    for image in sample.lock.images:
        tags = registry.tags[f"k8s/{image.reference.path}"]
        wanted = image.digest if registry.quirks.sparse else image.manifests[0].digest
        assert tags[image.reference.tag or ""] == str(wanted)
        if image.reference.path == "coredns":
            assert registry.tags["k8s/coredns/coredns"] == tags
    assert registry.incomplete() == []


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_a_second_run_moves_nothing(kind: str, sample: Sample, unpacked: Path) -> None:
    bundle = sample.bundle if kind == "tar" else unpacked
    with PushRegistry() as registry:
        first = fill(bundle, registry)
        assert {pushed.state for pushed in first.pushed} == {"pushed"}
        expect_all(sample, registry)
        registry.requests.clear()
        second = fill(bundle, registry)
        assert {pushed.state for pushed in second.pushed} == {"there"}
        assert {method for method, _ in registry.requests} == {"HEAD"}
        assert len(registry.requests) == len(sample.lock.images) + 1  # coredns has two names


def test_each_blob_goes_up_once_and_is_mounted_elsewhere(sample: Sample) -> None:
    with PushRegistry() as registry:
        fill(sample.bundle, registry)
        sent = [path.partition("digest=")[2] for method, path in registry.requests
                if method == "PUT" and "digest=" in path]  # fmt: skip
        assert len(sent) == len(set(sent))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(sparse=False),
        Quirks(mount=202),
        Quirks(mount=403),
        Quirks(whole=405),
        Quirks(largest=1 << 20),
        Quirks(head_digest=False),
        Quirks(breaks={"PUT": 3}),
        Quirks(whole=405, breaks={"PATCH": 3}),
    ],
    ids=str,
)
def test_a_registry_with_ways_of_its_own_is_filled(sample: Sample, quirks: Quirks) -> None:
    with PushRegistry(quirks) as registry:
        fill(sample.bundle, registry)
        expect_all(sample, registry)


def test_a_dry_run_changes_nothing(sample: Sample) -> None:
    with PushRegistry() as registry:
        target = Registry(host=registry.host)
        done = publish(sample.bundle, target, reporter=Silent(), dry_run=True)
        assert {method for method, _ in registry.requests} == {"HEAD"}
        blobs = {blob.digest: blob.size for blob in sample.lock.blobs if not blob.kept}
        assert done.plan.size == sum(blobs.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--key", "cluster.lock"), "--key needs --cert"),
        (("--password-stdin",), "--password-stdin needs --login"),
        (("--login", "ci"), "no terminal"),
        (("--login", "ci", "--password-stdin"), "no password on standard input"),
        (("--cert", "cluster.lock"), "no certificate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_meant_are_refused(
    words: tuple[str, ...], said: str, sample: Sample, tmp_path: Path
) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        done = sandbox.run("publish", str(sample.bundle), "--registry", registry.host, *words)
        assert done.code == 2, done.err
        assert said in done.err
        assert registry.requests == []
