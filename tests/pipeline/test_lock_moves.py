"""``airseed lock`` over an earlier lock while upstream moves: keep, update, check."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest
import sandboxes
from fault_lab.faults import Status

from builder.formats import catalog as catalog_format
from builder.formats import lock as lock_format
from builder.lab import shapes
from builder.lab.packages import PackageRecipe
from builder.lab.profiles import read_data
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.model.platform import Platform
from builder.rpm.keys import load_keys

if TYPE_CHECKING:
    from sandboxes import Ran, Sandbox

    from builder.model.lock import Lock

OPERATOR = "quay.io/tigera/operator:v1.15.7"
MANIFEST = "manifests/002-custom-resources.yaml"
FOLDERS = (
    "https://docs.projectcalico.org/archive/v3.18/manifests",
    "https://docs.tigera.io/archive/v3.18/manifests",
    "https://projectcalico.docs.tigera.io/archive/v3.18/manifests",
)
REPOSITORY = "centos-7.6-updates"
SOCAT = PackageRecipe(
    nevra="socat-1.7.9.9-9.el7.x86_64", provides=(), files=("/usr/bin/socat",), size=300
)


def move_image(sandbox: Sandbox) -> None:
    """Let a tag mean another image from now on."""
    made = sandbox.upstream.add_image("example.org/other/operator:moved")
    for host in ("quay.io", "docker.io"):
        sandbox.upstream.tag(OPERATOR.replace("quay.io", host), made)


def move_manifest(sandbox: Sandbox) -> None:
    """Publish other custom resources at every address."""
    for folder in FOLDERS:
        sandbox.upstream.add_file(
            f"{folder}/custom-resources.yaml",
            "apiVersion: operator.tigera.io/v1\nkind: Installation\n"
            "metadata: {name: default}\nspec: {}\n",
        )


def publish(sandbox: Sandbox, *, without: str = "", more: tuple[PackageRecipe, ...] = ()) -> None:
    """Publish another state of the updates of CentOS."""
    upstream = sandbox.upstream
    how = read_data("world.yaml")
    recipes, groups = shapes.packages(how["repositories"][REPOSITORY]["stock"], sandboxes.SCALE)
    recipe = RepositoryRecipe(
        packages=(*(one for one in recipes if not (without and without in one.nevra)), *more),
        groups=groups,
    )
    key = upstream.key(**how["keys"]["centos-7"])
    files = build_repository(upstream.build_cache, recipe, key=key)
    for base in catalog_format.load().repository(REPOSITORY).urls(Platform("linux", "amd64")):
        for href, path in files.items():
            upstream.add_file(urljoin(base, href), path)


def moved(ran: Ran) -> list[str]:
    """Return kind and name of what a command says that changed."""
    return [" ".join(line.split()[:3]) for line in ran.out.splitlines()]


def parts_of_operator(lock: Lock) -> set[str]:
    operator = next(image for image in lock.images if image.name == OPERATOR)
    digests = {operator.digest}
    for part in operator.manifests:
        digests |= {part.digest, part.config, *part.layers}
    return {str(digest) for digest in digests}


def test_only_what_is_named_moves(sandbox: Sandbox) -> None:
    """One long walk, since each step begins where the one before ended."""
    first = sandbox.lock_path.read_bytes()
    before_lock = lock_format.read(sandbox.lock_path)
    move_image(sandbox)
    move_manifest(sandbox)
    publish(sandbox, more=(SOCAT,))

    ran = sandbox.lock("-q", "--check")
    assert ran.code == 1, ran.err
    assert moved(ran) == [f"~ image {OPERATOR}", f"~ manifest {MANIFEST}", "~ rpm socat"]
    assert sandbox.lock_path.read_bytes() == first
    checked = sandbox.lock("-q", "--check", "--json")
    assert checked.code == 1
    images = [one for one in json.loads(checked.out)["changes"] if one.pop("kind") == "image"]
    assert [{*one} for one in images] == [{"name", "before", "after"}]
    assert images[0]["before"] != images[0]["after"]

    ran = sandbox.lock("-q")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert sandbox.lock_path.read_bytes() == first

    before = {*first.decode().splitlines()}
    for word, what in (
        ("socat", "~ rpm socat"),
        ("quay.io/tigera/operator", f"~ image {OPERATOR}"),
        (MANIFEST, f"~ manifest {MANIFEST}"),
    ):
        ran = sandbox.lock("-q", "--update", word)
        assert (ran.code, moved(ran)) == (0, [what]), ran.err
    after = {*sandbox.lock_path.read_text().splitlines()}
    changed = {json.loads(line.rstrip(","))["name"] for line in after - before}
    # a layer that the old image shared with others has one source less
    blobs = parts_of_operator(before_lock) | parts_of_operator(lock_format.read(sandbox.lock_path))
    repodata = {name for name in changed if name.startswith(f"yum/{REPOSITORY}/repodata/")}
    repodata |= {name for name in changed if name.startswith("yum/centos-7.6-os/repodata/")}
    assert changed - repodata - blobs == {
        OPERATOR,
        MANIFEST,
        f"{SOCAT.nevra}",
        REPOSITORY,
    }
    same = sandbox.lock("-q", "--check")
    assert (same.code, same.out) == (0, "")


def test_everything_moves_when_asked(sandbox: Sandbox) -> None:
    move_image(sandbox)
    publish(sandbox, more=(SOCAT,))
    ran = sandbox.lock("-q", "--update", "all")
    assert ran.code == 0, ran.err
    assert moved(ran) == [f"~ image {OPERATOR}", "~ rpm socat"]


@pytest.mark.parametrize("word", ["calico", "operator", "tigera/operator", "DIGEST"])
def test_what_moves_is_named_as_inspect_shows_it(word: str, sandbox: Sandbox) -> None:
    """Each moves the operator's image alone: of calico's others none has changed."""
    (image,) = (one for one in lock_format.read(sandbox.lock_path).images if one.name == OPERATOR)
    move_image(sandbox)
    publish(sandbox, more=(SOCAT,))
    ran = sandbox.lock("-q", "--update", word.replace("DIGEST", image.digest.short))
    assert (ran.code, moved(ran)) == (0, [f"~ image {OPERATOR}"]), ran.err


def test_a_package_that_upstream_has_no_more_is_replaced_aloud(sandbox: Sandbox) -> None:
    publish(sandbox, without="container-selinux", more=(SOCAT,))
    publish(sandbox, without="cloud-init-18.2-1.el7.centos.2", more=(SOCAT,))
    ran = sandbox.lock()
    assert ran.code == 0, ran.err
    assert "warning: the earlier lock's packages no longer fit: " in ran.err
    assert "cloud-init-18.2-1.el7.centos.2.x86_64" in ran.err
    assert "~ rpm cloud-init" in moved(ran)


def test_other_bytes_under_the_same_name_are_refused(sandbox: Sandbox) -> None:
    twin = PackageRecipe(nevra="cloud-init-18.2-1.el7.centos.2.x86_64", size=999)
    before = sandbox.lock_path.read_bytes()
    publish(sandbox, without="cloud-init-18.2-1.el7.centos.2", more=(twin,))
    ran = sandbox.lock("-q")
    assert ran.code == 1, ran.err
    assert (
        "error: upstream changed packages that are locked\n"
        "  cloud-init-18.2-1.el7.centos.2.x86_64: upstream has other bytes under this name"
    ) in ran.err
    assert "hint: if that is expected: airseed lock --update cloud-init\n" in ran.err
    assert sandbox.lock_path.read_bytes() == before
    allowed = sandbox.lock("-q", "--update", "cloud-init")
    assert allowed.code == 0, allowed.err
    assert "~ rpm cloud-init" in moved(allowed)


def test_what_the_lock_no_longer_needs_is_dropped(sandbox: Sandbox) -> None:
    """Another cluster.yaml over the same lock: nothing stays behind, nothing needed is lost."""
    document = sandbox.folder / "cluster.yaml"
    text = document.read_text()
    document.write_text(text.replace("install: operator", "install: manifest"))
    ran = sandbox.lock("-q")
    assert ran.code == 0, ran.err
    assert f"- image {OPERATOR}" in moved(ran)
    assert "+ manifest manifests/001-calico.yaml" in moved(ran)
    kept = {path.name for path in (sandbox.folder / "cluster.lock.d").iterdir()}
    lock = lock_format.read(sandbox.lock_path)
    assert kept == {content.digest.hex for content in lock.contents if content.kept}
    assert sandbox.run("bundle", "-q").code == 0


def test_another_url_for_the_same_place_is_another_file(sandbox: Sandbox) -> None:
    """The place in the bundle is the URL's last part, which versions rarely change."""
    document = sandbox.folder / "cluster.yaml"
    plain = document.read_text()
    site = "https://files.example.com"
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\n"
    contents = {}
    for version in ("v1", "v2"):
        sandbox.upstream.add_file(f"{site}/{version}/tool", version)
        sandbox.upstream.add_file(f"{site}/{version}/extra.yaml", manifest.format(version))
        extra = (
            f"extra:\n  files: ['{site}/{version}/tool']\n"
            f"  manifests: ['{site}/{version}/extra.yaml']\n"
        )
        document.write_text(f"{plain}{extra}")
        ran = sandbox.lock("-q")
        assert ran.code == 0, ran.err
        lock = lock_format.read(sandbox.lock_path)
        contents[version] = {file.path: file for file in lock.files if "extra" in file.needed_by}
    assert contents["v1"].keys() == contents["v2"].keys()
    for path in contents["v2"]:
        assert contents["v2"][path].digest != contents["v1"][path].digest, path
    assert [file.sources for file in contents["v2"].values()] == [
        (f"{site}/v2/tool",),
        (f"{site}/v2/extra.yaml",),
    ]
    sandbox.upstream.add_file(f"{site}/v2/tool", "moved")
    ran = sandbox.lock("-q")
    assert (ran.code, ran.out) == (0, ""), ran.err


@pytest.mark.parametrize("lost", ["some", "all"])
def test_what_lies_beside_the_lock_is_made_again(sandbox: Sandbox, lost: str) -> None:
    before = sandbox.lock_path.read_bytes()
    folder = sandbox.folder / "cluster.lock.d"
    files = sorted(folder.iterdir())
    for path in files if lost == "all" else files[::3]:
        path.unlink()
    files[1].write_bytes(b"damaged")
    ran = sandbox.lock("-q")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert sandbox.lock_path.read_bytes() == before
    assert sorted(folder.iterdir()) == files
    hosts = {urlsplit(f"//{one.host}").hostname for one in ran.requests}
    assert hosts


def test_what_upstream_moved_meanwhile_is_made_again_as_the_lock_has_it(sandbox: Sandbox) -> None:
    before = sandbox.lock_path.read_bytes()
    digest = next(
        i.digest for i in lock_format.read(sandbox.lock_path).images if i.name == OPERATOR
    )
    move_image(sandbox)
    shutil.rmtree(sandbox.folder / "cluster.lock.d")
    ran = sandbox.lock("-q")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert sandbox.lock_path.read_bytes() == before
    (sandbox.folder / "cluster.lock.d" / digest.hex).unlink()
    sandbox.upstream.faults.add(Status(404), path=f"*/manifests/{digest}")
    ran = sandbox.lock("-q")
    assert ran.code == 1
    assert f"error: {OPERATOR}: no source has this image as the lock has it\n" in ran.err
    assert f"hint: airseed lock --update {OPERATOR} takes what upstream has now\n" in ran.err
    assert sandbox.lock_path.read_bytes() == before
    assert sandbox.lock("-q", "--update", OPERATOR).code == 0


def test_a_binary_key_is_found_again(sandbox: Sandbox) -> None:
    """What the lock has of it is armoured, as rpm of EL7 wants it."""
    for file in lock_format.read(sandbox.lock_path).files:
        if file.kind == "key":
            kept = sandbox.folder / "cluster.lock.d" / file.digest.hex
            for source in file.sources:
                sandbox.upstream.add_file(source, load_keys(kept.read_bytes())[0].content)
    sandbox.lock_path.unlink()
    shutil.rmtree(sandbox.folder / "cluster.lock.d")
    assert sandbox.lock("-q").code == 0
    before = sandbox.lock_path.read_bytes()
    shutil.rmtree(sandbox.folder / "cluster.lock.d")
    ran = sandbox.lock("-q")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert sandbox.lock_path.read_bytes() == before
