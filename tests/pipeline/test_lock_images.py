"""``airseed lock`` and images in odd shapes, or that nodes can't have as they are asked for."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxes import Sandbox

    from builder.model.digest import Digest

Site = Any
NAME = "example.org/odd/image:1"
EXTRA = f"extra: {{images: ['{NAME}']}}\n"


def changed(sandbox: Sandbox, change: Callable[[dict[str, Any]], None], *, index: bool) -> Digest:
    """Let a tag mean an image whose index or manifest was changed."""
    upstream = sandbox.upstream
    made = upstream.add_image(NAME, era="oci", index=index, platforms=["linux/amd64"])
    document = json.loads(upstream.image_store.path(made.digest).read_bytes())
    change(document)
    digest = upstream.image_builder.put(json.dumps(document).encode())
    manifests = made.manifests | {digest: document["mediaType"]}
    upstream.tag(NAME, dataclasses.replace(made, digest=digest, manifests=manifests))
    return digest


@pytest.mark.parametrize(
    "type_",
    [
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ],
)
def test_layers_that_the_runtime_cannot_unpack_are_refused(type_: str, site: Site) -> None:
    sandbox = site.open(EXTRA)

    def pack(manifest: dict[str, Any]) -> None:
        for layer in manifest["layers"]:
            layer["mediaType"] = type_

    changed(sandbox, pack, index=False)
    ran = sandbox.lock()
    assert ran.code == 1
    assert (
        f"{NAME}: has layers compressed with zstd, which docker 19.03.9 cannot unpack\n" in ran.err
    )
    assert "expected docker 23.0.0 or newer\n" in ran.err
    assert not sandbox.lock_path.exists()


@pytest.mark.parametrize("layers", [125, 126])
def test_more_layers_than_the_runtime_stacks_are_refused(layers: int, site: Site) -> None:
    """dockerd, all releases: max depth exceeded."""
    sandbox = site.open(EXTRA)
    changed(sandbox, lambda it: it.update(layers=it["layers"][:1] * layers), index=False)
    ran = sandbox.lock()
    assert ran.code == int(layers == 126), ran.err
    said = f"{NAME}: has 126 layers, and docker stacks 125 at most\n"
    assert (said in ran.err) is (layers == 126)
    assert sandbox.lock_path.exists() is (layers == 125)


def test_one_image_may_be_asked_for_by_tag_and_by_digest(site: Site) -> None:
    first = site.open(EXTRA, name="first")
    digest = changed(first, lambda _: None, index=False)
    pinned = f"{NAME.rpartition(':')[0]}@{digest}"
    sandbox = site.open(f"extra: {{images: ['{NAME}', '{pinned}']}}\n")
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    names = {image.name for image in lock_format.read(sandbox.lock_path).images}
    assert {NAME, pinned} <= names


@pytest.mark.parametrize(
    ("type_", "hint"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "it is encrypted, and no node"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "it is a Helm chart: `helm"),
    ],
)
def test_what_is_no_image_is_told_by_what_it_is(type_: str, hint: str, site: Site) -> None:
    sandbox = site.open(EXTRA)
    changed(sandbox, lambda it: it["layers"][0].update(mediaType=type_), index=False)
    ran = sandbox.lock()
    assert ran.code == 1
    assert f"    hint: {hint}" in ran.err
    assert "cancelled" not in ran.err


UNREADABLE: dict[str, dict[str, Any]] = {
    "an empty platform": {"platform": {"os": "", "architecture": ""}},
    "no platform": {"platform": None},
    "another digest": {"digest": f"sha512:{'0' * 128}"},
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_an_entry_that_cannot_be_read_spoils_no_other(what: str, site: Site) -> None:
    sandbox = site.open(EXTRA)

    def add(index: dict[str, Any]) -> None:
        index["manifests"].insert(0, index["manifests"][0] | UNREADABLE[what])

    digest = changed(sandbox, add, index=True)
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    images = lock_format.read(sandbox.lock_path).images
    assert digest in {image.digest for image in images if image.name == NAME}


def test_an_image_is_one_to_docker_and_containerd(site: Site) -> None:
    """containerd reads x86_64 as amd64, and would start what docker does not get."""
    sandbox = site.open(EXTRA)

    def add(index: dict[str, Any]) -> None:
        [own] = index["manifests"]
        other = {"digest": f"sha256:{0:064}", "platform": {"os": "linux", "architecture": "x86_64"}}
        index["manifests"].insert(0, own | other)

    changed(sandbox, add, index=True)
    ran = sandbox.lock()
    assert ran.code == 1
    assert "its index has two manifests for linux/amd64, and containerd takes sha256:" in ran.err


def test_an_index_without_platforms_ends_in_words_that_help(site: Site) -> None:
    sandbox = site.open(EXTRA)
    found: list[str] = []

    def strip(index: dict[str, Any]) -> None:
        for entry in index["manifests"]:
            del entry["platform"]
            found.append(entry["digest"])

    changed(sandbox, strip, index=True)
    ran = sandbox.lock()
    assert ran.code == 1
    assert (
        f"{NAME}: the image's index does not say which platforms its manifests are for" in ran.err
    )
    assert "hint: ask for the one that is for linux/amd64 by its digest (NAME@DIGEST): " in ran.err
    assert found[0] in ran.err
    assert "proxy" not in ran.err


@pytest.mark.parametrize("registry", ["", "registry: reg.lan:5000/k8s\n"])
def test_a_person_is_told_what_nodes_have_by_a_digest(registry: str, site: Site) -> None:
    sandbox = site.open()
    digest = changed(sandbox, lambda _: None, index=True)
    pinned = NAME.replace(":1", f"@{digest}")
    cluster = sandbox.folder / "cluster.yaml"
    cluster.write_text(
        f"{cluster.read_text('utf-8')}{registry}extra: {{images: ['{pinned}']}}\n", "utf-8"
    )
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    there = "reg.lan:5000/k8s" if registry else "example.org"
    name = f"{there}/odd/image:digest-{digest.hex[:12]}"
    assert f"warning: nodes will have {pinned} as {name}\n" in ran.err


@pytest.mark.parametrize(
    "asked", ["odd", "docker.io/odd", "index.docker.io/library/odd:1", "docker.io/odd:1"]
)
def test_an_image_is_updated_by_any_of_its_names(asked: str, site: Site) -> None:
    sandbox = site.open("extra: {images: ['odd:1']}\n")
    name = "docker.io/library/odd:1"
    sandbox.upstream.add_image(name)
    assert sandbox.lock("-q").code == 0
    made = sandbox.upstream.add_image("docker.io/library/other:moved")
    sandbox.upstream.tag(name, made)
    ran = sandbox.lock("-q", "--update", asked)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"~ image {name}")


def test_what_manifests_only_mention_is_told_until_it_is_asked_for(site: Site) -> None:
    sandbox = site.open("extra: {manifests: [operator.yaml]}\n")
    changed(sandbox, lambda _: None, index=True)
    (sandbox.folder / "operator.yaml").write_text(
        "apiVersion: x.io/v1\nkind: Store\nmetadata: {name: s}\n"
        f"spec: {{agent: {{image: '{NAME}'}}}}\n",
        "utf-8",
    )
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert f"  operator.yaml:4: Store s: spec.agent.image: {NAME}\n" in ran.err
    assert f"\nextra:\n  images:\n    - {NAME}\n" in ran.err
    assert "operator.yaml: Store s: a custom resource: what else it has started" in ran.err
    assert NAME not in {image.name for image in lock_format.read(sandbox.lock_path).images}
    cluster = sandbox.folder / "cluster.yaml"
    text = cluster.read_text("utf-8").replace("extra: {", f"extra: {{images: ['{NAME}'], ")
    cluster.write_text(text, "utf-8")
    ran = sandbox.lock("--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)["manifests"]
    assert (told["mentioned"], [one["where"] for one in told["notUnderstood"]]) == ([], ["Store s"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", True),
        ("registry: reg.lan:5000/k8s\n", False),
        ("runtime: {name: containerd, version: 1.6.33}\n", False),
    ],
)
def test_docker_has_nothing_by_a_digest_in_a_field_of_its_own(
    settings: str, told: bool, site: Site
) -> None:
    """An edit gives one string another name; an operator puts this one together by itself."""
    sandbox = site.open("extra: {manifests: [store.yaml]}\n")
    digest = changed(sandbox, lambda _: None, index=True)
    repository = NAME.removesuffix(":1")
    cluster = sandbox.folder / "cluster.yaml"
    extra = f"extra: {{manifests: [store.yaml], images: ['{repository}@{digest}']}}\n"
    text = cluster.read_text("utf-8").partition("extra:")[0]
    cluster.write_text(f"{text}{settings}{extra}", "utf-8")
    fields = f"{{repository: {repository}, digest: '{digest}'}}"
    (sandbox.folder / "store.yaml").write_text(
        "apiVersion: x.io/v1\nkind: Store\nmetadata: {name: s}\nspec:\n"
        f"  agent: {{image: {fields}}}\n  other: {{image: {{repository: a.io/b, tag: '1'}}}}\n"
        f"  values: |\n    image: {fields}\n"
        f"  set: |\n    images:\n      - {{image: {repository}, digest: '{digest}'}}\n",
        "utf-8",
    )
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    for line, path in ((5, "spec.agent.image.repository"), (8, "spec.values"), (11, "spec.set")):
        warning = (
            f"warning: store.yaml:{line}: Store s: {path}: {repository}@{digest} is asked for by a "
            "digest in a field of its own, and docker knows none of what was loaded\n"
            f"  hint: write its tag instead, as in {repository}:digest-{digest.hex[:12]}; set "
            "registry, or runtime.name: containerd\n"
        )
        assert (warning in ran.err) is told, ran.err
    assert ran.err.count("is asked for by a digest") == (3 if told else 0)
